"""Outputs of live runs: each for itself, finished or taken away, recordings, who watches."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from live_run import Start, frames, over, start
from live_sources import Room, subject, until

from vmatte.composite import AlphaOutput
from vmatte.errors import InferenceError, OptionError, OutputError, WriteError
from vmatte.frames import Frame, StreamInfo
from vmatte.live import Feed, LiveOptions, LivePipeline, LiveStats
from vmatte.sinks import FileSink
from vmatte.testing import FunctionMatter, MemorySink

__all__ = ["start"]


class Slow(MemorySink):
    """Takes its time for each frame."""

    name = "slow"

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def write(self, frame: Frame) -> None:
        time.sleep(self._seconds)
        super().write(frame)


def test_a_slow_sink_drops_for_itself_alone(start: Start) -> None:
    slow, quick = Slow(0.5), MemorySink()
    live = start(Room(), FunctionMatter(subject), over(slow), over(quick))
    until(lambda: len(frames(quick)) > 40)
    stats = live.stop()
    # Of so many, a machine that is busy makes fewer, and the slow one then misses fewer.
    assert stats.sent["slow"] < stats.sent["memory"] - 5
    assert stats.dropped["slow"] > max(5, stats.dropped["memory"])


def test_an_output_that_comes_too_late_is_ended(start: Start) -> None:
    class Late(MemorySink):
        def open(self, info: StreamInfo) -> None:
            live.pipeline.stop()
            live.wait()
            super().open(info)

    live, late = start(Room(), FunctionMatter(subject), over(MemorySink())), Late()
    live.until("live")
    with pytest.raises(OptionError, match="ended"):
        live.pipeline.add_output(over(late))
    until(lambda: late.state in ("closed", "aborted"))


def test_a_compositor_that_does_not_open_changes_nothing(start: Start, tmp_path: Path) -> None:
    class Broken(AlphaOutput):
        def open(self, info: StreamInfo) -> StreamInfo:
            raise OutputError("no")

    sink = MemorySink()
    output = over(sink)
    live = start(Room(), FunctionMatter(subject), output)
    live.until("live")
    with pytest.raises(OutputError):
        live.pipeline.replace_compositor(output, Broken())
    with pytest.raises(OutputError):
        live.pipeline.add_output(over(FileSink(str(tmp_path / "no" / "x.mp4"))))
    count = len(frames(sink))
    until(lambda: len(frames(sink)) > count + 3)
    assert len(live.pipeline.outputs) == 1


class Watched(MemorySink):
    looking = True

    def watched(self) -> bool:
        return self.looking


def test_the_camera_is_held_only_while_somebody_watches(start: Start) -> None:
    first, second, sink = Room(), Room(), Watched()
    options = LiveOptions(idle=0.3)
    live = start([first, second], FunctionMatter(subject), over(sink), options=options)
    live.until("live")
    sink.looking = False
    live.until("idle")
    until(first.closed.is_set)
    count = len(sink.frames)
    until(lambda: len(sink.frames) > count + 1)
    assert all(f.segment < 0 for f in sink.frames[count + 1 :])
    sink.looking = True
    live.until("live")
    stats = live.stop()
    # Let go of, not lost.
    assert (stats.losses, stats.stalls, stats.errors) == (0, 0, 0)


def test_one_that_cannot_tell_counts_as_watched(start: Start) -> None:
    sink = Watched()
    sink.looking = False
    options = LiveOptions(idle=0.2)
    live = start(Room(), FunctionMatter(subject), over(sink), over(MemorySink()), options=options)
    live.until("live")
    time.sleep(0.8)
    assert live.pipeline.state == "live"


def test_an_output_that_the_user_ends_ends_the_run(start: Start) -> None:
    class Window(MemorySink):
        closed = False

        def ended(self) -> bool:
            return self.closed

    window = Window()
    live = start(Room(), FunctionMatter(subject), over(window), over(MemorySink()))
    live.until("live")
    window.closed = True
    result = live.wait(1.5)
    assert isinstance(result, LiveStats) and not result.interrupted


def test_a_sink_that_fails_leaves_the_others(start: Start) -> None:
    bad, good = MemorySink(5, WriteError("the disk is full")), MemorySink()
    bad.name = "bad"
    live = start(Room(), FunctionMatter(subject), over(bad), over(good))
    until(lambda: any("disk is full" in n for n in live.pipeline.snapshot().notes))
    count = len(frames(good))
    until(lambda: len(frames(good)) > count + 5)
    assert len(live.pipeline.outputs) == 1
    assert live.stop().sent["memory"] > 5


def test_the_last_sink_that_fails_ends_the_run(start: Start) -> None:
    error = WriteError("the camera is gone")
    live = start(Room(), FunctionMatter(subject), over(MemorySink(5, error)))
    assert live.wait() is error


@pytest.mark.parametrize("which", ["open", "load", "connect"])
def test_what_fails_at_the_beginning(start: Start, tmp_path: Path, which: str) -> None:
    """The error reaches the caller, and nothing half-written stays."""
    error = InferenceError("nothing")

    def fail(*_: Any) -> Any:
        raise error

    class Refusing(MemorySink):
        def open(self, info: StreamInfo) -> None:
            raise error

    other = MemorySink()
    outputs = [over(FileSink(str(tmp_path / "rec.mp4"))), over(other)]
    if which == "open":
        outputs.append(over(Refusing()))
    if which == "connect":
        pipeline = LivePipeline(Feed(fail), FunctionMatter(), outputs)
        with pytest.raises(InferenceError):
            pipeline.run()
    else:
        live = start(Room(), fail if which == "load" else FunctionMatter(), *outputs)
        assert live.wait() is error
        assert other.state == "aborted"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OptionError):
        LivePipeline(Feed(fail), FunctionMatter(), [])


class Hanging(MemorySink):
    """Its opening hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()

    def open(self, info: StreamInfo) -> None:
        self.release.wait(20)
        super().open(info)


def test_a_sink_that_does_not_open_is_given_up(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmatte.live.lane._OPENING", 0.3)
    sink, other = Hanging(), MemorySink()
    live = start(Room(), FunctionMatter(subject), over(other), over(sink))
    result = live.wait()
    assert isinstance(result, OutputError) and "did not open within 0.3 s" in str(result)
    assert other.state == "aborted"
    # Where it opens after all, it is closed again.
    sink.release.set()
    until(lambda: sink.state == "aborted")


def test_a_sink_that_does_not_open_can_be_interrupted(start: Start) -> None:
    sink = Hanging()
    live = start(Room(), FunctionMatter(subject), over(sink))
    time.sleep(0.2)
    live.pipeline.stop()
    assert isinstance(live.wait(1), KeyboardInterrupt)
    sink.release.set()
    until(lambda: sink.state == "aborted")
