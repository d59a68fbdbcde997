"""Frames in their native pixel format, and the description of the stream they belong to."""

import sys
import threading
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

import cv2  # before PyAV, see sinks/window.py
import numpy as np
from av import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from vmatte.colour import FULL, LIMITED, UNSPECIFIED, Colour
from vmatte.pixels import FORMATS, PixelFormat, Plane

Scaling = Literal["bicubic", "area"]
"""How a picture is made smaller: the second is softer, in less than half the time."""


class _Scalers(threading.local):
    """One swscale context a thread: contexts are cached inside, and not safe to share."""

    def __init__(self) -> None:
        self.scaler = VideoReformatter()


_local = _Scalers()


@dataclass(frozen=True, slots=True, repr=False)
class Frame:
    """One picture with its exact time.

    ``picture`` is the PyAV frame that owns the memory; it is never written to after construction.
    ``pts`` counts ``time_base`` units. ``segment`` changes where temporal state must not be carried
    over: after a reconnect, a seek, a change of size, or a gap in time.
    """

    picture: VideoFrame
    pts: int
    time_base: Fraction
    colour: Colour
    segment: int = 0

    @property
    def width(self) -> int:
        """Pixels a row."""
        return self.picture.width

    @property
    def height(self) -> int:
        """Rows."""
        return self.picture.height

    @property
    def format(self) -> PixelFormat:
        """The native pixel format."""
        return FORMATS[self.picture.format.name]

    @property
    def time(self) -> Fraction:
        """Presentation time in seconds, exact."""
        return self.pts * self.time_base

    @property
    def planes(self) -> tuple[Plane, ...]:
        """Views of the native planes, no copy (see Plane)."""
        return plane_views(self.picture)

    def rgb(self, size: tuple[int, int], scaling: Scaling = "bicubic") -> NDArray[np.uint8]:
        """Return [h, w, 3] uint8 full-range RGB at ``size`` = (width, height), in one pass.

        The transfer is left as it is: the values are R'G'B' as coded.
        """
        colour = self.colour.resolved(self.width, self.height, rgb=self.format.rgb)
        small = _local.scaler.reformat(
            _scalable(self.picture, colour.range),
            size[0],
            size[1],
            # swscale's way from 4:2:0 to a smaller packed picture is half as fast and 2 levels too
            # dark; that to a planar one of the same size leaves out the ends of some rows.
            "rgb24" if size == (self.width, self.height) else "gbrp",
            src_colorspace=colour.matrix,
            dst_colorspace=colour.matrix,
            src_color_range=colour.range,
            dst_color_range=FULL,
            interpolation=scaling.upper(),
            threads=1,
        )
        planes = plane_views(small)
        if len(planes) == 1:
            return np.ascontiguousarray(planes[0])
        green, blue, red = planes
        rgb: NDArray[np.uint8] = cv2.merge([red, green, blue])
        return rgb

    def convert(
        self, format: str, size: tuple[int, int] | None = None, colour: Colour | None = None
    ) -> "Frame":
        """Return the frame in another pixel format, size or YUV encoding (not primaries/transfer).

        ``colour`` gives matrix and range of the result; by default the frame's own, or for RGB
        results full range.
        """
        target = FORMATS.get(format)
        to_rgb = target.rgb if target else format.startswith(("rgb", "bgr", "argb", "abgr", "gbr"))
        width, height = size or (self.width, self.height)
        src = self.colour.resolved(self.width, self.height, rgb=self.format.rgb)
        if colour is None:
            colour = replace(self.colour, range=FULL) if to_rgb else self.colour
        # 'self.width' again: a conversion must not change the guess that the source size led to.
        dst = colour.resolved(self.width, self.height, rgb=to_rgb)
        if target and target.gray and dst.range == LIMITED:
            # swscale makes full-range gray only, but any luma.
            coloured = self.convert(f"yuv420p{format[4:]}", size, replace(colour, range=LIMITED))
            gray = new_picture(width, height, format)
            plane_views(gray)[0][...] = coloured.planes[0]
            return replace(self, picture=gray, colour=colour)
        picture = _local.scaler.reformat(
            _scalable(self.picture, src.range),
            width,
            height,
            format,
            src_colorspace=src.matrix,
            dst_colorspace=dst.matrix,
            src_color_range=src.range,
            dst_color_range=dst.range,
            interpolation="BICUBIC",
            threads=1,
        )
        if self.format.alpha and picture is not self.picture:
            _keep_alpha(self.picture, picture)
        return replace(self, picture=picture, colour=colour)

    def __repr__(self) -> str:
        return (
            f"Frame({self.width}x{self.height} {self.picture.format.name}, pts={self.pts}, "
            f"time_base={self.time_base}, segment={self.segment})"
        )


def _scalable(picture: VideoFrame, range: int) -> VideoFrame:
    """Return ``picture``, or where swscale would take it wrongly for full range, the same as YUV.

    It takes every gray picture so.
    """
    format = FORMATS[picture.format.name]
    if not format.gray or range == FULL:
        return picture
    coloured = new_picture(picture.width, picture.height, f"yuv420p{format.name[4:]}")
    luma, *chroma = plane_views(coloured)
    luma[...] = plane_views(picture)[0]
    for plane in chroma:
        plane[...] = 1 << (format.depth - 1)
    return coloured


def _keep_alpha(source: VideoFrame, result: VideoFrame) -> None:
    """Give ``result`` the alpha of ``source`` where swscale shifts it: 255 to 1020, not 1023."""
    given, made = FORMATS[source.format.name], FORMATS.get(result.format.name)
    size = (result.width, result.height)
    if given.channels != 1 or size != (source.width, source.height):
        return
    if made is not None and made.alpha and made.channels == 1:
        target, depth = plane_views(result)[3], made.depth
    elif result.format.name in ("rgba64le", "rgba64be"):
        order = "<u2" if result.format.name.endswith("le") else ">u2"
        rows = np.frombuffer(memoryview(result.planes[0]), order).reshape(size[1], -1)
        target, depth = rows[:, 3 : 4 * size[0] : 4], 16
    else:
        return
    if depth != given.depth:
        gain = ((1 << depth) - 1) / ((1 << given.depth) - 1)
        target[...] = np.rint(plane_views(source)[3] * gain)


def plane_views(picture: VideoFrame) -> tuple[Plane, ...]:
    """Return numpy views of a picture's planes without padding (see Plane)."""
    format = FORMATS[picture.format.name]
    itemsize = format.dtype.itemsize
    views = []
    for plane in picture.planes:
        samples: Plane = np.frombuffer(memoryview(plane), format.dtype)
        rows = samples.reshape(plane.height, plane.line_size // itemsize)
        if format.channels > 1:
            rows = rows[:, : plane.width * format.channels]
            views.append(rows.reshape(plane.height, plane.width, format.channels))
        else:
            views.append(rows[:, : plane.width])
    return tuple(views)


def new_picture(width: int, height: int, format: str) -> VideoFrame:
    """Return a picture with uninitialised planes, to be filled through ``plane_views``."""
    return VideoFrame(width, height, format)


class Pictures:
    """Pictures of one kind, each filled anew when nobody uses it any more.

    The system takes longer to give a picture's memory, page by page, than blending to fill it.
    """

    _MOST = 16
    _LOOK = 256
    """Pictures given, after which those are let go that none of them needed: a moment in which much
    was under way is no reason to hold as much for ever."""

    def __init__(self) -> None:
        """Begin with none."""
        self._held: list[VideoFrame] = []
        self._kind = (0, 0, "")
        self._given = self._needed = 0
        self._lock = threading.Lock()

    def take(self, width: int, height: int, format: str) -> VideoFrame:
        """Return a picture as ``new_picture`` does, perhaps one that was given before."""
        with self._lock:
            if self._kind != (width, height, format):
                self._kind = width, height, format
                self._held.clear()
            self._given += 1
            if self._given % self._LOOK == 0:
                del self._held[self._needed :]
                self._needed = 0
            for index in range(len(self._held)):
                if _users(self._held, index) == _ALONE:
                    self._needed = max(self._needed, index + 1)
                    return _cleared(self._held[index])
            picture = new_picture(width, height, format)
            if len(self._held) < self._MOST:
                self._held.append(picture)
            self._needed = len(self._held)
            return picture


def _users(held: list[Any], index: int) -> int:
    return sys.getrefcount(held[index])


_ALONE = _users([object()], 0)
"""What Python, this version, counts for what only a list holds."""


def _cleared(picture: VideoFrame) -> VideoFrame:
    """Return ``picture`` as if new; with other memory where an encoder still reads it."""
    picture.make_writable()
    picture.pts = None
    picture.pict_type = 0
    picture.colorspace = picture.color_primaries = picture.color_trc = UNSPECIFIED
    picture.color_range = 0
    return picture


def from_array(
    array: Plane,
    format: str,
    *,
    pts: int = 0,
    time_base: Fraction = Fraction(1, 25),
    colour: Colour | None = None,
    segment: int = 0,
) -> Frame:
    """Build a frame from an [H, W] or [H, W, C] array of a packed or gray format."""
    picture = new_picture(array.shape[1], array.shape[0], format)
    plane_views(picture)[0][...] = array
    if colour is None:
        colour = Colour(range=FULL)
    return Frame(picture, pts, time_base, colour, segment)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """What is known of a stream before its first frame is processed.

    ``rate`` is a hint (the mean), never used for timing. ``frames`` and ``duration`` (seconds) are
    what the container claims. ``rotation`` is what was applied already. ``start`` and ``end`` are
    the part of ``container`` that is used, in its own time. ``begin``, where this is a part of a
    stream, is the time of the whole's first frame.
    """

    width: int
    height: int
    format: PixelFormat
    colour: Colour
    time_base: Fraction
    rate: Fraction | None = None
    sample_aspect_ratio: Fraction | None = None
    frames: int | None = None
    duration: float | None = None
    live: bool = False
    still: bool = False
    rotation: int = 0
    deinterlaced: bool = False
    container: str | None = None
    """Path of the file whose other streams (sound, subtitles, ...) go with the picture."""
    start: float | None = None
    end: float | None = None
    begin: Fraction | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.width, self.height
