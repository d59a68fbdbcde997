"""Frames as a screen, a JPEG or a camera shows them: 8 bits, standard range."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vmatte.colour import FULL
from vmatte.composite.hdr import tone_curve
from vmatte.frames import Frame


def to_bgr(frame: Frame, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Return [h, w, 3] uint8 BGR at ``size`` = (width, height), HDR brought into its range.

    Transparency is left out. The array may be the frame's own memory: do not write to it.
    """
    bgr: NDArray[np.uint8] = frame.convert("bgr24", size, replace(frame.colour, range=FULL)).planes[
        0
    ]
    return tone_curve(frame.colour.transfer)[bgr] if frame.colour.hdr else bgr
