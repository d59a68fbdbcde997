"""The seam of matting: a pure step from a picture and a state to a matte and the next state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vmatte.errors import InferenceError
from vmatte.runtimes import Runtime, Tensor

if TYPE_CHECKING:
    # Pictures take long to import.
    from vmatte.frames import Scaling

S = TypeVar("S")


@dataclass(frozen=True, slots=True, repr=False)
class Matte:
    """What a model says of one frame, at its working size.

    alpha: [h, w] float32 in 0..1. foreground: [h, w, 3] float32 RGB in 0..1, the subject's own
    colour without the old background, or None where the model does not estimate it. known: what
    the user is certain of, at the frame's own size: [H, W] uint8, 255 subject, 0 background, 128
    neither (vmatte.steer). whole: ``known`` is a trimap: nothing but its 128 is open.
    """

    alpha: NDArray[np.float32]
    foreground: NDArray[np.float32] | None = None
    known: NDArray[np.uint8] | None = None
    whole: bool = False

    def __repr__(self) -> str:
        h, w = self.alpha.shape
        return f"Matte({w}x{h}{', foreground' if self.foreground is not None else ''})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What really runs the network, read back from the loaded session.

    threads: None where the runtime chose and does not tell. scaling: how the picture is brought to
    the working size; a model's own choice, by benchmarks of its error.
    """

    model: str
    runtime: str
    provider: str
    precision: str
    threads: int | None = None
    scaling: "Scaling" = "bicubic"

    @classmethod
    def of(cls, model: str, runtime: Runtime, scaling: "Scaling" = "bicubic") -> "Engine":
        """Read back what ``runtime`` says."""
        return cls(
            model=model,
            runtime=runtime.name,
            provider=runtime.provider,
            precision=runtime.precision,
            threads=runtime.threads,
            scaling=scaling,
        )


def for_still(matter: "Matter[Any]") -> "Matter[Any]":
    """Return ``matter`` as it is for a picture on its own, not one of many in time.

    Some families have a ``for_still`` of their own: what makes a picture better would make a video
    flicker.
    """
    own: Callable[[], Matter[Any]] | None = getattr(matter, "for_still", None)
    return matter if own is None else own()


def alpha_of(values: NDArray[np.float32], model: str) -> NDArray[np.float32]:
    """Return a network's alpha as a Matte wants it. Raises InferenceError where it is no number."""
    # One sum tells of every NaN and infinity, and costs a tenth of looking at each.
    if not np.isfinite(values.sum()):
        raise InferenceError(
            f"{model} gave values that are not numbers; run it with --precision fp32 or another "
            "--provider"
        )
    return np.ascontiguousarray(np.clip(values, 0, 1))


def scaled_size(width: int, height: int, ratio: float) -> tuple[int, int]:
    """Return (width, height) times ``ratio``, at least 1 each."""
    return max(1, round(width * ratio)), max(1, round(height * ratio))


def to_nchw(rgb: NDArray[np.uint8], dtype: np.dtype[np.generic]) -> Tensor:
    """Return [1, 3, h, w] in 0..1."""
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1)[None])
    return planes.astype(dtype) * np.array(1 / 255, dtype)


class Matter(Protocol[S]):
    """A matting model. Holds no state of its own, so that one serves many streams at once."""

    @property
    def engine(self) -> Engine:
        """What really runs."""
        ...

    def working_size(self, width: int, height: int, share: float = 1.0) -> tuple[int, int]:
        """Return (width, height) of the RGB picture that ``step`` wants for such a frame.

        share: of the usual sides, at most 1, for speed; families of a fixed size ignore it.
        """
        ...

    def start(self, width: int, height: int) -> S:
        """Return the state before the first frame, for a working size of width x height."""
        ...

    def step(self, rgb: NDArray[np.uint8], state: S) -> tuple[Matte, S]:
        """Matte one picture, [h, w, 3] uint8 RGB of the working size.

        Raises InferenceError.
        """
        ...

    def close(self) -> None:
        """Free the network."""
        ...
