"""Pictures of requests, matted by ``vmatte.images`` with a shared model, and kept for the next."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import vmatte
from vmatte.images.cache import Cache
from vmatte.images.cut import ImageOptions, infer, show
from vmatte.images.picture import SUFFIXES, encode, read_picture
from vmatte.matting import for_still
from vmatte.server.forms import Upload
from vmatte.server.media import check_picture
from vmatte.server.models import Models


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client wants of a picture.

    only: 'composite', or 'alpha' for the matte itself. format: a suffix without its dot.
    megapixels: the most that the result may have.
    """

    model: str
    background: str
    format: str
    only: str = "composite"
    megapixels: float | None = None


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
    ran()
    options = ImageOptions(background=background)
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
