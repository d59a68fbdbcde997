"""Where a picture and its subject have gone since the last one, and how far that can be believed.

Dense optical flow: DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016).

What moves a matte's edge is the subject, not what lies behind it. Flow cannot tell the two apart at
the edge itself, so there the subject's own motion, read within it and spread outwards, takes its
place, and only colours of the subject are compared to see whether it holds.
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.fullmatte import Map

_TRUST = 22.0
"""Difference of carried and present picture, in 8-bit levels, at which trust has fallen to 1/e."""

_CUT = 0.3
"""Mean trust below which nothing is carried: the picture is another one."""

_SIDE = 256
"""Longer side at which all of this is computed."""

_LEAST = 16
"""Shorter side that the flow's patches need; smaller pictures are taken to stand still."""

_NEAR, _WITHIN, _SPREAD, _COMPARED = 7, 5, 21, 11
"""Boxes, in pixels at that size: what counts as the edge, how far within it the subject's motion is
read, how far that is spread, and what is compared around a pixel."""

_BEHIND = 0.02
"""Weight of what is not the subject, where both are compared."""


def carry(values: Map, place: Map, *, sharp: bool = False) -> Map:
    """Return a map of the last frame as it lies in the present one, [h, w] float32.

    sharp: without the blur that a matte carried from frame to frame would gather; for 0..1.
    """
    way = cv2.INTER_CUBIC if sharp else cv2.INTER_LINEAR
    carried: Map = cv2.remap(values, place, None, way, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(carried, 0, 1, out=carried) if sharp else carried


def follow(
    rgb: NDArray[np.uint8], before: NDArray[np.uint8], alpha: Map, alpha_before: Map
) -> tuple[Map, Map]:
    """Return where each pixel of a matte was in the last frame, and how far that can be believed.

    rgb, alpha: [h, w, 3] uint8 and [h, w] float32. Returns [h, w, 2] float32 of x and y, and
    [h, w] in 0..1, which is 0 where the picture is another one.
    """
    h, w = alpha.shape
    scale = min(1.0, _SIDE / max(h, w))
    size = (round(w * scale), round(h * scale))
    if min(size) < _LEAST:
        size = (w, h)
    now, then = _shrunk(rgb, size), _shrunk(before, size)
    matte, last = _shrunk(alpha, size), _shrunk(alpha_before, size)
    flow = _along_subject(_flow(now, then), matte)
    believed = _trust(now, then, matte, last, _grid(*size[::-1]) + flow)
    if size != (w, h):
        flow = cv2.resize(flow, (w, h), interpolation=cv2.INTER_LINEAR)
        flow *= np.array([w / size[0], h / size[1]], np.float32)
        believed = cv2.resize(believed, (w, h), interpolation=cv2.INTER_LINEAR)
    return _grid(h, w) + flow, believed


def speed(place: Map) -> Map:
    """Return how far each pixel went, in longer sides of the picture."""
    h, w = place.shape[:2]
    moved: Map = cv2.magnitude(*cv2.split(place - _grid(h, w)))
    moved *= np.float32(1 / max(h, w))
    return moved


def _shrunk(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    if image.shape[1::-1] == size:
        return image
    smaller: NDArray[Any] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return smaller


def _flow(now: NDArray[np.uint8], then: NDArray[np.uint8]) -> Map:
    """Return the way back from each pixel, [h, w, 2] float32."""
    if min(now.shape[:2]) < _LEAST:
        return np.zeros((*now.shape[:2], 2), np.float32)
    # Full resolution counts, at the subject's edge; refinement by variation, at three times the
    # cost, does not.
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    dis.setFinestScale(0)
    gray, before = (cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (now, then))
    flow: Map = dis.calc(gray, before, None)
    return flow


def _along_subject(flow: Map, alpha: Map) -> Map:
    """Return ``flow``, at the subject's edge the subject's own."""
    within = cv2.erode(alpha, np.ones((_WITHIN, _WITHIN), np.uint8))
    share = _mean(within, _SPREAD)
    moved = _mean(flow * within[:, :, None], _SPREAD)
    moved /= (share + np.float32(1e-6))[:, :, None]
    solid = cv2.erode(alpha, np.ones((_NEAR, _NEAR), np.uint8))
    edge = np.clip(share * 20, 0, 1) * np.clip((1 - solid) * 10, 0, 1)
    found: Map = flow + (moved - flow) * edge[:, :, None]
    return found


def _trust(
    now: NDArray[np.uint8], then: NDArray[np.uint8], alpha: Map, last: Map, place: Map
) -> Map:
    carried = cv2.remap(then, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    difference = cv2.absdiff(carried, now).max(2).astype(np.float32)
    weight = cv2.min(alpha, carry(last, place)) + np.float32(_BEHIND)
    difference = _mean(difference * weight, _COMPARED) / _mean(weight, _COMPARED)
    believed: Map = np.exp(-np.square(difference * np.float32(1 / _TRUST)))
    return believed if believed.mean() >= _CUT else np.zeros_like(believed)


def _mean(values: Map, side: int) -> Map:
    blurred: Map = cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE)
    return blurred


@lru_cache(8)
def _grid(h: int, w: int) -> Map:
    y, x = np.mgrid[:h, :w].astype(np.float32)
    grid: Map = np.dstack([x, y])
    grid.flags.writeable = False
    return grid
