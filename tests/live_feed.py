"""A feed whose clock and sources a test plays."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from live_sources import Plug

from vmatte.live import Captured, Feed

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
