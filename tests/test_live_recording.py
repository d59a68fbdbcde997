"""Recordings of live runs: their times, their end, what is not kept."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
from live_run import Start, frames, over, start
from live_sources import Plug, Room, subject, until

from vmatte.errors import OutputError
from vmatte.live import LiveSnapshot, LiveStats
from vmatte.sinks import FileSink
from vmatte.testing import FunctionMatter, MemorySink

__all__ = ["start"]


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
