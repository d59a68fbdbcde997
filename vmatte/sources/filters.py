"""The filters between a decoder and a frame, and what turns a picture upright."""

import math
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.error
from av.filter import Graph

from vmatte.colour import UNSUPPORTED, Colour
from vmatte.errors import InputError, UnsupportedMediaError
from vmatte.pixels import nearest

MIN_SIDE = 16
"""Pixels; anything smaller has no picture to matte."""
MAX_PIXELS = 1 << 27
"""134 million, a little more than 16K; beyond it one frame alone takes gigabytes."""

DEINTERLACED = "deinterlaced"


class Upright:
    """Makes decoded pictures of one shape upright, progressive, and of a format of FORMATS."""

    def __init__(self, name: str, picture: av.VideoFrame, time_base: Fraction) -> None:
        """Set up what ``picture``, the first of its shape, tells. Raises InputError."""
        check_size(name, picture.width, picture.height)
        self._native = nearest(picture.format.name)
        matrix = Colour.of(picture).matrix
        if matrix in UNSUPPORTED and not (self._native.rgb or self._native.gray):
            raise UnsupportedMediaError(
                f"{name}: its colours are coded as {UNSUPPORTED[matrix]}, which vmatte cannot "
                "convert; convert it to BT.709 or BT.2020 first"
            )
        self._turn, self.rotation = upright(picture)
        self.interlaced = bool(picture.interlaced_frame)
        self.shape = shape_of(picture)
        self._time_base = time_base
        self._graph = self._filters(picture)
        turned = self.rotation % 180 == 90
        self.size = self.shape[:2] if not turned else (picture.height, picture.width)
        self.format = nearest(self._format_after(picture))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is done, for people."""
        notes = []
        if self.rotation or self._turn:
            notes.append(f"turned upright by {self.rotation} degrees")
        if self.interlaced:
            notes.append(DEINTERLACED)
        return tuple(notes)

    def _filters(self, picture: av.VideoFrame) -> Graph | None:
        """Return what makes such pictures upright, whole and native; None where they are."""
        filters = []
        if self.interlaced:
            filters.append(("bwdif", "mode=send_frame:deint=interlaced"))
        filters += self._turn
        if not filters and self._native.name == picture.format.name.replace("yuvj", "yuv"):
            return None
        filters.append(("format", self._format_after(picture)))
        return filter_graph(picture, self._time_base, filters)

    def _format_after(self, picture: av.VideoFrame) -> str:
        native = self._native
        if native.shift_x != native.shift_y and self.rotation % 180:
            # Turned by 90 degrees, 4:2:2 would become 4:4:0, which no encoder takes.
            return native.name.replace("yuv422", "yuv444").replace("yuv411", "yuv444")
        return picture.format.name if picture.format.name.startswith("yuvj") else native.name

    def push(self, picture: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """Yield what ``picture``, or None at the end, brings; deinterlacing is a picture behind."""
        if picture is not None and picture.interlaced_frame and not self.interlaced:
            # Broadcasts mix film and video.
            yield from self.push(None)
            self.interlaced = True
            self._graph = self._filters(picture)
        graph = self._graph
        if graph is None:
            if picture is not None:
                yield picture
            return
        graph.vpush(picture)
        while True:
            try:
                yield graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def shape_of(picture: av.VideoFrame) -> tuple[int, int, str]:
    """Return width, height and pixel format."""
    return picture.width, picture.height, picture.format.name


def check_size(name: str, width: int, height: int) -> None:
    """Raise UnsupportedMediaError where a picture is too small or too large to be matted."""
    if min(width, height) < MIN_SIDE or width * height > MAX_PIXELS:
        raise UnsupportedMediaError(
            f"{name}: its picture is {width}x{height}; expected at least {MIN_SIDE} pixels a side "
            f"and at most {MAX_PIXELS // 10**6} million in all; scale it first"
        )


def upright(picture: av.VideoFrame) -> tuple[list[tuple[str, str]], int]:
    """Return the filters that undo the display matrix, and its clockwise angle in degrees.

    The matrix is nine 32-bit numbers, ISO/IEC 14496-12 section 6.2.2.
    """
    data = _side_data(picture).get("DISPLAYMATRIX")
    if data is None:
        return [], 0
    a, b, _, c, d = struct.unpack("<9i", bytes(data))[:5]
    angle = round(math.degrees(math.atan2(b, a))) % 360
    mirrored = a * d - b * c < 0
    if angle == 90:
        return [("transpose", "cclock_flip" if c > 0 else "clock")], 90
    if angle == 270:
        return [("transpose", "clock_flip" if c < 0 else "cclock")], 270
    if angle == 180:
        return ([("hflip", "")] if mirrored else [("hflip", ""), ("vflip", "")]), 180
    if angle == 0:
        return ([("vflip", "")] if mirrored else []), 0
    raise InputError(
        f"the picture is to be shown turned by {angle} degrees; only multiples of 90 can be kept"
    )


def _side_data(picture: av.VideoFrame) -> Any:
    """Return the picture's display matrix, if any, by its name; nothing else is there."""
    # PyAV 18 frees names within side data twice, as of a PNG's colour profile, and cannot list
    # kinds that it has no name for, such as EXIF.
    others = [("sidedata", f"mode=delete:type={k}") for k in _KINDS if k != _MATRIX]
    graph = filter_graph(picture, Fraction(1, 1000), others)
    graph.vpush(picture)
    return graph.vpull().side_data


_KINDS, _MATRIX = range(40), 6
"""AVFrameSideDataType: all, a few to come included; and that of the display matrix."""


def filter_graph(
    picture: av.VideoFrame, time_base: Fraction, filters: list[tuple[str, Any]]
) -> Graph:
    graph = Graph()
    nodes = [
        graph.add_buffer(
            width=picture.width,
            height=picture.height,
            format=picture.format,
            time_base=time_base,
        )
    ]
    nodes += [graph.add(name, args) if args else graph.add(name) for name, args in filters]
    nodes.append(graph.add("buffersink"))
    graph.link_nodes(*nodes).configure()
    return graph
