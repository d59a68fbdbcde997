"""Frames in their native pixel format, and the description of the stream they belong to."""

import threading
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from av import VideoFormat, VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

Plane = NDArray[Any]
"""One plane of a picture: [H, W] or, for packed RGB, [H, W, C]; uint8, or uint16 above 8 bits."""

LIMITED, FULL = 1, 2
"""AVColorRange: 16..235 and 0..255 (scaled to the bit depth)."""

UNSPECIFIED = 2
"""The code point for 'not said' of matrix, primaries and transfer (ITU-T H.273)."""

BT709, BT601, BT2020 = 1, 5, 9
PQ, HLG = 16, 18

_LUMA = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""(Kr, Kb) by matrix code point, ITU-T H.273 table 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """Colour description: code points of ITU-T H.273, range as AVColorRange (0 unspecified)."""

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    range: int = 0

    @classmethod
    def of(cls, frame: VideoFrame) -> "Colour":
        """Read the description that a decoder left on ``frame``."""
        old_full = frame.format.name.startswith("yuvj")
        return cls(
            matrix=int(frame.colorspace),
            primaries=int(frame.color_primaries),
            transfer=int(frame.color_trc),
            range=FULL if old_full else int(frame.color_range),
        )

    @property
    def hdr(self) -> bool:
        """Whether the transfer is PQ or HLG (ITU-R BT.2100)."""
        return self.transfer in (PQ, HLG)

    def resolved(self, width: int, height: int, *, rgb: bool) -> "Colour":
        """Fill in what the stream left open, as players do: BT.709 from 1280x720 on, else BT.601.

        Only conversions use the result; the tags written to the output stay as they were read.
        """
        hd = width >= 1280 or height > 576
        known = self.matrix in _LUMA
        guess = BT2020 if self.hdr or self.primaries == BT2020 else BT709 if hd else BT601
        return replace(
            self,
            matrix=self.matrix if known else guess,
            range=self.range or (FULL if rgb else LIMITED),
        )

    def rgb_to_yuv(self, depth: int) -> NDArray[np.float32]:
        """Return the 3x4 affine matrix from RGB in 0..1 to Y'CbCr code values of ``depth`` bits.

        ITU-T H.273 section 8.3, for a resolved description.
        """
        kr, kb = _LUMA[self.matrix]
        kg = 1 - kr - kb
        y = np.array([kr, kg, kb])
        cb = (np.array([0, 0, 1]) - y) / (2 * (1 - kb))
        cr = (np.array([1, 0, 0]) - y) / (2 * (1 - kr))
        scale = float(1 << (depth - 8))
        top = float((1 << depth) - 1)
        if self.range == FULL:
            gains, offsets = (top, top, top), (0.0, 128 * scale, 128 * scale)
        else:
            gains, offsets = (
                (219 * scale, 224 * scale, 224 * scale),
                (16 * scale, 128 * scale, 128 * scale),
            )
        rows = [g * r for g, r in zip(gains, (y, cb, cr), strict=True)]
        return np.column_stack([np.stack(rows), np.array(offsets)]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """What compositing must know of a pixel format."""

    name: str
    depth: int
    planes: int
    channels: int
    """Interleaved channels of plane 0: 1 for planar formats, 3 or 4 for packed RGB."""
    shift_x: int
    """log2 of the horizontal chroma subsampling."""
    shift_y: int
    rgb: bool
    alpha: bool

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Numpy type of one sample."""
        return np.dtype(np.uint8 if self.depth == 8 else np.uint16)

    @property
    def gray(self) -> bool:
        """Whether there is only luma."""
        return self.planes == 1 and self.channels == 1

    def shift(self, plane: int) -> tuple[int, int]:
        """Return (x, y) subsampling shifts of ``plane``; 0 for luma, alpha and RGB."""
        return (self.shift_x, self.shift_y) if plane in (1, 2) and not self.rgb else (0, 0)


def _planar(name: str, depth: int, sx: int, sy: int, alpha: bool = False) -> PixelFormat:
    return PixelFormat(name, depth, 4 if alpha else 3, 1, sx, sy, False, alpha)


def _formats() -> dict[str, PixelFormat]:
    found = []
    for sub, (sx, sy) in {
        "420": (1, 1),
        "422": (1, 0),
        "444": (0, 0),
        "440": (0, 1),
        "411": (2, 0),
        "410": (2, 2),
    }.items():
        found.append(_planar(f"yuv{sub}p", 8, sx, sy))
        if sub in ("420", "422", "444", "440"):
            depths: tuple[int, ...] = (10, 12) if sub == "440" else (9, 10, 12, 14, 16)
            found += [_planar(f"yuv{sub}p{d}le", d, sx, sy) for d in depths]
        if sub in ("420", "422", "444"):
            found.append(_planar(f"yuva{sub}p", 8, sx, sy, True))
            depths = (10, 16) if sub == "420" else (10, 12, 16)
            found += [_planar(f"yuva{sub}p{d}le", d, sx, sy, True) for d in depths]
    found.append(PixelFormat("gray", 8, 1, 1, 0, 0, False, False))
    found += [PixelFormat(f"gray{d}le", d, 1, 1, 0, 0, False, False) for d in (10, 12, 14, 16)]
    found.append(PixelFormat("gbrp", 8, 3, 1, 0, 0, True, False))
    found += [PixelFormat(f"gbrp{d}le", d, 3, 1, 0, 0, True, False) for d in (10, 12, 14, 16)]
    found.append(PixelFormat("gbrap", 8, 4, 1, 0, 0, True, True))
    found += [PixelFormat(f"gbrap{d}le", d, 4, 1, 0, 0, True, True) for d in (10, 12, 16)]
    for n in ("rgb24", "bgr24"):
        found.append(PixelFormat(n, 8, 1, 3, 0, 0, True, False))
    for n in ("rgba", "bgra"):
        found.append(PixelFormat(n, 8, 1, 4, 0, 0, True, True))
    formats = {f.name: f for f in found}
    # FFmpeg's old names for full range differ in nothing else; the range goes into Colour.
    return formats | {f"yuvj{sub}p": formats[f"yuv{sub}p"] for sub in ("420", "422", "444", "440")}


FORMATS = _formats()
"""The formats that are composited as they are; sources convert every other to the nearest one."""


def nearest(name: str) -> PixelFormat:
    """Return the opaque format of FORMATS that loses no colour of FFmpeg's format ``name``.

    Where there is none (float, 32 bits) it is the deepest of the same kind.
    """
    if name in FORMATS and not FORMATS[name].alpha:
        return FORMATS[name]
    side = 64
    described = VideoFormat(name, side, side)
    parts = described.components
    depth = max(c.bits for c in parts)
    rgb = described.is_rgb or described.has_palette
    chroma = next((c for c in parts if c.is_chroma), None)
    shift_x = (side // chroma.width).bit_length() - 1 if chroma else 0
    shift_y = (side // chroma.height).bit_length() - 1 if chroma else 0
    gray = not rgb and chroma is None
    fitting = [
        f
        for f in FORMATS.values()
        if f.rgb == rgb
        and not f.alpha
        and f.gray == gray
        and (f.shift_x, f.shift_y) == (shift_x, shift_y)
    ]
    return min(fitting, key=lambda f: (f.depth < depth, abs(f.depth - depth)))


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

    def rgb(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return [h, w, 3] uint8 full-range RGB at ``size`` = (width, height), in one pass.

        The transfer is left as it is: the values are R'G'B' as coded.
        """
        colour = self.colour.resolved(self.width, self.height, rgb=self.format.rgb)
        small = _local.scaler.reformat(
            _scalable(self.picture, colour.range),
            size[0],
            size[1],
            "rgb24",
            src_colorspace=colour.matrix,
            dst_colorspace=colour.matrix,
            src_color_range=colour.range,
            dst_color_range=FULL,
            interpolation="BILINEAR",
            threads=1,
        )
        return np.ascontiguousarray(plane_views(small)[0])

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
    the part of ``container`` that is used, in its own time.
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
    notes: tuple[str, ...] = field(default=())

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.width, self.height
