"""The pipeline in trouble: each failure out with its type, each stop prompt, nothing left."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from streams import INFO, Endless, bounded, build, failed, frames, opened

from vmatte import pipeline as module
from vmatte.composite import AlphaOutput
from vmatte.errors import (
    DamagedMediaError,
    InferenceError,
    InputError,
    OptionError,
    OutputError,
    WriteError,
)
from vmatte.frames import Frame, StreamInfo
from vmatte.pipeline import Pipeline
from vmatte.stats import RunStats
from vmatte.testing import FunctionMatter, ListSource, MemorySink


@contextmanager
def within(seconds: float) -> Iterator[None]:
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds


class Failing(FunctionMatter):
    """Raises at one step."""

    def __init__(self, at: int, error: BaseException) -> None:
        super().__init__()
        self._at, self._error = at, error

    def step(self, rgb: NDArray[np.uint8], state: int) -> Any:
        if state == self._at:
            raise self._error
        return super().step(rgb, state)


@pytest.mark.parametrize("after", [0, 1, 7, 40])
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_failing_source(after: int, outputs: int) -> None:
    error = DamagedMediaError("torn")
    source, sinks = ListSource(INFO, frames(after), error), [MemorySink() for _ in range(outputs)]
    assert failed(build(source, sinks), sinks) is error
    assert source.closed


@pytest.mark.parametrize("at", [0, 1, 7, 39])
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_failing_model(at: int, outputs: int) -> None:
    error = InferenceError("out of memory")
    source, sinks = ListSource(INFO, frames(40)), [MemorySink() for _ in range(outputs)]
    assert failed(build(source, sinks, Failing(at, error)), sinks) is error
    assert source.closed


@pytest.mark.parametrize("at", [0, 1, 7, 39])
@pytest.mark.parametrize("which", [(0,), (2,), (0, 1, 2)])
def test_a_failing_sink(at: int, which: tuple[int, ...]) -> None:
    """The other writers wait for frames that will never come: they too must end."""
    error = WriteError("disk full")
    sinks = [MemorySink(at, error if n in which else None) for n in range(3)]
    source = ListSource(INFO, frames(40))
    assert failed(build(source, sinks), sinks) is error
    assert source.closed


@pytest.mark.parametrize("method", ["advance", "compose"])
@pytest.mark.parametrize("at", [0, 7, 39])
def test_a_failing_compositor(method: str, at: int) -> None:
    class Compositor(AlphaOutput):
        def advance(self, frame: Frame) -> None:
            if method == "advance" and frame.pts == at * at * 1000 + 7:
                raise InputError("background ends")

        def compose(self, frame: Frame, matte: Any, advanced: Any) -> Frame:
            if method == "compose" and frame.pts == at * at * 1000 + 7:
                raise InputError("background ends")
            return super().compose(frame, matte, advanced)

    sinks = [MemorySink(), MemorySink()]
    outputs = [opened(sinks[0]), opened(sinks[1], Compositor())]
    pipeline = Pipeline(ListSource(INFO, frames(40)), FunctionMatter(), outputs)
    assert isinstance(failed(pipeline, sinks), InputError)


def test_a_sink_that_fails_to_close() -> None:
    class Sink(MemorySink):
        def close(self, *, early: bool = False) -> None:
            raise WriteError("no space for the index")

    sinks = [Sink(), MemorySink()]
    assert isinstance(failed(build(ListSource(INFO, frames(9)), sinks), sinks), WriteError)


def test_progress_that_fails() -> None:
    def progress(count: int, info: StreamInfo) -> None:
        raise ZeroDivisionError

    sinks = [MemorySink()]
    pipeline = build(ListSource(INFO, frames(9)), sinks, progress=progress)
    assert isinstance(failed(pipeline, sinks), ZeroDivisionError)


def test_a_sink_that_fails_to_open_leaves_nothing() -> None:
    class Sink(MemorySink):
        def open(self, info: StreamInfo) -> None:
            raise OutputError("no such codec")

    sink = Sink()
    with pytest.raises(OutputError):
        opened(sink)
    assert sink.state == "aborted"


def test_no_frame_and_no_output() -> None:
    sinks = [MemorySink()]
    assert isinstance(failed(build(ListSource(INFO, []), sinks), sinks), InputError)
    with pytest.raises(OptionError, match="output"):
        Pipeline(ListSource(INFO, []), FunctionMatter(), [])


@pytest.mark.parametrize("outputs", [1, 3])
def test_stop_from_another_thread(outputs: int) -> None:
    source, sinks = Endless(), [MemorySink() for _ in range(outputs)]
    pipeline = build(source, sinks)
    timer = threading.Timer(0.2, pipeline.stop)
    timer.start()
    with within(3):
        stats = bounded(pipeline.run)
    assert isinstance(stats, RunStats) and stats.interrupted
    assert stats.frames > 0
    # What was begun is finished: whole files of what was done.
    assert [(s.state, len(s.frames)) for s in sinks] == [("closed", stats.frames)] * outputs
    timer.join()


def test_stop_before_the_first_frame() -> None:
    sinks = [MemorySink()]
    pipeline = build(ListSource(INFO, frames(3)), sinks)
    pipeline.stop()
    assert isinstance(failed(pipeline, sinks), KeyboardInterrupt)


@pytest.mark.parametrize("fails", [False, True])
def test_a_read_that_never_comes_back(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a stop nor a full disk may wait for it, and the decoder in use stays open."""
    monkeypatch.setattr(module, "GRACE", 0.1)
    # The sink fails at the last frame before the block, when the reader can only be in it.
    source = Endless(block_at=4 if fails else 6)
    sinks = [MemorySink(), MemorySink(3, WriteError("full") if fails else None)]
    pipeline = build(source, sinks)
    timer = threading.Timer(0.3, pipeline.stop)
    if not fails:
        timer.start()
    with within(3):
        result = bounded(pipeline.run)
    if fails:
        assert isinstance(result, WriteError)
    else:
        assert isinstance(result, RunStats) and len(sinks[0].frames) == 6
        timer.join()
    assert not source.closed
    source.release.set()


def test_an_interrupt_waits_for_sinks_in_use() -> None:
    """A second Ctrl-C raises in the main thread; a sink must not be aborted inside a write."""

    class Slow(MemorySink):
        writing = broken = False

        def write(self, frame: Frame) -> None:
            self.writing = True
            time.sleep(0.1)
            self.writing = False
            super().write(frame)

        def abort(self) -> None:
            self.broken = self.broken or self.writing
            super().abort()

    sinks = [Slow(), Slow()]
    matter = Failing(3, KeyboardInterrupt())
    assert isinstance(failed(build(Endless(), sinks, matter), sinks), KeyboardInterrupt)
    assert not any(s.broken for s in sinks)
