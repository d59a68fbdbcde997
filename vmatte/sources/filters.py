"""The filters between a decoder and a frame, and what turns a picture upright."""

import math
import struct
from fractions import Fraction
from typing import Any

import av
from av.filter import Graph

from vmatte.errors import InputError


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
    try:
        return picture.side_data
    except ValueError:
        # PyAV 18 cannot list side data with a kind it has no name for (EXIF, for one): drop those.
        graph = filter_graph(
            picture, Fraction(1, 1000), [("sidedata", f"mode=delete:type={k}") for k in _NAMELESS]
        )
        graph.vpush(picture)
        return graph.vpull().side_data


_NAMELESS = range(28, 40)
"""AVFrameSideDataType beyond what PyAV 18 knows."""


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
