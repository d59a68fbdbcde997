"""Never the raw room: whatever fails, in every kind of output, the slate is shown and no more."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from live_run import Live, Start, frames, matte, over, start
from live_sources import Room, info, marked, picture, shows_room, subject, until
from numpy.typing import NDArray

from vmatte.composite import AlphaOutput, Composite, Subject, parse_background
from vmatte.composite.background import COLOURS, ColourBackground
from vmatte.errors import InferenceError, InputError
from vmatte.frames import Frame, from_array
from vmatte.fullmatte import FullMatte
from vmatte.live import LiveOptions
from vmatte.live.slate import Slate
from vmatte.pipeline import Output
from vmatte.testing import FunctionMatter, MemorySink

__all__ = ["start"]

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


def test_the_marker_would_be_seen() -> None:
    """What the other tests rest on: the raw room, even a corner of it, is noticed."""
    room = marked(SIZE)
    assert shows_room(room)
    rgb = np.full((64, 96, 3), 60, np.uint8)
    assert not shows_room(picture(60, SIZE))
    rgb[:12, :12] = room.rgb(SIZE)[:12, :12]
    assert shows_room(from_array(rgb, "rgb24"))


def test_slates_by_kind(tmp_path: Path) -> None:
    path = tmp_path / "slate.png"
    cv2.imwrite(str(path), np.full((32, 32, 3), (0, 0, 200), np.uint8))
    for picture_path, wanted in (
        (None, {"green": GREEN, "blur": (38, 38, 38), "alpha": (0, 0, 0), "foreground": (0, 0, 0)}),
        (
            path,
            {
                "green": (200, 0, 0),
                "blur": (200, 0, 0),
                "alpha": (255, 255, 255),
                "foreground": (200, 0, 0),
            },
        ),
    ):
        slate, views = Slate(info(SIZE), picture_path), Views()
        for output in views.outputs:
            output.open(info(SIZE))
            frame = slate.frame(0)
            shown = slate.compose(output, frame, output.compositor.advance(frame))
            name = output.sink.name
            if name == "transparent":
                opaque = 255 if picture_path else 0
                assert shown.planes[3].min() == shown.planes[3].max() == opaque
            else:
                assert near(shown, wanted[name]), (name, colour(shown))
            assert not shows_room(shown)


def test_before_the_first_matte(start: Start) -> None:
    """The outputs open first; while the model loads they show the background alone."""
    views, loading = Views(), threading.Event()
    live = start(Room(), lambda: loading.wait(10) and FunctionMatter(subject), *views.outputs)
    live.until("starting")
    until(lambda: len(views.slates()) >= 3)
    time.sleep(0.1)
    assert all(f.segment < 0 for s in views.sinks.values() for f in s.frames)
    assert near(views.sinks["green"].frames[0], GREEN)
    loading.set()
    live.until("live")
    until(lambda: len(frames(views.sinks["green"])) > 5)
    live.stop()
    views.check()
    # The subject is there then, before green.
    rgb = frames(views.sinks["green"])[-1].rgb(SIZE)
    assert np.abs(rgb[32, 48].astype(int) - 128).max() < 6


@pytest.mark.parametrize("what", ["silent", "raises", "ends"])
def test_a_source_that_goes(start: Start, what: str) -> None:
    first, second, views = Room(), Room(), Views()
    model = Model()
    live = start([first, second], model, *views.outputs)
    live.until("live")
    if what == "silent":
        first.silent.set()
        live.until("stalled")
    elif what == "raises":
        first.error = OSError("unplugged")
    else:
        first.closed.set()
    until(lambda: live.feed.losses == 1)
    live.until("live")
    count = len(frames(views.sinks["green"]))
    until(lambda: len(frames(views.sinks["green"])) > count + 3)
    stats = live.stop()
    assert stats.reconnects == 1 and stats.losses == 1 and stats.slates >= 2
    assert stats.stalls == (what == "silent")
    # The state was begun anew: at the warm-up, at first, and after the return.
    assert model.states.count(0) - 1 == 3
    views.check()


def test_a_source_that_stays_away(start: Start) -> None:
    """Nobody answers: slates go on coming, a few a second."""
    room, views = Room(), Views()
    dead = InputError("refused")

    class Feeds:
        opened = 0

    live = start([room], Model(), *views.outputs)
    live.until("live")
    room.error = dead
    # The next open fails: the test's own list of sources is at its end.
    until(lambda: live.pipeline.state == "lost")
    views.shows_slates(live, 5)
    stats = live.stop()
    assert stats.reconnects == 0 and stats.losses == 1
    views.check()


def test_while_paused(start: Start) -> None:
    views = Views()
    live = start(Room(), Model(), *views.outputs)
    live.until("live")
    live.pipeline.pause()
    assert live.pipeline.paused
    live.until("paused")
    views.shows_slates(live, 3)
    count = len(frames(views.sinks["green"]))
    live.pipeline.resume()
    until(lambda: len(frames(views.sinks["green"])) > count + 3)
    assert live.pipeline.state == "live"
    live.stop()
    views.check()


def test_a_model_that_fails(start: Start) -> None:
    """The slate at once, and again the picture, from a fresh state, when it works again."""
    views, model = Views(), Model()
    live = start(Room(), model, *views.outputs)
    live.until("live")
    model.fails = True
    live.until("error")
    views.shows_slates(live)
    assert near(views.slates()[-1], GREEN)
    model.fails = False
    tried = len(model.states)
    live.until("live")
    assert 0 in model.states[tried - 1 :]
    stats = live.stop()
    assert stats.errors >= 1
    assert any("InferenceError: out of memory" in n for n in stats.notes)
    assert len([n for n in stats.notes if "out of memory" in n]) == 1
    views.check()


def test_a_model_that_hangs(start: Start) -> None:
    views, model = Views(), Model()
    live = start(Room(), model, *views.outputs)
    live.until("live")
    model.go.clear()
    live.until("stalled")
    views.shows_slates(live)
    model.go.set()
    live.until("live")
    stats = live.stop()
    assert stats.stalls == 1
    views.check()


def wrong_shape(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.zeros((2, 2, 2), np.float32)


def no_number(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.full(rgb.shape[:2], np.nan, np.float32)


def infinite(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.full(rgb.shape[:2], np.inf, np.float32)


@pytest.mark.parametrize("alpha", [wrong_shape, no_number, infinite, lambda rgb: "nonsense"])
def test_nonsense_from_a_model(start: Start, alpha: Callable[..., Any]) -> None:
    views = Views()
    live = start(Room(), FunctionMatter(alpha), *views.outputs)
    until(lambda: live.pipeline.snapshot().errors > 3)
    assert live.pipeline.state == "error"
    assert not frames(views.sinks["green"])
    live.stop()
    views.check()


def test_hold_shows_the_last_good_picture(start: Start) -> None:
    views, model = Views(), Model()
    live = start(Room(), model, *views.outputs, options=LiveOptions(on_error="hold"))
    model.fails = True
    live.until("error")
    # There is none yet.
    assert not frames(views.sinks["green"])
    model.fails = False
    live.until("live")
    model.fails = True
    live.until("error")
    time.sleep(0.3)
    sink = views.sinks["green"]
    count = len(sink.frames)
    until(lambda: len(sink.frames) > count + 2)
    held = sink.frames[-3:]
    assert len({f.picture for f in held}) == 1 and not near_green(held[0])
    assert len({f.pts for f in held}) == 3
    # A source that is gone is another matter: who is away is not to be shown.
    live.sources[0].error = OSError("gone")
    until(lambda: live.pipeline.state == "lost")
    views.shows_slates(live)
    live.stop()
    views.check()


def test_nothing_is_held_while_paused(start: Start) -> None:
    """The model fails at a frame that was taken before the pause."""
    views, model = Views(), Model()
    live = start(Room(), model, *views.outputs, options=LiveOptions(on_error="hold"))
    live.until("live")
    model.go.clear()
    time.sleep(0.1)
    live.pipeline.pause()
    sink = views.sinks["green"]
    until(lambda: sink.frames[-1].segment < 0)
    count = len(sink.frames)
    model.fails = True
    model.go.set()
    until(lambda: live.pipeline.snapshot().errors)
    until(lambda: len(sink.frames) > count + 2)
    assert all(f.segment < 0 for f in sink.frames[count:])
    live.stop()
    views.check()


def near_green(frame: Frame) -> bool:
    rgb = frame.rgb(SIZE)[32, 48].astype(int)
    return bool(np.abs(rgb - GREEN).max() <= 6)


def test_stop_on_error(start: Start) -> None:
    views, model = Views(), Model()
    live = start(Room(), model, *views.outputs, options=LiveOptions(on_error="stop"))
    live.until("live")
    model.fails = True
    result = live.wait()
    assert isinstance(result, InferenceError)
    assert all(s.state == "closed" for s in views.sinks.values())
    views.check()


def test_a_compositor_that_fails_is_alone(start: Start) -> None:
    """Its output shows a plain picture, the others go on."""

    class Broken(AlphaOutput):
        def compose(self, frame: Frame, matte: FullMatte, advanced: Any) -> Frame:
            raise InputError("the background ended")

    broken, views = MemorySink(), Views()
    live = start(Room(), Model(), Output(Broken(), broken), *views.outputs)
    live.until("live")
    until(lambda: len(broken.frames) > 3 and len(frames(views.sinks["green"])) > 3)
    assert live.pipeline.state == "live"
    assert {colour(f) for f in broken.frames} == {(38, 38, 38)}
    stats = live.stop()
    assert any("the background ended" in n for n in stats.notes)
    views.check()


def test_the_users_own_slate(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "slate.png"
    cv2.imwrite(str(path), np.full((90, 160, 3), (200, 40, 10), np.uint8))
    views = Views()
    live = start(Room(), Model(), *views.outputs, options=LiveOptions(slate=path))
    live.until("live")
    live.pipeline.pause()
    views.shows_slates(live)
    assert all(near(f, (10, 40, 200)) for f in views.slates())
    live.stop()
    views.check()


def test_a_slate_that_is_no_picture(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "slate.png"
    path.write_text("no picture")
    sink = MemorySink()
    live = start(Room(), Model(), over(sink), options=LiveOptions(slate=path))
    assert isinstance(live.wait(), InputError)
    assert parse_background("green") is not None and sink.state == "new"


def test_another_size_after_the_return(start: Start) -> None:
    """The outputs keep their size; neither the room nor bars of it come through."""
    first, second, views = Room(), Room((128, 64)), Views()
    live = start([first, second], Model(), *views.outputs)
    live.until("live")
    first.error = OSError("gone")
    until(lambda: live.feed.reconnects == 1)
    count = len(frames(views.sinks["green"]))
    until(lambda: len(frames(views.sinks["green"])) > count + 5)
    live.stop()
    assert {(f.width, f.height) for s in views.sinks.values() for f in s.frames} == {SIZE}
    views.check()
