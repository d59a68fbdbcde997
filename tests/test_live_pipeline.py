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
from vmatte.errors import OptionError
from vmatte.frames import Frame, from_array
from vmatte.live import Captured, LiveOptions, LiveSnapshot
from vmatte.live.inference import Inference
from vmatte.live.reload import ReloadedBackground, live_background
from vmatte.sinks import FileSink
from vmatte.stats import Clock
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


def test_opencv_has_no_threads_meanwhile(start: Start) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        first = start(Room(), FunctionMatter(subject), over(MemorySink()))
        first.until("live")
        second = start(Room(), FunctionMatter(subject), over(MemorySink()))
        second.until("live")
        assert cv2.getNumThreads() == 1
        first.stop()
        assert cv2.getNumThreads() == 1
        second.stop()
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)


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


def test_a_still_scene_reuses_its_matte() -> None:
    """By what it is given alone: on a busy machine a live run leaves out frames as it must."""
    calls: list[int] = []

    def count(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        calls.append(1)
        return brightness(rgb)

    inference = Inference(FunctionMatter(count), info(), LiveOptions(reuse_still=True), Clock())

    def asked(shown: Frame, at: float) -> bool:
        """Whether the model was asked for a matte."""
        before = len(calls)
        inference.step(Captured(shown, at))
        return len(calls) > before

    assert [asked(picture(100), n / 10) for n in range(6)] == [True] + 5 * [False]
    assert [asked(picture(103), 0.6 + n / 10) for n in range(3)] == [True, False, False]
    # A hand that moves in a corner is a change, however little of the whole picture.
    corner = np.full((48, 64, 3), 103, np.uint8)
    corner[:4, :5] = 140
    moved = from_array(corner, "rgb24").convert("yuv420p", colour=info().colour)
    assert asked(moved, 0.9) and not asked(moved, 1.8) and asked(moved, 2.0)
    assert inference.reused == 8


def test_a_run_tells_what_it_reused(start: Start) -> None:
    plug, sink = Plug(), MemorySink()
    live = start(
        plug, FunctionMatter(brightness), matte(sink), options=LiveOptions(reuse_still=True)
    )
    until(lambda: (plug.send(picture(100)), time.sleep(0.02), live.pipeline.snapshot().reused)[2])
    assert live.stop().reused >= 1


def test_the_rate_is_held_and_said(start: Start) -> None:
    sizes: set[tuple[int, ...]] = set()

    def slow(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        sizes.add(rgb.shape[:2])
        time.sleep(0.08 * rgb.shape[0] * rgb.shape[1] / (96 * 64))
        return subject(rgb)  # type: ignore[no-any-return]

    options = LiveOptions(target_fps=15)
    live = start(Room(), FunctionMatter(slow), over(MemorySink()), options=options)
    until(lambda: live.pipeline.snapshot().share == 0.85)
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
