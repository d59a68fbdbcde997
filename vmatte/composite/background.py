"""What is put behind the subject: a colour, a picture, a video, or the room itself, blurred."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from vmatte.composite import hdr
from vmatte.composite.place import Fit, fitted, pinned
from vmatte.errors import InputError, OptionError, reading
from vmatte.frames import Frame, StreamInfo
from vmatte.fullmatte import FullMatte
from vmatte.pixels import Plane
from vmatte.sources import FrameSource, open_source

COLOURS = {
    "green": (0, 177, 64),
    "blue": (0, 71, 187),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "gray": (128, 128, 128),
    "grey": (128, 128, 128),
    "red": (200, 30, 30),
}
"""sRGB; green and blue are the usual keying colours."""


class Background(Protocol):
    """The planes behind the subject, in the frame's own size, format and colour."""

    def open(self, info: StreamInfo) -> None:
        """Prepare for the frames that ``info`` describes. Raises InputError."""
        ...

    def advance(self, frame: Frame) -> tuple[Plane, ...] | None:
        """Called for every frame in order, from one thread; the result is given to ``planes``."""
        ...

    def planes(
        self, frame: Frame, matte: FullMatte, advanced: tuple[Plane, ...] | None
    ) -> tuple[Plane, ...]:
        """Return the planes for one frame, read-only. Called from any thread."""
        ...

    def close(self) -> None:
        """Release files."""
        ...


class _Prepared:
    """What stays the same from frame to frame: ``open`` of a subclass prepares its planes."""

    _planes: tuple[Plane, ...]

    def advance(self, frame: Frame) -> None:
        """Do nothing: the planes stay."""

    def planes(
        self, frame: Frame, matte: FullMatte, advanced: tuple[Plane, ...] | None
    ) -> tuple[Plane, ...]:
        """Return the prepared planes."""
        return self._planes

    def close(self) -> None:
        """Nothing is held."""


class ColourBackground(_Prepared):
    """One colour, as near as the format can show it: the same code value everywhere."""

    def __init__(self, colour: tuple[int, int, int]) -> None:
        """Take sRGB, 0 to 255."""
        self._colour = colour

    def open(self, info: StreamInfo) -> None:
        """Work out the code values, see Background."""
        # Not through swscale, which would dither.
        rgb = np.array(self._colour, np.float32) / 255
        if info.colour.hdr:
            rgb = hdr.encode(np.array([[self._colour]], np.uint8), info.colour.transfer)[0, 0]
            rgb = rgb.astype(np.float32) / 65535
        format = info.format
        if format.rgb:
            values = rgb[list(format.rgb_order)] * ((1 << format.depth) - 1)
        else:
            matrix = pinned(info).rgb_to_yuv(format.depth)
            values = matrix[:, :3] @ rgb + matrix[:, 3]
        codes = np.clip(np.rint(values), 0, (1 << format.depth) - 1).astype(format.dtype)
        planes = []
        for index in range(format.planes):
            sx, sy = format.shift(index)
            shape = (-(-info.height >> sy), -(-info.width >> sx))
            # Views of one pixel: nothing need be read from memory.
            pixel = codes if format.channels > 1 else codes[index]
            planes.append(np.broadcast_to(pixel, (*shape, *pixel.shape)))
        self._planes = tuple(planes)


class StillBackground(_Prepared):
    """A picture, prepared once."""

    def __init__(self, path: Path, fit: Fit = "cover") -> None:
        """Take the path of a picture."""
        self._path, self._fit = path, fit

    def open(self, info: StreamInfo) -> None:
        """Scale and convert the picture, see Background."""
        source = open_source(str(self._path))
        try:
            picture = fitted(next(iter(source)), info, self._fit, source.info.sample_aspect_ratio)
        finally:
            source.close()
        self._planes = picture.planes


class VideoBackground:
    """A video, looped, shown at the pace of its own timestamps."""

    def __init__(self, path: Path, fit: Fit = "cover") -> None:
        """Take the path of a video."""
        self._path, self._fit = path, fit
        self._source: FrameSource | None = None

    def open(self, info: StreamInfo) -> None:
        """Begin at the first frame, see Background."""
        self._info = info
        self._begin = info.begin
        self._offset = Fraction(0)
        self._frames = self._loop()
        self._current = next(self._frames)
        self._next = next(self._frames)
        self._native: tuple[Plane, ...] | None = None

    def _loop(self) -> Iterator[tuple[Fraction, Frame]]:
        """Yield (time since the beginning, frame), for ever."""
        while True:
            self._source = source = open_source(str(self._path))
            self._shape = source.info.sample_aspect_ratio
            step = 1 / (source.info.rate or Fraction(25))
            first: Fraction | None = None
            time = Fraction(0)
            for frame in source:
                first = frame.time if first is None else first
                time = frame.time - first
                yield self._offset + time, frame
            self._offset += time + step
            source.close()

    def advance(self, frame: Frame) -> tuple[Plane, ...]:
        """Return the planes of the frame that is due at the time of ``frame``."""
        self._begin = frame.time if self._begin is None else self._begin
        due = frame.time - self._begin
        while self._next[0] <= due:
            self._current, self._next = self._next, next(self._frames)
            self._native = None
        if self._native is None:
            picture = fitted(self._current[1], self._info, self._fit, self._shape)
            self._native = picture.planes
        return self._native

    def planes(
        self, frame: Frame, matte: FullMatte, advanced: tuple[Plane, ...] | None
    ) -> tuple[Plane, ...]:
        """Return what ``advance`` prepared."""
        assert advanced is not None
        return advanced

    def close(self) -> None:
        """Close the video."""
        if self._source is not None:
            self._source.close()


class BlurBackground:
    """The frame's own background out of focus, without a halo of the subject."""

    def __init__(self, radius: float | None = None) -> None:
        """Blur by ``radius`` pixels of the frame; by default a thirtieth of its height."""
        if radius is not None and not 1 <= radius <= 500:
            raise OptionError(f"blur radius is {radius}; expected 1 to 500 pixels")
        self._radius = radius

    def open(self, info: StreamInfo) -> None:
        """Choose the radius, see Background."""
        self._pixels = self._radius or max(2.0, info.height / 30)

    def advance(self, frame: Frame) -> None:
        """Do nothing: each frame is its own background."""

    def planes(
        self, frame: Frame, matte: FullMatte, advanced: tuple[Plane, ...] | None
    ) -> tuple[Plane, ...]:
        """Return the frame blurred with the weight of its background."""
        # At a fraction of the size the blur costs little and looks the same.
        step = max(1, round(self._pixels / 4))
        small = (max(1, frame.width // step), max(1, frame.height // step))
        alpha = _shrunk(matte.dense(), small)
        weight = cv2.multiply(255 - alpha, 1 / 255, dtype=cv2.CV_32F)
        sigma = self._pixels / step / 2
        spread = cv2.GaussianBlur(weight, (0, 0), sigma) + np.float32(1e-3)
        blurred = []
        for plane in frame.planes:
            reduced = _shrunk(plane, small).astype(np.float32)
            weights = weight if reduced.ndim == 2 else weight[:, :, None]
            total = spread if reduced.ndim == 2 else spread[:, :, None]
            # A trace of the plain blur fills what lies deep under the subject.
            plain = cv2.GaussianBlur(reduced, (0, 0), sigma) * np.float32(1e-3)
            mixed = (cv2.GaussianBlur(reduced * weights, (0, 0), sigma) + plain) / total
            h, w = plane.shape[:2]
            codes = np.rint(mixed).astype(plane.dtype)
            blurred.append(cv2.resize(codes, (w, h), interpolation=cv2.INTER_LINEAR))
        return tuple(blurred)

    def close(self) -> None:
        """Nothing is held."""


def _shrunk(plane: Plane, size: tuple[int, int]) -> Plane:
    """Return ``plane`` at ``size``, each sample the mean of what it covers."""
    h, w = plane.shape[:2]
    # OpenCV is ten times as fast at halving as at other factors.
    while w >= 2 * size[0] and h >= 2 * size[1]:
        w, h = w // 2, h // 2
        plane = cv2.resize(plane, (w, h), interpolation=cv2.INTER_LINEAR)
    shrunk: Plane = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return shrunk


def parse_background(text: str, fit: Fit = "cover") -> Background | None:
    """Return the background that ``text`` names, None for 'transparent'.

    A colour (green, #rrggbb, ...), the path of a picture or video, blur, or blur:RADIUS.
    Raises OptionError, InputError.
    """
    if text == "transparent":
        return None
    if text == "blur" or text.startswith("blur:"):
        radius = text[5:]
        try:
            return BlurBackground(float(radius) if radius else None)
        except ValueError as e:
            if isinstance(e, OptionError):
                raise
            raise OptionError(f"blur radius is {radius!r}; expected a number of pixels") from e
    if text in COLOURS or re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        red, green, blue = COLOURS.get(text) or bytes.fromhex(text[1:])
        return ColourBackground((red, green, blue))
    path = Path(text)
    with reading(f"background {text}"):
        found = path.exists()
    if not found:
        names = ", ".join(sorted(COLOURS))
        raise InputError(
            f"background {text!r} is neither a file nor a colour; expected a picture, a video, "
            f"#rrggbb, {names}, blur, blur:RADIUS or transparent"
        )
    source = open_source(text)
    source.close()
    return StillBackground(path, fit) if source.info.still else VideoBackground(path, fit)
