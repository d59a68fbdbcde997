"""Every kind of output of a live run, and whether one of them shows the room."""

import threading
from typing import Any

import numpy as np
from live_run import Live, matte, over
from live_sources import shows_room, subject, until
from numpy.typing import NDArray

from vmatte.composite import Composite, Subject
from vmatte.composite.background import COLOURS, ColourBackground
from vmatte.errors import InferenceError
from vmatte.frames import Frame
from vmatte.output import Output
from vmatte.testing import FunctionMatter, MemorySink

SIZE = (96, 64)
GREEN = (0, 177, 64)


class Model(FunctionMatter):
    """A good model that can be told to hang, or to fail."""

    def __init__(self) -> None:
        super().__init__(self._alpha)
        self.go, self.fails, self.states = threading.Event(), False, [0]
        self.go.set()

    def _alpha(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.go.wait(10)
        if self.fails:
            raise InferenceError("out of memory")
        return subject(rgb)  # type: ignore[no-any-return]

    def step(self, rgb: NDArray[np.uint8], state: int) -> Any:
        self.states.append(state)
        return super().step(rgb, state)


class Views:
    """Every kind of output, each into memory."""

    def __init__(self) -> None:
        self.sinks = {
            k: MemorySink() for k in ("green", "blur", "transparent", "alpha", "foreground")
        }
        for name, sink in self.sinks.items():
            sink.name = name
        black = Composite(ColourBackground(COLOURS["black"]))
        self.outputs = [
            over(self.sinks["green"]),
            over(self.sinks["blur"], "blur:4"),
            Output(Subject(transparent=True), self.sinks["transparent"]),
            matte(self.sinks["alpha"]),
            Output(black, self.sinks["foreground"]),
        ]

    def check(self) -> None:
        """No output shows the room; none but the blurred one even its colours."""
        for name, sink in self.sinks.items():
            assert sink.frames, name
            for frame in sink.frames:
                if name == "transparent":
                    frame = Frame(frame.picture, 0, frame.time_base, frame.colour)
                # A composite over the blurred room is made of it; a slate is not.
                if name != "blur" or frame.segment < 0:
                    assert not shows_room(frame), name

    def slates(self, name: str = "green") -> list[Frame]:
        return [f for f in self.sinks[name].frames if f.segment < 0]

    def shows_slates(self, live: Live, count: int = 2) -> None:
        """From now on, slates alone come."""
        sink = self.sinks["green"]
        # One composite may have been on its way.
        begin = len(sink.frames) + 1
        until(lambda: len(sink.frames) >= begin + count)
        assert all(f.segment < 0 for f in sink.frames[begin : begin + count])


def colour(frame: Frame) -> tuple[int, ...]:
    """The one colour of a frame."""
    rgb = frame.rgb((frame.width, frame.height)).reshape(-1, 3).astype(int)
    assert np.ptp(rgb, axis=0).max() <= 4
    return tuple(int(v) for v in rgb.mean(0).round())


def near(frame: Frame, wanted: tuple[int, ...]) -> bool:
    return bool(np.abs(np.subtract(colour(frame), wanted)).max() <= 4)
