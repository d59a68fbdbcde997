"""The subject's own colour where it is half-transparent."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.floating[Any]]

_SIDE = 256
"""Longer side at which colours are spread: they are blurred anyway."""

_RADII = (23, 2)
"""Box radii at that size: those published for 1024 (90 and 6), scaled."""


def estimate_foreground(image: Map, alpha: Map) -> Map:
    """Return the foreground colour, [h, w, 3] float32 RGB in 0..1, for a picture and its alpha.

    image: [h, w, 3] float32 RGB in 0..1; alpha: [h, w] float32. Blur-fusion, twice (Forte and
    Pitie, Approximate Fast Foreground Colour Estimation, ICIP 2021, equations 3 to 5): blur
    foreground and background apart, then correct the foreground by what the blend of the two
    leaves unexplained. The blurs run at a reduced size, the last correction at full working size.
    """
    h, w = alpha.shape
    scale = min(1.0, _SIDE / max(h, w))
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    opacity = _grey(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA))
    near, far = _spread(small, small, opacity, _RADII[0])
    near, far = _spread(_correct(small, near, far, opacity), far, opacity, _RADII[1])
    near = cv2.resize(near, (w, h), interpolation=cv2.INTER_LINEAR)
    far = cv2.resize(far, (w, h), interpolation=cv2.INTER_LINEAR)
    return _correct(image, near, far, _grey(alpha))


def _grey(plane: Map) -> Map:
    """Return [h, w] as [h, w, 3]: numpy takes many times as long to stretch one of [h, w, 1]."""
    grey: Map = cv2.merge([plane] * 3)
    return grey


def _spread(foreground: Map, background: Map, opacity: Map, radius: int) -> tuple[Map, Map]:
    """Return foreground and background, each blurred with its own weight."""
    side = (2 * radius + 1, 2 * radius + 1)

    def mean(x: Map) -> Map:
        blurred: Map = cv2.blur(x, side, borderType=cv2.BORDER_REPLICATE)
        return blurred

    share = mean(opacity)
    near = mean(foreground * opacity) / (share + np.float32(1e-5))
    far = mean(background * (1 - opacity)) / (1 - share + np.float32(1e-5))
    return near, far


def _correct(image: Map, near: Map, far: Map, opacity: Map) -> Map:
    """Return ``near`` plus what the blend of near and far leaves unexplained of the picture."""
    unexplained = image - far - opacity * (near - far)
    unexplained *= opacity
    unexplained += near
    return np.clip(unexplained, 0, 1, out=unexplained)
