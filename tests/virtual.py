"""A backend of pyvirtualcam that keeps what it is sent, in place of a device."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Recording:
    """A virtual camera that records what is sent, and when. See pyvirtualcam.Backend."""

    made: "list[Recording]" = []  # noqa: RUF012

    def __init__(
        self, *, width: int, height: int, fps: float, fourcc: int, device: str | None
    ) -> None:
        self.size, self.fps = (width, height), fps
        self.fourcc = fourcc.to_bytes(4, "little").decode()
        self.frames: list[NDArray[np.uint8]] = []
        self.times: list[float] = []
        self.closed = 0
        self._device = device or "recording"
        Recording.made.append(self)

    def send(self, frame: NDArray[np.uint8]) -> None:
        self.frames.append(frame.copy())
        self.times.append(time.monotonic())

    def close(self) -> None:
        self.closed += 1

    def device(self) -> str:
        return self._device

    def native_fourcc(self) -> int | None:
        return None


class OnFile(Recording):
    """One whose device is a file, which may go away."""

    path: Path

    def device(self) -> str:
        return str(self.path)


class Refusing(Recording):
    """One that is not there."""

    def __init__(self, **kw: Any) -> None:
        raise RuntimeError("Device /dev/video10 does not exist.")


class Failing(Recording):
    """One that fails at its third frame."""

    def send(self, frame: NDArray[np.uint8]) -> None:
        if len(self.frames) == 2:
            raise RuntimeError("No such device")
        super().send(frame)
