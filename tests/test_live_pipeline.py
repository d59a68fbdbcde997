"""Live runs at work: matte and frame belong together, late is late, controls, the end."""

import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from live_run import Start, brightness, frames, matte, over, start
from live_sources import Plug, Room, info, level, picture, subject, until
from numpy.typing import NDArray

from vmatte.composite import AlphaOutput
from vmatte.errors import InferenceError, OptionError, OutputError, WriteError
from vmatte.frames import Frame, StreamInfo, from_array
from vmatte.live import Feed, LiveOptions, LivePipeline, LiveSnapshot, LiveStats
from vmatte.live.reload import ReloadedBackground, live_background
from vmatte.sinks import FileSink
from vmatte.testing import FunctionMatter, MemorySink

__all__ = ["start"]


def test_every_matte_lands_on_its_own_frame(start: Start) -> None:
    """Alpha is the picture's own brightness, in every output, however many frames are dropped."""
    plug, alpha, black = Plug(), MemorySink(), MemorySink()
    matter = FunctionMatter(lambda rgb: (time.sleep(0.004), brightness(rgb))[1])
    live = start(plug, matter, matte(alpha), over(black, "black"))
    for n in range(150):
        plug.send(picture(n + 40))
        time.sleep(0.003)
    until(lambda: len(frames(black)) > 20)
    stats = live.stop()
    assert stats.dropped["capture"] > 10
    assert stats.captured >= stats.composed + stats.dropped["capture"]
    shown = {f.pts: f for f in frames(black)}
    both = [f for f in frames(alpha) if f.pts in shown]
    assert len(both) > 10
    for a in both:
        value = int(a.planes[0][0, 0])
        assert np.all(a.planes[0] == value)
        assert level(shown[a.pts]) == pytest.approx(value * value / 255, abs=3)
    assert [f.pts for f in frames(black)] == sorted(shown)


def test_what_a_run_tells(start: Start) -> None:
    seen: list[LiveSnapshot] = []
    sink = MemorySink()
    sink.notes.append("in YUY2")
    matter = FunctionMatter(lambda rgb: (time.sleep(0.01), subject(rgb))[1])
    live = start(Room(), matter, over(sink), progress=seen.append, every=0.2)
    until(lambda: len(seen) >= 4)
    stats = live.stop()
    last = seen[-1]
    assert last.state == "live" and last.engine is not None and last.engine.model == "function"
    assert last.fps > 5 and last.working == (96, 64) and last.share == 1.0
    assert "96x64 at 60 fps" in last.source and last.notes == ("memory: in YUY2",)
    assert last.latency_p50 is not None and last.latency_p95 is not None
    assert 10 <= last.latency_p50 <= last.latency_p95
    assert stats.sent["memory"] == len(frames(sink)) > 10
    assert stats.slates == len(sink.frames) - len(frames(sink)) >= 1
    assert stats.latency is not None and stats.overhead is not None
    # What the network takes is in the one and not in the other.
    assert stats.latency[0] - stats.overhead[0] >= 9.5
    assert stats.interrupted and stats.errors == 0 and stats.composed >= stats.sent["memory"]
    assert {"scale", "infer", "refine", "composite"} <= set(stats.stages)


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
    slow, quick = Slow(0.2), MemorySink()
    live = start(Room(), FunctionMatter(subject), over(slow), over(quick))
    until(lambda: len(frames(quick)) > 40)
    stats = live.stop()
    assert stats.sent["slow"] < 20 < stats.sent["memory"]
    assert stats.dropped["slow"] > 10
    assert stats.dropped["memory"] < 10


def test_late_frames_are_not_sent(start: Start) -> None:
    """A step that takes much longer than usual: its frame is too old when it is done."""
    ages: list[float] = []

    class Sink(MemorySink):
        def write(self, frame: Frame) -> None:
            if frame.segment >= 0:
                ages.append(live.feed.now / 90000 - float(frame.time))
            super().write(frame)

    count = [0]

    def slow(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        count[0] += 1
        time.sleep(0.3 if count[0] % 20 == 0 else 0.002)
        return subject(rgb)  # type: ignore[no-any-return]

    sink = Sink()
    live = start(Room(rate=25), FunctionMatter(slow), over(sink))
    until(lambda: count[0] > 65, 10)
    stats = live.stop()
    assert stats.dropped["stale"] >= 3
    assert len(ages) > 20 and max(ages) < 0.2


def test_a_model_slower_than_the_source_is_shown_all_the_same(start: Start) -> None:
    """Two of the source's intervals would be over with every frame."""
    matter = FunctionMatter(lambda rgb: (time.sleep(0.1), subject(rgb))[1])
    sink = MemorySink()
    live = start(Room(), matter, over(sink))
    until(lambda: len(frames(sink)) >= 8)
    stats = live.stop()
    assert stats.dropped["stale"] <= 3


def test_controls_between_frames(start: Start, tmp_path: Path) -> None:
    first, second = MemorySink(), MemorySink()
    second.name = "second"
    output = over(first)
    live = start(Room(), FunctionMatter(subject), output)
    live.until("live")
    pipeline = live.pipeline

    recording = over(FileSink(str(tmp_path / "rec.mp4")))
    pipeline.add_output(recording)
    pipeline.add_output(matte(second))
    assert len(pipeline.outputs) == 3
    until(lambda: len(frames(second)) > 5)
    pipeline.remove_output(recording)
    with av.open(str(tmp_path / "rec.mp4")) as file:
        times = [float(f.time) for f in file.decode(video=0)]  # type: ignore[arg-type]
    assert times[0] == 0 and len(times) > 3
    with pytest.raises(OptionError):
        pipeline.remove_output(recording)

    before = len(first.frames)
    pipeline.replace_compositor(output, AlphaOutput())
    until(lambda: len(first.frames) > before + 3)
    assert first.frames[-1].format.gray and first.frames[before - 1].format.name == "yuv420p"

    inverse = FunctionMatter(lambda rgb: 1 - subject(rgb))
    old = pipeline.replace_matter(inverse)
    assert isinstance(old, FunctionMatter) and old is not inverse
    count = len(second.frames)
    until(lambda: len(second.frames) > count + 5)
    assert second.frames[-1].planes[0][0, 0] == 255
    pipeline.replace_matter(old)

    pipeline.scale = 0.5
    until(lambda: pipeline.snapshot().working == (48, 32))
    with pytest.raises(OptionError):
        pipeline.scale = 2
    live.stop()
    assert (first.state, second.state) == ("closed", "closed")
    with pytest.raises(OptionError, match="ended"):
        pipeline.replace_matter(inverse)


def test_a_recording_may_take_longer_to_finish(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmatte.live.pipeline._CLOSING", 0.1)

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
    assert late.state == "closed"


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


def test_mirrored(start: Start) -> None:
    """The picture turns, and its state begins anew; what is on the right comes from the left."""
    plug, sink = Plug(), MemorySink()
    left = np.zeros((48, 64, 3), np.uint8)
    left[:, :16] = 255
    side = from_array(left, "rgb24").convert("yuv420p", colour=info().colour)
    live = start(plug, FunctionMatter(brightness), matte(sink))
    live.pipeline.mirror = True
    until(lambda: (plug.send(side), time.sleep(0.02), frames(sink))[2])
    live.stop()
    alpha = frames(sink)[0].planes[0]
    assert alpha[:, 50:].min() > 250 and alpha[:, :40].max() < 5


def test_a_still_scene_reuses_its_matte(start: Start) -> None:
    calls: list[int] = []

    def count(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        calls.append(1)
        return brightness(rgb)

    plug, sink = Plug(info(rate=4)), MemorySink()
    live = start(plug, FunctionMatter(count), matte(sink), options=LiveOptions(reuse_still=True))
    live.until("starting")
    until(lambda: live.pipeline.snapshot().engine is not None)
    warmed = len(calls)
    for n in range(10):
        plug.send(picture(100 if n < 6 else 103))
        until(lambda n=n: len(frames(sink)) == n + 1)  # type: ignore[misc]
    assert len(calls) - warmed == 2
    # A hand that moves in a corner is a change, however little of the whole picture.
    corner = np.full((48, 64, 3), 103, np.uint8)
    corner[:4, :5] = 140
    plug.send(from_array(corner, "rgb24").convert("yuv420p", colour=info().colour))
    until(lambda: len(frames(sink)) == 11)
    stats = live.stop()
    assert len(calls) - warmed == 3 and stats.reused == 8


def test_the_rate_is_held_and_said(start: Start) -> None:
    sizes: set[tuple[int, ...]] = set()

    def slow(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        sizes.add(rgb.shape[:2])
        time.sleep(0.08 * rgb.shape[0] * rgb.shape[1] / (96 * 64))
        return subject(rgb)  # type: ignore[no-any-return]

    options = LiveOptions(target_fps=15)
    live = start(Room(), FunctionMatter(slow), over(MemorySink()), options=options)
    until(lambda: live.pipeline.snapshot().share == 0.85, 8)
    snapshot = live.pipeline.snapshot()
    assert any("100% -> 85%" in n and "15 fps" in n for n in snapshot.notes)
    until(lambda: (54, 82) in sizes)


def test_a_fixed_size_cannot_be_adapted_and_says_so(start: Start) -> None:
    options = LiveOptions(target_fps=15)
    matter = FunctionMatter(lambda rgb: (time.sleep(0.1), subject(rgb))[1], size=(32, 32))
    live = start(Room(), matter, over(MemorySink()), options=options)
    live.until("live")
    time.sleep(1.3)
    notes = live.stop().notes
    assert len(notes) == 1 and "fixed" in notes[0]


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


def test_the_model_that_was_loaded_here_is_closed(start: Start) -> None:
    class Closing(FunctionMatter):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    mine, given, swapped = Closing(subject), Closing(subject), Closing(subject)
    for matter, expected in ((lambda: mine, 1), (given, 0)):
        live = start(Room(), matter, over(MemorySink()))
        live.until("live")
        live.stop()
        assert (mine if expected else given).closed == expected
    live = start(Room(), lambda: swapped, over(MemorySink()))
    live.until("live")
    old = live.pipeline.replace_matter(given)
    live.stop()
    assert old is swapped and swapped.closed == 0 and given.closed == 0


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


def test_backgrounds_reload_when_their_file_changes(tmp_path: Path) -> None:
    path, now, notes = tmp_path / "b.png", [0.0], []
    cv2.imwrite(str(path), np.full((48, 64, 3), 200, np.uint8))
    background = ReloadedBackground(path, "cover", notes.append, lambda: now[0])
    background.open(info())
    frame = picture(0)

    def shown() -> int:
        advanced = background.advance(frame)
        return int(background.planes(frame, None, advanced)[0][10, 10])  # type: ignore[arg-type]

    bright = shown()
    cv2.imwrite(str(path), np.full((50, 64, 3), 20, np.uint8))
    assert shown() == bright  # Looked at once a second.
    now[0] += 1.1
    assert shown() < bright - 100
    assert len(notes) == 1
    # Half written, or gone: as it was.
    path.write_bytes(b"\x89PNG not yet")
    now[0] += 1.1
    dark = shown()
    assert dark < bright - 100 and "kept" in notes[1]
    path.unlink()
    now[0] += 1.1
    assert shown() == dark and len(notes) == 2
    cv2.imwrite(str(path), np.full((48, 64, 3), 200, np.uint8))
    now[0] += 1.1
    assert shown() == bright
    background.close()
    assert isinstance(live_background(str(path)), ReloadedBackground)
    assert live_background("transparent") is None
    assert not isinstance(live_background("green"), ReloadedBackground)


@pytest.mark.parametrize(
    "bad",
    [{"on_error": "cry"}, {"target_fps": 0.5}, {"scale": 0.0}, {"idle": 0}, {"slate": Path("no")}],
)
def test_options_are_checked(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        LiveOptions(**bad)
