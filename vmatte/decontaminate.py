"""The subject's own colour where it is half-transparent."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.floating[Any]]

_RADII = (45, 5)
"""Box radii at a working size of 512, as published for 1024 (90 and 6), scaled."""


def estimate_foreground(rgb: NDArray[np.uint8], alpha: Map) -> Map:
    """Return the foreground colour, [h, w, 3] float32 RGB in 0..1, for a picture and its alpha.

    Blur-fusion, twice (Forte and Pitie, Approximate Fast Foreground Colour Estimation, ICIP 2021,
    equations 3 to 5): blur foreground and background apart, then correct the foreground by what
    the blend leaves unexplained.
    """
    image = rgb.astype(np.float32) * np.float32(1 / 255)
    opacity = alpha[:, :, None]
    foreground = background = image
    scale = max(rgb.shape[:2]) / 512
    for radius in _RADII:
        side = 2 * max(1, round(radius * scale)) + 1
        foreground, background = _fuse(image, foreground, background, opacity, side)
    clipped: Map = np.clip(foreground, 0, 1)
    return clipped


def _fuse(
    image: Map,
    foreground: Map,
    background: Map,
    opacity: Map,
    side: int,
) -> tuple[Map, Map]:
    def mean(x: Map) -> Map:
        blurred: Map = cv2.blur(x, (side, side), borderType=cv2.BORDER_REPLICATE)
        return blurred

    share = mean(opacity[:, :, 0])[:, :, None]
    near = mean(foreground * opacity) / (share + 1e-5)
    far = mean(background * (1 - opacity)) / ((1 - share) + 1e-5)
    unexplained = image - opacity * near - (1 - opacity) * far
    return near + opacity * unexplained, far
