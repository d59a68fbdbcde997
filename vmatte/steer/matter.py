"""A matter that is told what the user knows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vmatte.fullmatte import Map
from vmatte.matting.base import Engine, Matte, Matter
from vmatte.matting.motion import carry, follow
from vmatte.steer.clean import fill_holes, keep_parts
from vmatte.steer.known import Trimap, certainty, impose, read_trimap, with_boxes
from vmatte.steer.options import SteerOptions
from vmatte.steer.plate import Plate

S = TypeVar("S")


def steered(
    matter: Matter[Any], options: SteerOptions, width: int, height: int, *, still: bool
) -> Matter[Any]:
    """Return ``matter``, told what ``options`` say of frames of width x height.

    still: the source is one picture: a trimap is then exact. Reads the images that are named.
    Raises OptionError and InputError, before the first frame.
    """
    if options.idle:
        return matter
    known = first = None
    if options.scribbles is not None:
        known = read_trimap(options.scribbles, width, height, stretch=True)
    if options.trimap is not None:
        first = read_trimap(options.trimap, width, height, stretch=False)
        if still:
            known = first if known is None else np.where(known == 128, first, known)
            first = None
    if options.keep or options.drop:
        known = with_boxes(known, options.keep, options.drop, width, height)
    plate = None if options.plate is None else Plate(options.plate, width, height)
    return SteeredMatter(matter, options, (width, height), known, first, plate)


def load_steered(
    load: Callable[[], Matter[Any]],
    options: SteerOptions,
    size: tuple[int, int],
    *,
    still: bool = False,
) -> Matter[Any]:
    """Return what ``load`` gives, steered; see ``steered``. Nothing stays loaded on an error."""
    matter = load()
    try:
        return steered(matter, options, *size, still=still)
    except BaseException:
        matter.close()
        raise


@dataclass(frozen=True, slots=True)
class Seen:
    """The last picture, what its matte became, and the trimap as it lay there.

    rgb: [h, w, 3] uint8. alpha: [h, w] float32. keep, drop: the same, how certain each pixel is.
    """

    rgb: NDArray[np.uint8]
    alpha: Map
    keep: Map
    drop: Map


@dataclass(frozen=True, slots=True)
class Steered(Generic[S]):
    """State: the inner matter's, and where a trimap is carried along, what was seen last."""

    inner: S
    seen: Seen | None = None


class SteeredMatter(Generic[S]):
    """Any matter, overridden by what is certain, and cleaned up. See Matter and ``steered``."""

    def __init__(
        self,
        inner: Matter[S],
        options: SteerOptions,
        size: tuple[int, int],
        known: Trimap | None = None,
        first: Trimap | None = None,
        plate: Plate | None = None,
    ) -> None:
        """Wrap ``inner``, and close it when closed.

        size: (width, height) of the frames. known: certain in every frame. first: in the first.
        """
        self._inner, self._options, self._size = inner, options, size
        self._known, self._first, self._plate = known, first, plate

    @property
    def engine(self) -> Engine:
        """What really runs."""
        return self._inner.engine

    def working_size(self, width: int, height: int, share: float = 1.0) -> tuple[int, int]:
        """Return the inner matter's."""
        return self._inner.working_size(width, height, share)

    def start(self, width: int, height: int) -> Steered[S]:
        """Return the state before the first frame."""
        return Steered(self._inner.start(width, height))

    def step(self, rgb: NDArray[np.uint8], state: Steered[S]) -> tuple[Matte, Steered[S]]:
        """Matte one picture, see Matter. Raises InputError where the plate is of another room."""
        matte, inner = self._inner.step(rgb, state.inner)
        alpha, size = matte.alpha, rgb.shape[1::-1]
        if self._plate is not None:
            alpha = self._plate.drop(rgb, alpha)
        alpha = self._cleaned(alpha)
        state = replace(state, inner=inner)
        if self._first is not None:
            state = _carried(state, rgb, alpha, self._first)
            assert state.seen is not None
            alpha = state.seen.alpha
        if self._known is not None:
            alpha = impose(alpha, *certainty(self._known, *size))
        whole = self._options.trimap is not None and self._first is None
        alpha = np.ascontiguousarray(alpha)
        return replace(matte, alpha=alpha, known=self._known, whole=whole), state

    def close(self) -> None:
        """Free the network."""
        self._inner.close()

    def _cleaned(self, alpha: Map) -> Map:
        options = self._options
        if options.fill_holes:
            alpha = fill_holes(alpha)
        if options.drop_specks or options.only != "all":
            share = alpha.size / (self._size[0] * self._size[1])
            least = options.drop_specks**2 * share
            alpha = keep_parts(alpha, least=least, only=options.only)
        return alpha


def _carried(state: Steered[S], rgb: NDArray[np.uint8], alpha: Map, first: Trimap) -> Steered[S]:
    """Return the state with the trimap as it lies in ``rgb``, and alpha as it says."""
    before = state.seen
    if before is None:
        keep, drop = certainty(first, *rgb.shape[1::-1])
    else:
        place, believed = follow(rgb, before.rgb, alpha, before.alpha)
        # What is well believed stays certain, however many frames go by.
        sure = np.minimum(2 * np.square(believed), 1)
        keep, drop = (carry(m, place) * sure for m in (before.keep, before.drop))
    return replace(state, seen=Seen(rgb, impose(alpha, keep, drop), keep, drop))
