"""The feed: newest frame, silence, loss and return, one size for all."""

import threading
import time
from fractions import Fraction

import numpy as np
import pytest
from live_feed import Clock, Make, make, taken
from live_sources import SIZE, Plug, info, level, picture, until

from vmatte.errors import InputError
from vmatte.live import Feed

__all__ = ["make"]


def test_the_newest_frame_wins(make: Make) -> None:
    plug, clock = Plug(), Clock()
    feed = make(plug, clock=clock)
    described = feed.open()
    assert described.size == SIZE and described.live and described.container is None
    assert described.time_base == Fraction(1, 90000)
    plug.send(*(picture(n) for n in (10, 20, 30)))
    until(lambda: feed.captured == 3)
    captured = taken(feed)
    assert level(captured.frame) == pytest.approx(30, abs=2)
    assert feed.dropped == 2
    assert feed.newest(0) is None
    clock.time += 0.5
    plug.send(picture(40))
    later = taken(feed)
    assert later.at - captured.at == 0.5
    # Three at one instant of this clock are told apart.
    assert later.frame.pts - captured.frame.pts == 45000 - 2
    assert later.frame.segment == captured.frame.segment


@pytest.mark.parametrize("error", [InputError("no such camera"), OSError("busy")])
def test_the_first_connection_must_work(make: Make, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        make(error).open()


def test_a_first_connection_that_hangs(make: Make) -> None:
    release = threading.Event()
    feed = Feed(lambda: release.wait(10) and Plug(), opening=0.2, name="rtsp://me:secret@host/x")  # type: ignore[arg-type, return-value]
    begin = time.monotonic()
    with pytest.raises(InputError, match="did not open") as raised:
        feed.open()
    assert time.monotonic() - begin < 2
    assert "secret" not in str(raised.value)
    release.set()
    feed.close(2)


def test_opening_can_be_broken_off() -> None:
    release = threading.Event()
    feed = Feed(lambda: release.wait(10) and Plug().send(None))  # type: ignore[arg-type, return-value]
    threading.Timer(0.1, feed.cancel).start()
    with pytest.raises(KeyboardInterrupt):
        feed.open()
    release.set()
    feed.close(2)


def test_a_read_that_hangs_is_given_up(make: Make) -> None:
    """Its late frames never appear, and its source is closed when the read comes back."""
    back = threading.Event()
    stuck, fresh, clock = Plug(), Plug(), Clock()
    feed = make(stuck, fresh, clock=clock, backoff=(0.5, 4))
    feed.open()
    stuck.send(picture(10))
    first = taken(feed)
    stuck.send(lambda: back.wait(10), picture(200), picture(210))
    clock.time += 0.9
    feed.poll()
    assert feed.state == "live"
    clock.time += 0.2
    feed.poll()
    assert (feed.state, feed.stalls, feed.losses) == ("stalled", 1, 0)
    clock.time += 1
    feed.poll()
    assert (feed.state, feed.stalls, feed.losses) == ("lost", 1, 1)
    assert "2.1 s" in str(feed.error)
    clock.time += 0.4
    feed.poll()
    assert feed._open.opened == 1  # type: ignore[attr-defined]
    clock.time += 0.2
    feed.poll()
    fresh.send(picture(50))
    second = taken(feed)
    assert (feed.state, feed.reconnects) == ("live", 1)
    assert second.frame.segment != first.frame.segment
    assert not stuck.closed.is_set()
    back.set()
    until(stuck.closed.is_set)
    assert feed.newest(0.1) is None
    assert feed.captured == 2


def test_a_frame_that_waits_is_forgotten_with_its_connection(make: Make) -> None:
    plug, clock = Plug(), Clock()
    feed = make(plug, Plug(), clock=clock)
    feed.open()
    plug.send(picture(10))
    until(lambda: feed.captured == 1)
    clock.time += 3
    assert feed.newest(0) is None and feed.state == "lost"


def test_a_source_without_a_frame(make: Make) -> None:
    """It is open, but nothing comes: not stalled, and given up after a while."""
    clock = Clock()
    feed = make(Plug(), Plug(), clock=clock, opening=5)
    feed.open()
    clock.time += 4
    feed.poll()
    assert (feed.state, feed.stalls) == ("connecting", 0)
    clock.time += 2
    feed.poll()
    assert feed.error == "no frame within 5 s"


def test_rare_frames_are_no_stall(make: Make) -> None:
    clock, plug = Clock(), Plug(info(rate=1))
    feed = make(plug, clock=clock)
    feed.open()
    plug.send(picture(1))
    taken(feed)
    clock.time += 2.5
    feed.poll()
    assert feed.state == "live"
    clock.time += 1
    feed.poll()
    assert (feed.stalls, feed.losses) == (1, 1)


def test_closing_leaves_a_hanging_read_alone(make: Make) -> None:
    back, plug = threading.Event(), Plug()
    plug.send(picture(1), lambda: back.wait(20), None)
    feed = make(plug)
    feed.open()
    taken(feed)
    begin = time.monotonic()
    feed.close(0.2)
    assert time.monotonic() - begin < 1
    assert feed.state == "closed" and not plug.closed.is_set()
    back.set()
    until(plug.closed.is_set)


def test_segments_follow_the_source_and_gaps(make: Make) -> None:
    clock, plug = Clock(), Plug()
    feed = make(plug, clock=clock)
    feed.open()
    found = []
    for segment, wait in ((0, 0.1), (0, 0.1), (4, 0.1), (4, 1.5), (4, 0.1)):
        clock.time += wait
        plug.send(picture(1, segment=segment))
        found.append(taken(feed).frame.segment)
    assert [n - found[0] for n in found] == [0, 0, 1, 2, 2]


@pytest.mark.parametrize("size", [(128, 96), (32, 24)])
def test_a_new_size_of_the_same_shape_is_scaled(make: Make, size: tuple[int, int]) -> None:
    plug = Plug()
    feed = make(plug)
    feed.open()
    plug.send(picture(80))
    before = taken(feed)
    plug.send(picture(200, size))
    after = taken(feed)
    assert (after.frame.width, after.frame.height) == SIZE
    assert after.frame.segment != before.frame.segment
    rgb = after.frame.rgb(SIZE)
    assert np.abs(rgb.astype(int) - 200).max() <= 2
