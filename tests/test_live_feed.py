"""The feed: newest frame, silence, loss and return, one size for all."""

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from live_sources import SIZE, Plug, info, level, picture, until

from vmatte.errors import InputError
from vmatte.live import Captured, Feed
from vmatte.sources import PacedSource, SyntheticSource

Make = Callable[..., Feed]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


class Socket:
    """Opens the plugs that it was given, in turn; an exception is raised."""

    def __init__(self, *plugs: Any) -> None:
        self.plugs, self.opened = list(plugs), 0

    def __call__(self) -> Any:
        plug = self.plugs[min(self.opened, len(self.plugs) - 1)]
        self.opened += 1
        if isinstance(plug, BaseException):
            raise plug
        return plug


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[tuple[Feed, Socket]] = []

    def build(*plugs: Any, **more: Any) -> Feed:
        socket = Socket(*plugs)
        feed = Feed(socket, **more)
        made.append((feed, socket))
        return feed

    yield build
    for feed, socket in made:
        for plug in socket.plugs:
            if isinstance(plug, Plug):
                plug.end()
        feed.close(2)


def taken(feed: Feed) -> Captured:
    captured = feed.newest(3)
    assert captured is not None
    return captured


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


def test_waits_between_tries_grow_and_begin_anew(make: Make) -> None:
    clock, good, bad = Clock(), Plug(), InputError("still gone")
    feed = make(good, bad, bad, bad, bad, Plug().send(picture(9)), clock=clock, backoff=(0.5, 2))
    feed.open()
    good.send(picture(1))
    taken(feed)
    good.send(OSError("unplugged"))
    tried: list[float] = []
    until(lambda: feed.state == "lost")
    assert feed.error == "unplugged"
    begin, seen = clock.time, 1
    while feed.reconnects == 0 and clock.time < begin + 30:
        clock.time += 0.25
        feed.poll()
        # A try that was begun has come to its end, or to its first frame.
        until(lambda: feed._connection is None or feed._connection.frames)
        now: int = feed._open.opened  # type: ignore[attr-defined]
        if now > seen:
            seen = now
            tried.append(clock.time - begin)
    assert tried == [0.5, 1.5, 3.5, 5.5, 7.5]
    assert feed.state == "live" and feed.error is None and feed.losses == 1


def test_the_end_of_a_stream_is_a_loss(make: Make) -> None:
    clock, first = Clock(), Plug()
    feed = make(first, Plug().send(picture(2)), clock=clock)
    feed.open()
    first.send(picture(1))
    taken(feed)
    first.end()
    until(lambda: feed.state == "lost")
    assert first.closed.is_set()
    clock.time += 0.5
    assert level(taken(feed).frame) == pytest.approx(2, abs=2)


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


def test_a_played_file_that_pauses_is_not_lost(make: Make) -> None:
    clock, plug = Clock(), Plug()
    plug.paused = True  # type: ignore[attr-defined]
    feed = make(plug, clock=clock)
    feed.open()
    assert feed.source is plug
    plug.send(picture(1))
    taken(feed)
    clock.time += 60
    feed.poll()
    assert feed.state == "live" and feed.stands
    plug.paused = False  # type: ignore[attr-defined]
    clock.time += 3
    feed.poll()
    assert feed.state == "lost"


@pytest.mark.parametrize("end", [Feed.close, Feed.release])
def test_a_played_file_that_pauses_is_let_go(make: Make, end: Callable[[Feed], None]) -> None:
    source = PacedSource(lambda start: SyntheticSource(width=64, height=48, start=start))
    feed = make(source)
    feed.open()
    taken(feed)
    source.pause()
    time.sleep(0.1)  # Until its thread waits for the next frame, and would for ever.
    (thread,) = (t for t in threading.enumerate() if t.name == "vmatte-feed")
    end(feed)
    thread.join(2)
    assert not thread.is_alive()


def test_let_go_and_taken_again(make: Make) -> None:
    first, second, clock = Plug(), Plug(), Clock()
    feed = make(first, second, clock=clock)
    feed.open()
    first.send(picture(1))
    before = taken(feed)
    feed.release()
    assert feed.state == "released"
    clock.time += 60
    feed.poll()
    # A camera in its read notices with the next frame.
    first.send(picture(99))
    until(first.closed.is_set)
    assert feed.newest(0) is None
    assert feed._open.opened == 1  # type: ignore[attr-defined]
    feed.resume()
    second.send(picture(2))
    after = taken(feed)
    assert after.frame.segment != before.frame.segment
    assert (feed.stalls, feed.losses, feed.state) == (0, 0, "live")


def test_hanging_reads_do_not_pile_up(make: Make) -> None:
    clock, back = Clock(), threading.Event()
    plugs = [Plug().send(picture(n), lambda: back.wait(20)) for n in range(8)]
    feed = make(*plugs, clock=clock, backoff=(0.1, 0.1))
    feed.open()
    for _ in range(12):
        time.sleep(0.03)
        clock.time += 2.5
        feed.poll()
        clock.time += 0.2
        feed.poll()
    alive = [t for t in threading.enumerate() if t.name == "vmatte-feed"]
    assert len(alive) == 3
    back.set()


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


def test_a_lost_source_is_not_kept(make: Make) -> None:
    """Neither it nor its pictures wait for Python's collector of rings: they are large."""
    clock = Clock()

    def opened() -> Plug:
        plug = Plug().send(picture(1), OSError("gone"))
        known.append(weakref.ref(plug))
        return plug

    known: list[weakref.ref[Plug]] = []
    feed = Feed(opened, clock=clock, backoff=(0.1, 0.1))
    gc.disable()
    try:
        feed.open()
        for n in range(4):
            until(lambda n=n: feed.losses == n + 1)  # type: ignore[misc]
            clock.time += 0.2
            feed.poll()
        until(lambda: sum(r() is not None for r in known) <= 1)
    finally:
        gc.enable()
        feed.close(2)


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
