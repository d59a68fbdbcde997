"""Never the raw room: whatever fails, in every kind of output, the slate is shown and no more."""

import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from live_run import Start, frames, over, start
from live_sources import Room, info, marked, picture, shows_room, subject, until
from slates import GREEN, SIZE, Model, Views, colour, near

from vmatte.composite import AlphaOutput, parse_background
from vmatte.errors import InputError
from vmatte.frames import Frame, from_array
from vmatte.fullmatte import FullMatte
from vmatte.live import LiveOptions
from vmatte.live.slate import Slate
from vmatte.output import Output
from vmatte.testing import FunctionMatter, MemorySink

__all__ = ["start"]


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
