"""Temporal coherence for models that look at one frame at a time.

The last alpha is carried to the present frame along dense optical flow (DIS, Kroeger et al., ECCV
2016) and averaged with the model's, as far as the carried picture looks like the present one: where
it does not (occlusions, motion that the flow lost, cuts) the model stands alone. It works at the
working size, before refinement, and needs no frame to come: nothing is delayed.

Every pixel counts the frames that its average holds, so that the second frame weighs a half and not
a tenth. Constants were chosen on clips that
benchmarks/stabilise.py does not score.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.fullmatte import Map
from vmatte.matting.base import Engine, Matte, Matter

S = TypeVar("S")

_MEMORY = 6
"""Frames that an average may hold besides the present one."""

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
            place = _motion(gray, state.gray)
            trust = _trust(gray, carry(state.gray, place), place)
            count = trust * np.minimum(carry(state.count, place) + 1, _MEMORY)
            weight = count / (count + 1)
            alpha = matte.alpha + weight * (carry(state.alpha, place) - matte.alpha)
        return replace(matte, alpha=alpha), Stabilised(inner, gray, alpha, count)

    def close(self) -> None:
        """Free the network."""
        self._inner.close()


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


def _motion(gray: NDArray[np.uint8], before: NDArray[np.uint8]) -> Map:
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


def _trust(gray: NDArray[np.uint8], carried: Map, place: Map) -> Map:
    """Return how far what was carried can be believed, [h, w] in 0..1."""
    difference = cv2.blur(cv2.absdiff(carried, gray.astype(np.float32)), (5, 5))
    # Where the flow bends, something comes to light or is covered, and the border is a guess.
    flow = place - _grid(*gray.shape)
    bend = sum(np.square(cv2.Sobel(flow, -1, *d, ksize=3, scale=1 / 8)) for d in ((1, 0), (0, 1)))
    doubt = np.square(difference / np.float32(_TRUST)) + cv2.transform(bend, _BEND)
    trust: Map = np.exp(-doubt)
    return trust if trust.mean() >= _CUT else np.zeros_like(trust)


@lru_cache(8)
def _grid(h: int, w: int) -> Map:
    y, x = np.mgrid[:h, :w].astype(np.float32)
    grid: Map = np.dstack([x, y])
    grid.flags.writeable = False
    return grid
