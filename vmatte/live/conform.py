"""Frames of any size, format and colour brought to those of a stream; mirrored frames."""

from dataclasses import replace
from fractions import Fraction

import cv2

from vmatte.colour import Colour
from vmatte.frames import Frame, StreamInfo, new_picture, plane_views
from vmatte.pixels import FORMATS

_SQUEEZE = 0.01
"""How much a picture's shape may be off before black bars make up for it, as a share."""


def conform(frame: Frame, info: StreamInfo, shape: Fraction | None = None) -> Frame:
    """Return ``frame`` with size, format and YUV encoding of ``info``.

    shape: of its pixels, width over height; None where they are square. A picture of another
    aspect lies between black bars. Primaries and transfer are taken to be those of ``info``.
    """
    same_size = (frame.width, frame.height) == info.size
    target = FORMATS[info.format.name]
    if (
        same_size
        and frame.format == target
        and _encoding(frame, frame.colour) == _encoding(frame, info.colour)
    ):
        return frame if frame.colour == info.colour else replace(frame, colour=info.colour)
    aspect = frame.width * (shape or 1) / frame.height
    wanted = info.width * (info.sample_aspect_ratio or 1) / info.height
    share = float(aspect / wanted)
    if abs(share - 1) <= _SQUEEZE:
        return _labelled(frame.convert(target.name, info.size, info.colour), info)
    # Whole chroma samples, so that the picture's edge lies between two of them.
    sx, sy = 1 << target.shift_x, 1 << target.shift_y
    width = min(info.width, max(sx, round(info.width * min(1.0, share) / sx) * sx))
    height = min(info.height, max(sy, round(info.height * min(1.0, 1 / share) / sy) * sy))
    small = frame.convert(target.name, (width, height), info.colour)
    canvas = blank(info)
    x = (info.width - width) // 2 // sx * sx
    y = (info.height - height) // 2 // sy * sy
    for index, (plane, part) in enumerate(zip(canvas.planes, small.planes, strict=True)):
        dx, dy = target.shift(index)
        h, w = part.shape[:2]
        plane[y >> dy : (y >> dy) + h, x >> dx : (x >> dx) + w] = part
    return _labelled(replace(small, picture=canvas.picture), info)


def blank(info: StreamInfo, level: float = 0.0) -> Frame:
    """Return a gray frame of ``info``: ``level`` is from 0 (black) to 1 (white); alpha is 0."""
    format = info.format
    colour = info.colour.resolved(info.width, info.height, rgb=format.rgb)
    top = (1 << format.depth) - 1
    if format.rgb:
        codes = [level * top] * 3
    else:
        matrix = colour.rgb_to_yuv(format.depth)
        codes = [float(v) for v in matrix[:, :3].sum(1) * level + matrix[:, 3]]
    picture = new_picture(info.width, info.height, format.name)
    for index, plane in enumerate(plane_views(picture)):
        if format.channels > 1:
            plane[...] = 0
            plane[:, :, :3] = round(codes[0])
        else:
            plane[...] = round(codes[index]) if index < 3 else 0
    return Frame(picture, 0, info.time_base, info.colour)


def mirrored(frame: Frame) -> Frame:
    """Return ``frame`` with left and right exchanged."""
    picture = new_picture(frame.width, frame.height, frame.picture.format.name)
    for out, plane in zip(plane_views(picture), frame.planes, strict=True):
        cv2.flip(plane, 1, dst=out)
    return replace(frame, picture=picture)


def _encoding(frame: Frame, colour: Colour) -> tuple[int, int]:
    known = colour.resolved(frame.width, frame.height, rgb=frame.format.rgb)
    return (0 if frame.format.rgb else known.matrix, known.range)


def _labelled(frame: Frame, info: StreamInfo) -> Frame:
    return replace(frame, colour=info.colour)
