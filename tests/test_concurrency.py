"""Channels between threads: order, bounds, ends, failures, stops."""

import threading
import time
from collections.abc import Callable

import pytest

from vmatte.concurrency import Channel, StoppedError


def start(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def end(thread: threading.Thread) -> None:
    thread.join(5)
    assert not thread.is_alive()


def test_order_and_end() -> None:
    channel: Channel[int] = Channel(2)

    def send() -> None:
        for n in range(100):
            channel.put(n)
        channel.close()

    thread = start(send)
    assert list(channel) == list(range(100))
    assert list(channel) == []
    end(thread)


def test_bounded() -> None:
    channel: Channel[int] = Channel(3)
    sent = []

    def send() -> None:
        for n in range(10):
            channel.put(n)
            sent.append(n)
        channel.close()

    thread = start(send)
    time.sleep(0.05)
    assert sent == [0, 1, 2]
    received = iter(channel)
    next(received)
    deadline = time.monotonic() + 5
    while len(sent) < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.02)
    assert sent == [0, 1, 2, 3]
    assert list(received) == list(range(1, 10))
    end(thread)


def test_an_error_comes_after_what_was_sent() -> None:
    channel: Channel[int] = Channel(4)
    channel.put(1)
    channel.put(2)
    channel.close(OSError("broken"))
    received = iter(channel)
    assert [next(received), next(received)] == [1, 2]
    with pytest.raises(OSError, match="broken"):
        next(received)


def test_stop_wakes_a_sender_that_waits() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    raised = []

    def send() -> None:
        try:
            channel.put(2)
        except StoppedError as e:
            raised.append(e)

    thread = start(send)
    time.sleep(0.02)
    channel.stop()
    end(thread)
    assert len(raised) == 1
    with pytest.raises(StoppedError):
        channel.put(3)


@pytest.mark.parametrize("way", ["stop", "close"])
def test_a_receiver_that_waits_is_woken(way: str) -> None:
    channel: Channel[int] = Channel(1)
    received = []
    thread = start(lambda: received.extend(channel))
    time.sleep(0.02)
    getattr(channel, way)()
    end(thread)
    assert received == []


def test_stop_drops_what_waits_and_hides_an_error() -> None:
    channel: Channel[int] = Channel(4)
    channel.put(1)
    channel.close(OSError("too late"))
    channel.stop()
    assert list(channel) == []
