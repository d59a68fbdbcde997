"""Pictures of requests, matted by ``vmatte.images`` with a shared model, and kept for the next."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np

import vmatte
from vmatte.errors import OptionError
from vmatte.images.cache import Cache
from vmatte.images.cut import ImageOptions, Margin, infer, show
from vmatte.images.picture import SUFFIXES, Picture, encode, read_picture
from vmatte.matting import for_still
from vmatte.server.forms import Upload
from vmatte.server.media import check_picture
from vmatte.server.models import Models

Edge = tuple[float, bool]
"""Where a region ends: pixels, or where True a share of the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client wants of a picture.

    only: 'composite', or 'alpha' for the matte itself. format: a suffix without its dot.
    megapixels: the most that the result may have. crop: to the subject, with that margin. roi:
    left, top, right, bottom of the region outside of which all is background.
    """

    model: str
    background: str
    format: str
    only: str = "composite"
    megapixels: float | None = None
    crop: Margin | None = None
    roi: tuple[Edge, ...] | None = None


def cut_out(
    upload: Upload,
    behind: Upload | None,
    wanted: Wanted,
    models: Models,
    cache: Cache,
    *,
    pixels: int,
    ran: Callable[[], None],
) -> bytes:
    """Return what is wanted of a picture, as the bytes of a file.

    pixels: the most that a picture may have. ran: called where the network has to run.
    Raises VmatteError, Problem.
    """
    name = upload.name or "the picture"
    parts = [upload.sha256, behind.sha256 if behind else "", models.sha256(wanted.model)]
    key = hashlib.sha256(
        json.dumps([vmatte.__version__, *parts, asdict(wanted)]).encode()
    ).hexdigest()
    kept = cache.find(key)
    if kept is not None:
        return kept
    check_picture(upload.path, name, pixels)
    background = wanted.background
    if behind is not None:
        check_picture(behind.path, behind.name or "the background", pixels)
        background = str(behind.path)
    picture = read_picture(upload.path.read_bytes(), name)
    model = models.get(wanted.model)
    rgb = picture.rgb(model.working_size(picture.frame.width, picture.frame.height))
    if wanted.roi is not None:
        picture = _within(picture, wanted.roi)
    ran()
    options = ImageOptions(background=background, crop=wanted.crop)
    (shown,) = show(picture, rgb, infer(for_still(model), rgb), (wanted.only,), options)
    frame = shown.frame
    if wanted.megapixels is not None:
        ratio = (wanted.megapixels * 1e6 / (frame.width * frame.height)) ** 0.5
        if ratio < 1:
            size = (max(1, round(frame.width * ratio)), max(1, round(frame.height * ratio)))
            frame = frame.convert(frame.picture.format.name, size)
    data = encode(frame, shown.tags, SUFFIXES[f".{wanted.format}"])
    cache.keep(key, data)
    return data


def _within(picture: Picture, roi: tuple[Edge, ...]) -> Picture:
    """Return ``picture``, transparent outside of ``roi``. Raises OptionError."""
    size = (picture.frame.width, picture.frame.height)
    left, top, right, bottom = (
        min(round(value * length if share else value), length)
        for (value, share), length in zip(roi, (*size, *size), strict=True)
    )
    if right <= left or bottom <= top:
        raise OptionError(
            f"roi is {left},{top} to {right},{bottom} of a picture of {size[0]}x{size[1]}; "
            "expected x1 y1 x2 y2 with some pixels between"
        )
    alpha = np.zeros(size[::-1], np.float32)
    inside = np.s_[top:bottom, left:right]
    alpha[inside] = 1.0 if picture.alpha is None else picture.alpha[inside]
    return replace(picture, alpha=alpha)
