"""What is certain: trimaps of the frame's size, and what they make of a matte."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.errors import InputError, reading
from vmatte.fullmatte import Map
from vmatte.steer.options import Box

Trimap = NDArray[np.uint8]
"""[H, W] uint8: 0 certainly background, 255 certainly subject, 128 not known."""

UNKNOWN = 128


def read_trimap(path: Path, width: int, height: int, *, stretch: bool) -> Trimap:
    """Read an image as a trimap: near white is subject, near black background, the rest unknown.

    Transparent pixels are unknown. stretch: scale an image of the frame's shape but another size.
    Raises InputNotFoundError and InputError.
    """
    with reading(str(path)):
        data = path.read_bytes()
    # Read as bytes: OpenCV itself cannot open every name, and fails on nothing.
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if found is None:
        raise InputError(f"{path}: not an image that can be read; expected PNG, JPEG, TIFF or WebP")
    image: NDArray[np.uint8] = found if found.dtype == np.uint8 else (found / 257).astype(np.uint8)
    trimap = trimap_of(image.reshape(found.shape[0], found.shape[1], -1))
    h, w = trimap.shape[:2]
    if (w, h) == (width, height):
        return trimap
    if not stretch or abs(w * height - h * width) > max(w, h, width, height):
        raise InputError(
            f"{path}: is {w}x{h}, but the frame is {width}x{height}; give one of the frame's size"
        )
    resized: Trimap = cv2.resize(trimap, (width, height), interpolation=cv2.INTER_NEAREST)
    return resized


def trimap_of(image: NDArray[np.uint8]) -> Trimap:
    """Return what an image of gray or colours, [H, W, 1 to 4], says; alpha is its last channel."""
    opaque = image[:, :, 3] >= 128 if image.shape[2] == 4 else np.ones(image.shape[:2], bool)
    colours = image[:, :, : 1 if image.shape[2] < 3 else 3]
    trimap = np.full(image.shape[:2], UNKNOWN, np.uint8)
    # JPEG leaves rings around strokes; a scribble in colour is neither.
    trimap[opaque & (colours.min(2) >= 230)] = 255
    trimap[opaque & (colours.max(2) <= 25)] = 0
    return trimap


def with_boxes(
    trimap: Trimap | None, keep: tuple[Box, ...], drop: tuple[Box, ...], width: int, height: int
) -> Trimap:
    """Return ``trimap`` with boxes over it; what is both kept and dropped is dropped.

    Raises OptionError where a box is not in the frame.
    """
    found = np.full((height, width), UNKNOWN, np.uint8) if trimap is None else trimap.copy()
    for value, boxes in ((255, keep), (0, drop)):
        for box in boxes:
            left, top, right, bottom = box.pixels(width, height)
            found[top:bottom, left:right] = value
    return found


def certainty(trimap: Trimap, width: int, height: int) -> tuple[Map, Map]:
    """Return how much of each pixel of a width x height picture is kept, and how much dropped."""
    keep, drop = (
        cv2.resize(
            (trimap == value).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
        )
        for value in (255, 0)
    )
    return keep, drop


def impose(alpha: Map, keep: Map, drop: Map) -> Map:
    """Return alpha with what is certain put in."""
    imposed: Map = keep + (1 - keep - drop) * alpha
    return np.clip(imposed, 0, 1, out=imposed)


def impose_exactly(alpha: Map, trimap: Trimap) -> Map:
    """Return alpha at the trimap's own size with what is certain put in, pixel by pixel."""
    found = alpha.copy()
    found[trimap == 255] = 1
    found[trimap == 0] = 0
    return found
