"""Temporal coherence for models that look at one frame at a time.

The last alpha is carried to the present frame along the subject's motion (vmatte.matting.motion)
and averaged with the model's, as far as the carried subject looks like the present one: where it
does not (occlusions, motion that the flow lost, cuts) the model stands alone. It works at the
working size, before refinement, and needs no frame to come: nothing is delayed.

Every pixel counts the frames that its average holds, so that the second frame weighs a half and not
a tenth. Constants were chosen on three of the seven videos of benchmarks/stabilise.py, but for
_SPEED, chosen on the first frames of all.
"""

from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vmatte.fullmatte import Map
from vmatte.matting.base import Engine, Matte, Matter, for_still
from vmatte.matting.motion import carry, follow, speed

S = TypeVar("S")

_MEMORY = 12
"""Frames that an average may hold besides the present one, where nothing moves."""

_SPEED = 0.35 / 256
"""Motion in a frame, as a share of the longer side, at which it may hold half as many: each carry
of what moves puts it a little wrong."""

WARMUP = 32
"""Frames after which the average forgets what came before them: see benchmarks/warmup.py."""


@dataclass(frozen=True, slots=True)
class Stabilised(Generic[S]):
    """State of a stabilised model: the model's own, and the last picture, alpha and counts.

    rgb: [h, w, 3] uint8; alpha and count: [h, w] float32. None before the first frame.
    """

    inner: S
    rgb: NDArray[np.uint8] | None = None
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
        alpha, count = matte.alpha, np.zeros_like(matte.alpha)
        if state.rgb is not None and state.alpha is not None and state.count is not None:
            place, believed = follow(rgb, state.rgb, matte.alpha, state.alpha)
            longest = _MEMORY / (1 + speed(place) / np.float32(_SPEED))
            count = believed * np.minimum(carry(state.count, place) + 1, longest)
            weight = count / (count + 1)
            alpha = matte.alpha + weight * (carry(state.alpha, place, sharp=True) - matte.alpha)
        return replace(matte, alpha=alpha), Stabilised(inner, rgb, alpha, count)

    def for_still(self) -> Matter[Any]:
        """Return the inner matter for a picture on its own: there is nothing to average."""
        return for_still(self._inner)

    def close(self) -> None:
        """Free the network."""
        self._inner.close()
