"""Pictures of any kind, fitted to the frame and in its own format."""

from dataclasses import replace
from fractions import Fraction
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.colour import FULL, Colour
from vmatte.composite import hdr
from vmatte.frames import Frame, StreamInfo, from_array, new_picture, plane_views
from vmatte.fullmatte import Region

Fit = Literal["cover", "contain", "stretch"]


def fitted(frame: Frame, info: StreamInfo, fit: Fit, shape: Fraction | None = None) -> Frame:
    """Return ``frame`` fitted to those of ``info``, see ``place``, in their format and colour."""
    if fit == "contain" or frame.colour.hdr or info.colour.hdr:
        return to_native(place(hdr.srgb(frame), info, fit, shape), info)
    # No detour by RGB: the planes are scaled, or taken as they are.
    if fit == "cover":
        aspect = _aspect(info, shape)
        frame = _middle(frame, round(frame.height * aspect), round(frame.width / aspect))
    return frame.convert(info.format.name, info.size, pinned(info))


def _middle(frame: Frame, width: int, height: int) -> Frame:
    """Return the middle of ``frame``, at most so large, cut between its chroma samples."""
    grid = 1 << frame.format.shift_x, 1 << frame.format.shift_y
    w, h = (
        full if part >= full else max(step, part // step * step)
        for full, part, step in zip((frame.width, frame.height), (width, height), grid, strict=True)
    )
    if (w, h) == (frame.width, frame.height):
        return frame
    x, y = (
        (n // 2 // s * s) for n, s in zip((frame.width - w, frame.height - h), grid, strict=True)
    )
    # Not guessed anew from the smaller size.
    colour = frame.colour.resolved(frame.width, frame.height, rgb=frame.format.rgb)
    picture = new_picture(w, h, frame.format.name)
    part = Region(y, y + h, x, x + w)
    for index, (out, plane) in enumerate(zip(plane_views(picture), frame.planes, strict=True)):
        out[...] = plane[part.scaled(frame.format.shift(index)).slices]
    return replace(frame, picture=picture, colour=colour)


def _aspect(info: StreamInfo, shape: Fraction | None) -> float:
    """Return width over height of a frame of ``info``, counted in pixels of that ``shape``."""
    return info.width * float((info.sample_aspect_ratio or 1) / (shape or 1)) / info.height


def place(
    rgb: NDArray[np.uint8], info: StreamInfo, fit: Fit, shape: Fraction | None = None
) -> NDArray[np.uint8]:
    """Return ``rgb`` fitted to a frame of ``info``, as both look once their pixels are square.

    shape: of a pixel of ``rgb``, width over height; None where it is square.
    """
    height, width = rgb.shape[:2]
    aspect = _aspect(info, shape)
    area = cv2.INTER_AREA if width * height > info.width * info.height else cv2.INTER_LINEAR
    if fit == "cover":
        w, h = min(width, round(height * aspect)), min(height, round(width / aspect))
        x, y = (width - w) // 2, (height - h) // 2
        rgb = rgb[y : y + max(h, 1), x : x + max(w, 1)]
    elif fit == "contain":
        share = (width / height) / aspect
        w = max(1, round(info.width * min(1.0, share)))
        h = max(1, round(info.height * min(1.0, 1 / share)))
        canvas = np.zeros((info.height, info.width, 3), np.uint8)
        x, y = (info.width - w) // 2, (info.height - h) // 2
        canvas[y : y + h, x : x + w] = cv2.resize(rgb, (w, h), interpolation=area)
        return canvas
    fitted: NDArray[np.uint8] = cv2.resize(np.ascontiguousarray(rgb), info.size, interpolation=area)
    return fitted


def to_native(rgb: NDArray[np.uint8], info: StreamInfo) -> Frame:
    """Return sRGB of the frame's size in the format and colour of ``info``."""
    if not info.colour.hdr:
        return from_array(rgb, "rgb24").convert(info.format.name, colour=pinned(info))
    signal = hdr.encode(rgb, info.colour.transfer)
    blank = from_array(rgb, "rgb24", colour=Colour(range=FULL)).convert("gbrp16le")
    for plane, channel in zip(plane_views(blank.picture), (1, 2, 0), strict=True):
        plane[...] = signal[:, :, channel]
    return blank.convert(info.format.name, colour=pinned(info))


def pinned(info: StreamInfo) -> Colour:
    """Return the colour with nothing left to guess."""
    return replace(
        info.colour.resolved(info.width, info.height, rgb=info.format.rgb),
        transfer=info.colour.transfer,
    )
