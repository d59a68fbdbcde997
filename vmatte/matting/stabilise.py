"""Temporal coherence for models that look at one frame at a time.

The last alpha is carried to the present frame along dense optical flow (vmatte.matting.motion) and
averaged with the model's, as far as the carried picture looks like the present one: where it does
not (occlusions, motion that the flow lost, cuts) the model stands alone. It works at the working
size, before refinement, and needs no frame to come: nothing is delayed.

Every pixel counts the frames that its average holds, so that the second frame weighs a half and not
a tenth. Constants were chosen on clips that are not scored.
"""

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.fullmatte import Map
from vmatte.matting.base import Engine, Matte, Matter
from vmatte.matting.motion import carry, motion, trust

S = TypeVar("S")

_MEMORY = 4
"""Frames that an average may hold besides the present one."""


@dataclass(frozen=True, slots=True)
class Stabilised(Generic[S]):
    """State of a stabilised model: the model's own, and the last picture, alpha and counts.

    gray: [h, w] uint8; alpha and count: [h, w] float32. None before the first frame.
    """

    inner: S
    gray: NDArray[np.uint8] | None = None
    alpha: Map | None = None
    count: Map | None = None


class StabilisedMatter(Generic[S]):
    """Any matter, its alpha averaged along the motion of the picture. See Matter."""

    def __init__(self, inner: Matter[S]) -> None:
        """Wrap ``inner``, and close it when closed."""
        self._inner = inner

    @property
    def engine(self) -> Engine:
        """What really runs."""
        return self._inner.engine

    def working_size(self, width: int, height: int, share: float = 1.0) -> tuple[int, int]:
        """Return the inner matter's."""
        return self._inner.working_size(width, height, share)

    def start(self, width: int, height: int) -> Stabilised[S]:
        """Return the state before the first frame."""
        return Stabilised(self._inner.start(width, height))

    def step(self, rgb: NDArray[np.uint8], state: Stabilised[S]) -> tuple[Matte, Stabilised[S]]:
        """Matte one picture, see Matter."""
        matte, inner = self._inner.step(rgb, state.inner)
        gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        alpha, count = matte.alpha, np.zeros_like(matte.alpha)
        if state.gray is not None and state.alpha is not None and state.count is not None:
            place = motion(gray, state.gray)
            believed = trust(gray, carry(state.gray, place), place)
            count = believed * np.minimum(carry(state.count, place) + 1, _MEMORY)
            weight = count / (count + 1)
            alpha = matte.alpha + weight * (carry(state.alpha, place) - matte.alpha)
        return replace(matte, alpha=alpha), Stabilised(inner, gray, alpha, count)

    def close(self) -> None:
        """Free the network."""
        self._inner.close()
