"""The subject's own colour where it is half-transparent."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.floating[Any]]

SIDE = 128
"""Longer side, at most, at which colours are spread: they are blurred anyway."""

RADII = (90 / 1024, 6 / 1024)
"""Box radii, as shares of the longer side: those published for 1024."""


def estimate_foreground(image: Map, alpha: Map, top: float = 1.0) -> Map:
    """Return the foreground's colour, [h, w, C] float32 in 0..top, for a picture and its alpha.

    image: [h, w, C] float32 in 0..top, RGB or what is linear in it; alpha: [h, w] float32.
    Blur-fusion, twice (Forte and Pitie, Approximate Fast Foreground Colour Estimation, ICIP 2021,
    equations 3 to 5): blur foreground and background apart, then correct the foreground by what the
    blend of the two leaves unexplained. The blurs run at a reduced size, the last correction at
    full working size.
    """
    small, opacity = image, alpha
    while max(opacity.shape) > SIDE:
        # OpenCV is many times as fast at halving as at other factors.
        size = (-(-opacity.shape[1] // 2), -(-opacity.shape[0] // 2))
        small, opacity = (cv2.resize(x, size) for x in (small, opacity))
    radii = [max(1, round(r * max(opacity.shape))) for r in RADII]
    near, far = _spread(small, small, opacity, radii[0])
    near, far = _spread(_correct(small, near, far, opacity, top), far, opacity, radii[1])
    near, far = (cv2.resize(x, alpha.shape[::-1]) for x in (near, far))
    return _correct(image, near, far, alpha, top)


def _as(plane: Map, image: Map) -> Map:
    """Return [h, w] with the channels of ``image``: numpy is slow at stretching [h, w, 1]."""
    repeated: Map = cv2.merge([plane] * image.shape[2]) if image.ndim > 2 else plane
    return repeated


def _spread(foreground: Map, background: Map, opacity: Map, radius: int) -> tuple[Map, Map]:
    """Return foreground and background, each blurred with its own weight."""
    side = (2 * radius + 1, 2 * radius + 1)

    def mean(x: Map) -> Map:
        blurred: Map = cv2.blur(x, side, borderType=cv2.BORDER_REPLICATE)
        return blurred

    weight = _as(opacity, foreground)
    share = mean(opacity)
    near, far = mean(foreground * weight), mean(background - background * weight)
    near *= _as(np.float32(1) / (share + np.float32(1e-5)), near)
    far *= _as(np.float32(1) / (np.float32(1 + 1e-5) - share), far)
    return near, far


def _correct(image: Map, near: Map, far: Map, opacity: Map, top: float) -> Map:
    """Return ``near`` plus what the blend of near and far leaves unexplained of the picture."""
    weight = _as(opacity, image)
    unexplained = near - far
    unexplained *= weight
    np.subtract(image, unexplained, out=unexplained)
    unexplained -= far
    unexplained *= weight
    unexplained += near
    cv2.max(unexplained, 0.0, unexplained)
    # Not cv2.min, whose scalar is for the first channel only.
    cv2.threshold(unexplained, top, top, cv2.THRESH_TRUNC, unexplained)
    return unexplained
