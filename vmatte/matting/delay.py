"""The one-frame-delay rule: what is true of a single frame alone was a flicker.

Ke et al., "MODNet", AAAI 2022, section 3.5 (OFD): a pixel whose neighbours in time agree, while it
differs from both, takes their mean. The frame after must be known first, so each is held back until
then.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vmatte.frames import Frame
from vmatte.fullmatte import Map
from vmatte.matting.base import Matte

Matted = tuple[Frame, NDArray[np.uint8], Matte]
"""A frame, what the model saw of it, and its matte."""

_DIFFERENT = np.float32(0.1)
"""Alphas further apart than this differ, nearer ones agree. MODNet's published value."""


def one_frame_delay(matted: Iterable[Matted]) -> Iterator[Matted]:
    """Yield every frame, in order, its matte settled by those before and after it.

    One is held back, the last one too until ``matted`` ends. The first and last of a segment have
    one neighbour only and stay as they are.
    """
    before: Matted | None = None
    held: Matted | None = None
    for item in matted:
        if held is not None:
            yield held if before is None else _settled(before, held, item)
        before, held = held, item
    if held is not None:
        yield held


def settled(before: Map, alpha: Map, after: Map) -> Map:
    """Return ``alpha``, where its neighbours in time agree against it their mean."""
    agree = np.abs(before - after) <= _DIFFERENT
    differs = np.minimum(np.abs(alpha - before), np.abs(alpha - after)) > _DIFFERENT
    mean = (before + after) * np.float32(0.5)
    return np.where(agree & differs, mean, alpha)


def _settled(before: Matted, held: Matted, after: Matted) -> Matted:
    frame, rgb, matte = held
    for other, seen, _ in (before, after):
        if other.segment != frame.segment or seen.shape != rgb.shape:
            return held
    alpha = settled(before[2].alpha, matte.alpha, after[2].alpha)
    return frame, rgb, replace(matte, alpha=alpha)
