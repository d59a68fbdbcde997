"""Where a picture has gone since the last one, and how far that can be believed.

Dense optical flow: DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016).
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.fullmatte import Map

_TRUST = 10.0
"""Difference of carried and present picture, in 8-bit levels, at which trust has fallen to 1/e."""

_BEND = np.full((1, 2), 1 / 0.3**2, np.float32)
"""The same for the flow's change from pixel to pixel: 0.3."""

_CUT = 0.3
"""Mean trust below which nothing is carried: the picture is another one."""

_SIDE = 256
"""Longer side at which flow is computed."""

_LEAST = 16
"""Shorter side that the flow's patches need; smaller pictures are taken to stand still."""


def carry(values: NDArray[np.generic], place: Map) -> Map:
    """Return a map of the last frame as it lies in the present one, [h, w] float32."""
    carried: Map = cv2.remap(
        values.astype(np.float32, copy=False),
        place,
        None,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return carried


def motion(gray: NDArray[np.uint8], before: NDArray[np.uint8]) -> Map:
    """Return where each pixel was in the last frame, [h, w, 2] float32 of x and y."""
    h, w = gray.shape
    grid = _grid(h, w)
    scale = min(1.0, _SIDE / max(h, w))
    size = (round(w * scale), round(h * scale))
    if min(size) < _LEAST:
        return grid
    now, then = (cv2.resize(g, size, interpolation=cv2.INTER_AREA) for g in (gray, before))
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    dis.setFinestScale(1)
    flow: Map = dis.calc(now, then, None)
    if size != (w, h):
        flow = cv2.resize(flow, (w, h), interpolation=cv2.INTER_LINEAR)
        flow *= np.array([w / size[0], h / size[1]], np.float32)
    return grid + flow


def trust(gray: NDArray[np.uint8], carried: Map, place: Map) -> Map:
    """Return how far what was carried can be believed, [h, w] in 0..1."""
    difference = cv2.blur(cv2.absdiff(carried, gray.astype(np.float32)), (5, 5))
    # Where the flow bends, something comes to light or is covered, and the border is a guess.
    flow = place - _grid(*gray.shape)
    bend = sum(np.square(cv2.Sobel(flow, -1, *d, ksize=3, scale=1 / 8)) for d in ((1, 0), (0, 1)))
    doubt = np.square(difference / np.float32(_TRUST)) + cv2.transform(bend, _BEND)
    believed: Map = np.exp(-doubt)
    return believed if believed.mean() >= _CUT else np.zeros_like(believed)


@lru_cache(8)
def _grid(h: int, w: int) -> Map:
    y, x = np.mgrid[:h, :w].astype(np.float32)
    grid: Map = np.dstack([x, y])
    grid.flags.writeable = False
    return grid
