"""What a report shows of a picture: all of it, small, and an edge, enlarged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""[H, W, 3 or 4]: RGB or RGBA."""

_SIDE = 360
"""Longer side of the pictures side by side, in pixels."""

_ZOOM = 6
"""The zoomed part is this share of the shorter side."""


@dataclass(frozen=True, slots=True, repr=False)
class View:
    """A picture scaled down, and a part of it at its own size."""

    whole: Pixels
    zoomed: Pixels


def views_of(picture: Pixels, cutouts: Sequence[Pixels]) -> tuple[View, ...]:
    """Return what is shown of a picture and its cut-outs (RGBA), the same part of each."""
    h, w = picture.shape[:2]
    scale = min(1.0, _SIDE / max(h, w))
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    left, top, right, bottom = zoom_box([c[:, :, 3] for c in cutouts])
    return tuple(
        View(
            np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA), np.uint8),
            p[top:bottom, left:right].copy(),
        )
        for p in (picture, *cutouts)
    )


def zoom_box(alphas: Sequence[NDArray[np.uint8]]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the edge where the mattes differ most.

    Of one matte, or where all are equal, of its softest edge.
    """
    h, w = alphas[0].shape
    side = max(16, min(h, w) // _ZOOM)
    stack = [a.astype(np.float32) / 255 for a in alphas]

    def near(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        blurred = cv2.blur(values.astype(np.float32), (side, side), borderType=cv2.BORDER_REPLICATE)
        return np.asarray(blurred, np.float32)

    edges = [cv2.morphologyEx(a, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) for a in stack]
    # Within a part that one model leaves out there is nothing to see of the others' edges.
    interest = near(np.std(stack, axis=0)) * near(np.mean(edges, axis=0))
    if not interest.max() > 0:
        interest = near(0.5 - np.abs(stack[0] - 0.5))
    y, x = np.unravel_index(int(np.argmax(interest)), interest.shape)
    left = int(np.clip(int(x) - side // 2, 0, max(0, w - side)))
    top = int(np.clip(int(y) - side // 2, 0, max(0, h - side)))
    return left, top, min(w, left + side), min(h, top + side)
