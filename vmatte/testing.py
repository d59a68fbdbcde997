"""Fakes for each seam, for the tests of those who build on vmatte, and for ours."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vmatte.frames import Frame, StreamInfo
from vmatte.matting.base import Engine, Matte


class FunctionMatter:
    """A matter that computes alpha with a plain function; its state counts frames. See Matter."""

    def __init__(
        self,
        function: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Map RGB to alpha with ``function``: by default the right half is foreground.

        size: (width, height) of the working picture; by default the frame's own.
        """
        self._function = function or _right_half
        self._size = size
        self.engine = Engine(model="function", runtime="python", provider="cpu", precision="fp32")

    def working_size(self, width: int, height: int, share: float = 1.0) -> tuple[int, int]:
        """Return the size given, or the frame's times ``share``."""
        return self._size or (max(1, round(width * share)), max(1, round(height * share)))

    def start(self, width: int, height: int) -> int:
        """Return 0."""
        return 0

    def step(self, rgb: NDArray[np.uint8], state: int) -> tuple[Matte, int]:
        """Apply the function."""
        return Matte(np.asarray(self._function(rgb), np.float32)), state + 1

    def close(self) -> None:
        """Do nothing."""


def _right_half(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    alpha = np.zeros(rgb.shape[:2], np.float32)
    alpha[:, rgb.shape[1] // 2 :] = 1
    return alpha


class ListSource:
    """A source of frames at hand; may fail after them. See FrameSource."""

    def __init__(
        self, info: StreamInfo, frames: Sequence[Frame], error: Exception | None = None
    ) -> None:
        """Yield ``frames``, then raise ``error`` if there is one."""
        self.info, self.skipped, self.closed = info, 0, False
        self._frames, self._error = frames, error

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames."""
        yield from self._frames
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Remember it."""
        self.closed = True


class MemorySink:
    """A sink that keeps its frames; may fail at one of them. See Sink."""

    name = "memory"

    def __init__(self, fail_at: int | None = None, error: Exception | None = None) -> None:
        """Raise ``error`` instead of taking frame number ``fail_at``."""
        self.frames: list[Frame] = []
        self.notes: list[str] = []
        self.info: StreamInfo | None = None
        self.state = "new"
        self._fail_at, self._error = fail_at, error

    def open(self, info: StreamInfo) -> None:
        """Keep ``info``."""
        self.info, self.state = info, "open"

    def write(self, frame: Frame) -> None:
        """Keep the frame, or fail."""
        if self._error is not None and len(self.frames) == self._fail_at:
            raise self._error
        self.frames.append(frame)

    def close(self, *, early: bool = False) -> None:
        """Remember it."""
        self.state = "closed"

    def abort(self) -> None:
        """Remember it."""
        if self.state != "closed":
            self.state = "aborted"
