"""One picture through a model: what it looks like without its background."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.composite import Fit
from vmatte.errors import InputError, OptionError, reading
from vmatte.frames import Frame, StreamInfo, new_picture, plane_views
from vmatte.fullmatte import FullMatte
from vmatte.images.idphoto import Spec, frame_head
from vmatte.images.picture import Picture, Tags, from_pixels, read_picture
from vmatte.job import compositor_of
from vmatte.matting import Matte, Matter, MatterOptions, load_matter
from vmatte.refine import RefineOptions, refine
from vmatte.steer import SteerOptions, steered
from vmatte.steer.keyoptions import NO_SCREEN

SEEN = 0.3
"""Alpha from which a pixel belongs to what --crop keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Room around the subject: pixels, or a share of the subject's longer side."""

    pixels: float = 0.0
    share: float = 0.0

    def __post_init__(self) -> None:
        """Raise OptionError on values out of range."""
        if not (0 <= self.pixels <= 1e5 and 0 <= self.share <= 5):
            given = f"{self.share:.0%}" if self.share else f"{self.pixels:g} pixels"
            raise OptionError(
                f"the margin of --crop is {given}; expected 0 to 100000 pixels, or 0% to 500%"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """Everything that can be said about cutting out pictures; see vmatte image --help.

    background: as of ``run``. crop: to the subject, with that margin. id_photo: what it must look
    like; sets size and background. quality: of JPEG, WebP and AVIF.
    """

    model: str | None = None
    matter: MatterOptions = field(default_factory=MatterOptions)
    background: str = "transparent"
    fit: Fit = "cover"
    refine: RefineOptions = field(default_factory=RefineOptions)
    steer: SteerOptions = field(default_factory=SteerOptions)
    crop: Margin | None = None
    id_photo: Spec | None = None
    quality: int = 92

    def __post_init__(self) -> None:
        """Raise OptionError on values out of range, or that exclude each other."""
        if not 1 <= self.quality <= 100:
            raise OptionError(f"quality is {self.quality}; expected 1 to 100")
        if self.id_photo is not None and self.crop is not None:
            raise OptionError("an ID photo has a size of its own; give it, or --crop, not both")


@dataclass(frozen=True, slots=True)
class Shown:
    """What one output shows. notes: what the user may not expect."""

    frame: Frame
    tags: Tags
    notes: tuple[str, ...] = ()


def infer(matter: Matter[Any], rgb: NDArray[np.uint8]) -> Matte:
    """Matte one picture on its own: a recurrent model begins with an empty memory."""
    return matter.step(rgb, matter.start(rgb.shape[1], rgb.shape[0]))[0]


def show(
    picture: Picture,
    rgb: NDArray[np.uint8],
    matte: Matte,
    kinds: Sequence[str],
    options: ImageOptions,
) -> list[Shown]:
    """Return what each of ``kinds`` (see vmatte.job.KINDS) shows of the picture.

    rgb: what the model saw. Raises InputError, where an ID photo is wanted of nobody.
    """
    full = refine(picture.frame, rgb, matte, options.refine)
    if picture.alpha is not None:
        full = full.masked(picture.alpha)
    if options.id_photo is not None:
        return [_id_photo(picture, full, kind, options, options.id_photo) for kind in kinds]
    box = None
    notes = []
    if not full.screen:
        notes.append(f"{NO_SCREEN}: the model's matte stands alone")
    if picture.of > 1:
        notes.append(f"the first of {picture.of} pictures in it")
    if options.crop is not None:
        box = subject_box(full, options.crop)
        if box is None:
            notes.append("not cropped: nothing was found in it")
    elif matte.alpha.max() < SEEN:
        notes.append("nothing was found in it")
    found = []
    for kind in kinds:
        frame = _compose(picture.frame, full, kind, options.background, options.fit)
        found.append(Shown(frame if box is None else part(frame, box), picture.tags, tuple(notes)))
    return found


def cut_out(
    picture: Any,
    options: ImageOptions | None = None,
    *,
    matter: Matter[Any] | None = None,
) -> Any:
    """Return ``picture`` without its background, as a Pillow image, upright, its colours kept.

    picture: a path, the bytes of a file, a Pillow image, or an array: [H, W, 3] RGB uint8. options:
    what is put behind, and so on; transparent by default (RGBA). matter: a model from
    ``load_matter``, which saves loading one at each call. Raises VmatteError.
    """
    from PIL import Image

    options = options or ImageOptions()
    opened = _open(picture)
    own = matter is None
    matter = matter or load_matter(options.model, options.matter)
    try:
        size = (opened.frame.width, opened.frame.height)
        rgb = opened.rgb(matter.working_size(*size))
        told = steered(matter, options.steer, *size, still=True)
        (shown,) = show(opened, rgb, infer(told, rgb), ("composite",), options)
    finally:
        if own:
            matter.close()
    kind = "rgba" if shown.frame.format.alpha else "rgb24"
    image = Image.fromarray(np.array(shown.frame.convert(kind).planes[0]))
    if shown.tags.icc:
        image.info["icc_profile"] = shown.tags.icc
    return image


def subject_box(matte: FullMatte, margin: Margin) -> tuple[int, int, int, int] | None:
    """Return (left, top, right, bottom) of what is seen, with a margin; None where nothing is."""
    seen = matte.values() >= SEEN
    rows, cols = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if not len(rows):
        return None
    top, bottom, left, right = rows[0], rows[-1] + 1, cols[0], cols[-1] + 1
    room = round(margin.pixels + margin.share * max(bottom - top, right - left))
    width, height = matte.size
    return (
        max(0, int(left) - room),
        max(0, int(top) - room),
        min(width, int(right) + room),
        min(height, int(bottom) + room),
    )


def part(frame: Frame, box: tuple[int, int, int, int]) -> Frame:
    """Return a part of a frame of RGB or gray; box: left, top, right, bottom."""
    left, top, right, bottom = box
    picture = new_picture(right - left, bottom - top, frame.format.name)
    for new, old in zip(plane_views(picture), frame.planes, strict=True):
        new[...] = old[top:bottom, left:right]
    return replace(frame, picture=picture)


def _compose(frame: Frame, matte: FullMatte, kind: str, background: str, fit: Fit) -> Frame:
    compositor = compositor_of(kind, background, fit)
    try:
        compositor.open(
            StreamInfo(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                colour=frame.colour,
                time_base=Fraction(1, 25),
                frames=1,
                still=True,
            )
        )
        return compositor.compose(frame, matte, compositor.advance(frame))
    finally:
        compositor.close()


def _id_photo(
    picture: Picture, matte: FullMatte, kind: str, options: ImageOptions, spec: Spec
) -> Shown:
    background = options.background
    colour = spec.background if background == "transparent" else background
    frame = _compose(picture.frame, matte, kind, colour, options.fit)
    place, notes = frame_head(matte.values(), spec)
    pixels = np.ascontiguousarray(frame.convert("gray" if kind == "alpha" else "rgb24").planes[0])
    # What lies beyond the picture is background, as its corner shows it.
    beyond = [float(v) for v in np.atleast_1d(pixels[0, 0])] if kind == "composite" else 0.0
    scale = place.width / spec.size[0]
    if scale > 1:
        # Enlarged pixels would be lost between the samples of a shrinking warp.
        pixels = cv2.GaussianBlur(pixels, (0, 0), 0.4 * scale)
    warp = np.array([[scale, 0, place.left], [0, scale, place.top]], np.float64)
    shown = cv2.warpAffine(
        pixels,
        warp,
        spec.size,
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=beyond,
    )
    if shown.ndim == 2:
        shown = np.repeat(shown[:, :, None], 3, axis=2)
    tags = replace(picture.tags, dpi=(spec.dpi, spec.dpi))
    return Shown(from_pixels(np.asarray(shown, np.uint8)).frame, tags, notes)


def _open(picture: Any) -> Picture:
    if isinstance(picture, np.ndarray):
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise InputError(
                f"the array is {picture.dtype} {picture.shape}; expected uint8 [H, W, 3] RGB"
            )
        return from_pixels(picture)
    if isinstance(picture, bytes):
        return read_picture(picture, "the picture")
    if isinstance(picture, str | Path):
        return read_picture(read_bytes(Path(picture)), str(picture))
    from vmatte.images.picture import from_image

    return from_image(picture)


def read_bytes(path: Path) -> bytes:
    """Return the contents of a file. Raises InputNotFoundError, InputError."""
    with reading(str(path)):
        return path.read_bytes()
