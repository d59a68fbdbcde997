"""The feed: sources that are lost, let go of, and taken again."""

import gc
import threading
import time
import weakref
from collections.abc import Callable

import pytest
from live_feed import Clock, Make, make, taken
from live_sources import Plug, level, picture, until

from vmatte.errors import InputError
from vmatte.live import Feed
from vmatte.sources import PacedSource, SyntheticSource

__all__ = ["make"]


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
