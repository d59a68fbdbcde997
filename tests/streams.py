"""Streams whose pictures tell their number, and what the tests of the pipeline do with them."""

import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vmatte.colour import FULL, Colour
from vmatte.composite import AlphaOutput
from vmatte.frames import Frame, StreamInfo, from_array
from vmatte.output import Output
from vmatte.pipeline import Pipeline
from vmatte.pixels import FORMATS
from vmatte.refine import RefineOptions
from vmatte.stats import RunStats
from vmatte.testing import FunctionMatter, ListSource, MemorySink

SIZE = (64, 32)
INFO = StreamInfo(
    width=SIZE[0],
    height=SIZE[1],
    format=FORMATS["gray"],
    colour=Colour(range=FULL),
    time_base=Fraction(1, 90000),
)


def frame(n: int, segment: int = 0, size: tuple[int, int] = SIZE) -> Frame:
    """A picture that is as bright as its number, at an uneven time."""
    picture = np.full(size[::-1], n, np.uint8)
    return from_array(
        picture, "gray", pts=n * n * 1000 + 7, time_base=INFO.time_base, colour=INFO.colour,
        segment=segment,
    )  # fmt: skip


def frames(count: int) -> list[Frame]:
    return [frame(n) for n in range(count)]


def brightness(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return rgb[:, :, 0].astype(np.float32) / 255


def opened(sink: Any, compositor: Any = None) -> Output:
    output = Output(compositor or AlphaOutput(), sink)
    output.open(INFO)
    return output


def build(source: Any, sinks: Sequence[Any], matter: Any = None, **more: Any) -> Pipeline:
    more.setdefault("options", RefineOptions(method="off", levels=(0, 1)))
    return Pipeline(source, matter or FunctionMatter(), [opened(s) for s in sinks], **more)


def bounded(work: Callable[[], Any], seconds: float = 10) -> BaseException | RunStats:
    """Run in a thread, so that a hang is a failure of this test and not of the whole suite."""
    found: list[Any] = []

    def target() -> None:
        try:
            found.append(work())
        except BaseException as e:
            found.append(e)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, "the pipeline hangs"
    return found[0]  # type: ignore[no-any-return]


def failed(pipeline: Pipeline, sinks: Sequence[MemorySink]) -> BaseException:
    result = bounded(pipeline.run)
    assert isinstance(result, BaseException)
    assert [s.state for s in sinks] == ["aborted"] * len(sinks)
    return result


class Endless(ListSource):
    """Frames without end, counted; may block in a read, as a camera or a pipe does."""

    def __init__(self, block_at: int | None = None) -> None:
        super().__init__(INFO, [])
        self.read, self.release = 0, threading.Event()
        self._block_at = block_at

    def __iter__(self) -> Iterator[Frame]:
        while True:
            if self.read == self._block_at:
                self.release.wait(30)
            self.read += 1
            yield frame(self.read % 200)
