"""Outputs of live runs: each for itself, finished or taken away, recordings, who watches."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from live_run import Start, frames, over, start
from live_sources import Plug, Room, subject, until

from vmatte.composite import AlphaOutput
from vmatte.errors import InferenceError, OptionError, OutputError, WriteError
from vmatte.frames import Frame, StreamInfo
from vmatte.live import Feed, LiveOptions, LivePipeline, LiveSnapshot, LiveStats
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


def test_a_recording_may_take_longer_to_finish(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmatte.live.outputs._CLOSING", 0.1)

    class Slow(MemorySink):
        recording = True

        def close(self, *, early: bool = False) -> None:
            time.sleep(0.5)
            super().close()

    sink = Slow()
    live = start(Room(), FunctionMatter(subject), over(sink))
    live.until("live")
    live.pipeline.stop()
    assert isinstance(live.wait(), LiveStats)
    assert sink.state == "closed"


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


def test_a_recording_has_real_times_and_is_whole(start: Start, tmp_path: Path) -> None:
    """Slates while the source was gone are in it, at their times."""
    path = tmp_path / "rec.mp4"
    room = Room(rate=30)
    live = start(room, FunctionMatter(subject), over(FileSink(str(path))))
    live.until("live")
    time.sleep(0.5)
    room.silent.set()
    live.until("stalled")
    room.silent.clear()
    live.until("live")
    time.sleep(0.4)
    live.stop()
    with av.open(str(path)) as file:
        shown = [(float(f.time), f.to_ndarray(format="rgb24")) for f in file.decode(video=0)]  # type: ignore[arg-type]
    times = np.array([t for t, _ in shown])
    assert times[0] == 0 and np.all(np.diff(times) > 0)
    assert 1.0 < times[-1] < 6
    # While it was stalled, a few slates a second.
    assert np.diff(times).max() < 0.6
    green = [t for t, p in shown if p[32, 48].astype(int)[1] > p[32, 48].astype(int)[0] + 60]
    assert any(0.3 < t < times[-1] - 0.2 for t in green)


def test_a_recording_of_slates_alone_is_not_kept(start: Start, tmp_path: Path) -> None:
    first, second, sink = tmp_path / "a.mp4", tmp_path / "b.mp4", MemorySink()
    live = start(Plug(), FunctionMatter(subject), over(sink), over(FileSink(str(first))))
    until(lambda: live.pipeline.snapshot().slates > 2)
    later = over(FileSink(str(second)))
    live.pipeline.add_output(later)
    time.sleep(0.3)
    with pytest.raises(OutputError, match="nothing was recorded"):
        live.pipeline.remove_output(later)
    stats = live.stop()
    assert any("a.mp4: nothing was recorded" in n for n in stats.notes)
    assert list(tmp_path.iterdir()) == []
    # Slates that newer ones replaced are no frames that were lost.
    assert not any(stats.dropped.values())


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


def test_who_waits_for_an_encoder_is_told(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmatte.live.outputs._TELL", 0.1)
    seen: list[LiveSnapshot] = []

    class Slow(MemorySink):
        recording = True

        def close(self, *, early: bool = False) -> None:
            told.wait(3)
            super().close()

    def progress(now: LiveSnapshot) -> None:
        seen.append(now)
        if any("is being finished" in n for n in now.notes):
            told.set()

    told, sink = threading.Event(), Slow()
    live = start(Room(), FunctionMatter(subject), over(sink), progress=progress)
    until(lambda: len(frames(sink)) > 10)
    live.pipeline.stop()
    live.wait()
    assert told.is_set() and sink.state == "closed"
    assert seen[-1].state == "live"


def test_a_program_that_ends_meanwhile_waits_for_the_model(tmp_path: Path) -> None:
    """Its run is in a daemon thread, the model within a library; the recording is whole."""
    code = f"""
import threading, time
from fractions import Fraction
from vmatte import Composite, Feed, LivePipeline, Output, open_sink, parse_background
from vmatte.sources import open_live
from vmatte.testing import FunctionMatter

def load():
    time.sleep(1)
    print("loaded", flush=True)
    return FunctionMatter()

def run(load, name):
    feed = Feed(lambda: open_live("synthetic:64x48@30"))
    output = Output(Composite(parse_background("green")), open_sink(name, live=True))
    pipeline = LivePipeline(feed, load, [output])
    threading.Thread(target=pipeline.run, daemon=True).start()
    return pipeline

recording = run(FunctionMatter(), {str(tmp_path / "rec.mp4")!r})
while recording.snapshot().sent < 5:
    time.sleep(0.01)
run(load, "null:")
time.sleep(0.2)
print("leaving", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, ["leaving", "loaded"]), done.stderr
    with av.open(str(tmp_path / "rec.mp4")) as file:
        assert len(list(file.decode(video=0))) >= 5
