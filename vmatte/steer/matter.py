"""A matter that is told what the user knows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vmatte.errors import InputError
from vmatte.fullmatte import Map
from vmatte.matting.base import Engine, Matte, Matter, for_still
from vmatte.matting.motion import carry, follow
from vmatte.steer.clean import fill_holes, keep_parts
from vmatte.steer.known import UNKNOWN, Trimap, certainty, impose, read_trimap, with_boxes
from vmatte.steer.options import SteerOptions
from vmatte.steer.plate import Plate
from vmatte.steer.trimaps import Trimaps, holds_many

S = TypeVar("S")


def steered(
    matter: Matter[Any], options: SteerOptions, width: int, height: int, *, still: bool
) -> Matter[Any]:
    """Return ``matter``, told what ``options`` say of frames of width x height.

    still: the source is one picture: a trimap is then exact, and the model is the one for such,
    see ``for_still``. Reads the images that are named.
    Raises OptionError and InputError, before the first frame.
    """
    if still:
        matter = for_still(matter)
    if options.idle:
        return matter
    known = first = None
    if options.scribbles is not None:
        known = read_trimap(options.scribbles, width, height, stretch=True)
    many = options.trimap is not None and holds_many(options.trimap)
    if many and still:
        raise InputError(
            f"{options.trimap}: is a video or a folder of trimaps, but there is one picture; give "
            "one image, such as a PNG"
        )
    if options.trimap is not None and not many:
        first = read_trimap(options.trimap, width, height, stretch=False)
        if still:
            known, first = _over(first, known), None
    if options.keep or options.drop:
        known = with_boxes(known, options.keep, options.drop, width, height)
    plate = None if options.plate is None else Plate(options.plate, width, height)
    each = Trimaps(options.trimap, width, height) if options.trimap is not None and many else None
    return SteeredMatter(matter, options, (width, height), known, first, each, plate)


def _over(trimap: Trimap, known: Trimap | None) -> Trimap:
    """Return ``trimap`` where ``known`` is open, for what was said by hand counts more."""
    return trimap if known is None else np.where(known == UNKNOWN, trimap, known)


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
    """State: the inner matter's; a trimap of the next frame; where it is carried, what was seen."""

    inner: S
    first: Trimap | None = None
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
        each: Trimaps | None = None,
        plate: Plate | None = None,
    ) -> None:
        """Wrap ``inner``, and close it when closed.

        size: (width, height) of the frames. known: certain in every frame. first: in the first that
        it is ever given. each: for each in turn.
        """
        self._inner, self._options, self._size = inner, options, size
        self._known, self._first, self._each, self._plate = known, first, each, plate
        self._whole = options.trimap is not None and first is None

    @property
    def engine(self) -> Engine:
        """What really runs."""
        return self._inner.engine

    def working_size(self, width: int, height: int, share: float = 1.0) -> tuple[int, int]:
        """Return the inner matter's."""
        return self._inner.working_size(width, height, share)

    def start(self, width: int, height: int) -> Steered[S]:
        """Return the state before the first frame."""
        # After a cut or a gap a frame is the first again, but not the one that the trimap is of.
        first, self._first = self._first, None
        return Steered(self._inner.start(width, height), first)

    def step(self, rgb: NDArray[np.uint8], state: Steered[S]) -> tuple[Matte, Steered[S]]:
        """Matte one picture, see Matter. Raises InputError where the plate is of another room."""
        matte, inner = self._inner.step(rgb, state.inner)
        alpha, size = matte.alpha, rgb.shape[1::-1]
        if self._plate is not None:
            alpha = self._plate.drop(rgb, alpha)
        alpha = self._cleaned(alpha)
        state = _carried(replace(state, inner=inner), rgb, alpha)
        if state.seen is not None:
            alpha = state.seen.alpha
        known = self._known if self._each is None else _over(self._each.next(), self._known)
        if known is not None:
            alpha = impose(alpha, *certainty(known, *size))
        alpha = np.ascontiguousarray(alpha)
        return replace(matte, alpha=alpha, known=known, whole=self._whole), state

    def close(self) -> None:
        """Free the network."""
        if self._each is not None:
            self._each.close()
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


def _carried(state: Steered[S], rgb: NDArray[np.uint8], alpha: Map) -> Steered[S]:
    """Return the state with the trimap, if any, as it lies in ``rgb``, and alpha as it says."""
    before = state.seen
    if state.first is not None:
        keep, drop = certainty(state.first, *rgb.shape[1::-1])
    elif before is not None:
        place, believed = follow(rgb, before.rgb, alpha, before.alpha)
        # What is well believed stays certain, however many frames go by.
        sure = np.minimum(2 * np.square(believed), 1)
        keep, drop = (carry(m, place) * sure for m in (before.keep, before.drop))
    else:
        return state
    seen = Seen(rgb, impose(alpha, keep, drop), keep, drop)
    return replace(state, first=None, seen=seen)
