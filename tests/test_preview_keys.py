"""The preview without its window: what keys do to a real live run."""

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from live_sources import until
from media import decode, make_video, times_of
from numpy.typing import NDArray

from vmatte.composite import Composite
from vmatte.composite.background import ColourBackground
from vmatte.live import Feed, LivePipeline
from vmatte.matting import Engine
from vmatte.output import Output
from vmatte.preview import Player, PlayerOptions
from vmatte.sinks.window import WindowSink
from vmatte.sources import NetworkSource, PacedSource, open_source
from vmatte.steer import Box, SteerOptions
from vmatte.testing import FunctionMatter, MemorySink

GREEN = (0, 177, 64)


class Run:
    """A live run of a clip, with a player whose window is not shown."""

    def __init__(self, clip: Path, **options: Any) -> None:
        self.window = WindowSink()
        self.memory = MemorySink()
        self.follower = Output(Composite(ColourBackground(GREEN)), self.memory)
        self.player = Player(
            self.window,
            PlayerOptions(folder=clip.parent, freeze=True, **options),
            followers=[self.follower],
        )
        self.pipeline = LivePipeline(
            Feed(lambda: PacedSource(lambda start: open_source(str(clip), start=start or None))),
            FunctionMatter(),
            [self.player.output, self.follower],
        )
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        self.player.attach(self.pipeline)
        until(lambda: self.pipeline.state == "live" and self.window._newest is not None)

    def _run(self) -> None:
        try:
            self.stats = self.pipeline.run()
        except BaseException as e:
            self.failure = e

    def end(self) -> None:
        self.pipeline.stop()
        self.thread.join(20)
        self.player.close()
        assert self.failure is None, self.failure

    def shown(self) -> "NDArray[np.int_]":
        frame = self.window._newest
        assert frame is not None
        return frame.rgb((frame.width, frame.height)).astype(int)

    def left(self, rgb: tuple[int, int, int]) -> bool:
        """Whether the background's half is of this colour."""
        return bool(np.abs(self.shown()[:, :40].mean((0, 1)) - rgb).max() < 6)

    def told(self, words: str) -> bool:
        return words in self.player._message


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Run]]:
    monkeypatch.setattr("vmatte.sinks.window.expect_screen", lambda name: None)
    runs: list[Run] = []

    def begin(**options: Any) -> Run:
        clip = make_video(tmp_path / "clip.mp4", times=range(90))
        runs.append(Run(clip, **options))
        return runs[-1]

    yield begin
    for run in runs:
        run.end()


def test_views_and_backgrounds(start: Callable[..., Run]) -> None:
    run = start(backgrounds=("green", "white", "black"))
    until(lambda: run.left(GREEN))
    run.player.key(ord("2"))
    until(lambda: run.left((0, 0, 0)) and run.shown()[:, -40:].min() > 250)
    run.player.key(ord("1"))
    run.player.key(ord("b"))
    until(lambda: run.left((255, 255, 255)))
    assert run.player.look.background == "white"
    until(lambda: run.told("background: white"))
    white = lambda: run.memory.frames[-1].rgb((96, 64))[:, :40].min() > 250  # noqa: E731
    until(white)  # The other outputs' background changes along.
    for _ in range(4):
        run.player.key(ord("v"))
    until(lambda: run.player.look.view == "split")
    until(lambda: not run.left((255, 255, 255)))
    run.player.drag(0.0, 0.5)
    until(lambda: run.shown()[:, 10:40].min() > 250)


def test_a_background_that_has_gone_leaves_the_one_before(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    run = start(backgrounds=("green", str(tmp_path / "gone.png")))
    run.player.key(ord("b"))
    until(lambda: run.told("neither a file nor a colour"))
    assert run.player.look.background == "green"
    until(lambda: run.left(GREEN))


def test_mirror(start: Callable[..., Run]) -> None:
    run = start()
    run.player.key(ord("m"))
    until(lambda: run.pipeline.mirror)
    run.player.key(ord("m"))
    until(lambda: not run.pipeline.mirror)


def test_a_snapshot_has_transparency(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start()
    for _ in range(2):
        run.player.key(ord("s"))
    paths = until(lambda: len(found := sorted(tmp_path.glob("vmatte-*.png"))) == 2 and found)
    for path in paths:
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (64, 96, 4)
        assert picture[:, :40, 3].max() == 0 and picture[:, -40:, 3].min() == 255
    until(lambda: run.told("saved"))


def test_a_recording_goes_on_while_views_change(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start()
    run.player.key(ord("r"))
    until(lambda: run.player._keeper.recording)
    time.sleep(0.4)
    run.player.key(ord("2"))
    time.sleep(0.6)
    run.player.key(ord("r"))
    until(lambda: run.told("recorded"))
    (path,) = tmp_path.glob("vmatte-*.mp4")
    times = times_of(path)
    assert times[0] == 0 and times == sorted(set(times))
    assert Fraction(1, 2) < times[-1] < 5
    pictures = [p.to_ndarray(format="rgb24")[:, :40].mean((0, 1)) for p in decode(path)]
    assert np.abs(pictures[0] - GREEN).max() < 8 and pictures[-1].max() < 8


def test_a_recording_under_way_at_the_end_is_whole(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    run = start()
    run.player.key(ord("r"))
    until(lambda: run.player._keeper.recording)
    time.sleep(0.4)
    run.end()
    (path,) = tmp_path.glob("vmatte-*.mp4")
    with av.open(str(path)) as opened:
        assert len(list(opened.decode(video=0))) > 3


def test_pause_seek_and_the_view_of_a_picture_that_stands(start: Callable[..., Run]) -> None:
    run = start()
    source = run.pipeline.feed.source
    assert isinstance(source, PacedSource)
    until(lambda: source.position > 0.5)
    run.player.key(ord(" "))
    until(lambda: source.paused)
    time.sleep(0.3)
    count = run.window._count
    run.player.key(ord("1"))  # The last picture may have come too late to be shown.
    until(lambda: run.window._count > count)
    count, before = run.window._count, run.shown()
    time.sleep(0.5)
    assert run.window._count == count and run.pipeline.state == "live"
    run.player.key(ord("2"))
    until(lambda: run.left((0, 0, 0)))
    run.player.key(ord("1"))
    until(lambda: np.array_equal(run.shown(), before))
    run.player.key(0xFF50)
    until(lambda: source.position == 0 and not np.array_equal(run.shown(), before))
    assert source.paused
    run.player.key(ord(" "))
    until(lambda: not source.paused and source.position > 0.2)


def test_without_a_loop_it_stops_at_the_end(start: Callable[..., Run]) -> None:
    run = start()
    source = run.pipeline.feed.source
    assert isinstance(source, PacedSource) and source.duration
    canvas: NDArray[np.uint8] = np.zeros((180, 320, 3), np.uint8)
    run.player.key(ord("l"))
    run.player.key(0xFF53)
    end = time.monotonic() + 20
    while not source.paused and time.monotonic() < end:
        run.player.draw(canvas)
        time.sleep(0.02)
    assert source.paused and source.position < 1
    until(lambda: run.told("the end"))


def test_a_camera_that_is_paused_keeps_its_last_picture_on_screen(
    start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start()
    monkeypatch.setattr("vmatte.preview.playback.PacedSource", NetworkSource)

    def composite() -> bool:
        # A slate is green all over.
        right = run.shown()[:, -40:].mean((0, 1))
        return run.left(GREEN) and bool(np.abs(right - GREEN).max() > 20)

    until(composite)
    run.player.key(ord(" "))
    until(lambda: run.pipeline.paused)
    before = run.shown()
    slates = run.pipeline.snapshot().slates
    until(lambda: run.pipeline.snapshot().slates > slates + 1)
    assert composite() and np.array_equal(run.shown(), before)
    run.player.key(0xFF51)
    until(lambda: run.told("only in files"))
    run.player.key(ord(" "))
    until(lambda: not run.pipeline.paused and not np.array_equal(run.shown(), before))


def test_another_model(start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    class Named(FunctionMatter):
        def __init__(self, name: str) -> None:
            super().__init__(lambda rgb: np.ones(rgb.shape[:2], np.float32))
            self.engine = Engine(model=name, runtime="python", provider="cpu", precision="fp32")

        def close(self) -> None:
            closed.append(self.engine.model)

    monkeypatch.setattr("vmatte.preview.model.load_matter", lambda name, options: Named(name))
    steer = SteerOptions(drop=(Box(0, 0, 0.25, 1),))
    run = start(models=("function", "second", "third"), steer=steer)
    for name in ("second", "third"):
        run.player.key(ord("n"))
        until(lambda name=name: run.told(name) and not run.told("loading"))
        engine = run.pipeline.snapshot().engine
        assert engine is not None and engine.model == name
    until(lambda: not run.left(GREEN))
    # What the user is certain of holds for every model.
    until(lambda: np.abs(run.shown()[40:, :20].mean((0, 1)) - GREEN).max() < 6)
    assert closed == ["second"]
    run.end()
    assert closed == ["second", "third"]


def test_the_only_model_and_the_size_of_its_picture(
    start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(models=("function",))
    run.player.key(ord("n"))
    until(lambda: run.told("no other model"))
    run.player.key(ord("-"))
    until(lambda: run.told("85% of its usual size"))
    monkeypatch.setattr("vmatte.preview.model._TRIED", 0.1)
    monkeypatch.setattr(FunctionMatter, "working_size", lambda *a: (64, 64))
    until(lambda: getattr(run.pipeline.snapshot(), "working", None) == (64, 64))
    run.player.key(ord("+"))
    until(lambda: run.told("fixed size"))
    assert run.pipeline.scale == 0.85
    monkeypatch.undo()
    run.player.key(ord("+"))
    until(lambda: run.told("100% of its usual size") and not run.told("already"))
    assert run.pipeline.scale == 1.0
    run.player.key(ord("+"))
    until(lambda: run.told("already"))


def test_help_overlay_and_quit(start: Callable[..., Run]) -> None:
    run = start()
    canvas: NDArray[np.uint8] = np.full((360, 640, 3), 200, np.uint8)
    plain = canvas.copy()
    run.player.draw(canvas)
    assert not np.array_equal(canvas, plain)
    run.player.key(ord("o"))
    canvas[...] = 200
    run.player.draw(canvas)
    assert np.array_equal(canvas, plain)
    run.player.key(ord("h"))
    run.player.draw(canvas)
    assert canvas.mean() < 100
    assert not run.window.ended()
    run.player.key(ord("q"))
    assert run.window.ended()
    run.thread.join(5)
    assert not run.thread.is_alive(), "closing the window ends the run"
