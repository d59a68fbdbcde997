"""The one place with threads' plumbing: bounded channels that end, fail and stop promptly."""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class StoppedError(Exception):
    """The other end of a channel has gone away."""


class Channel(Generic[T]):
    """A bounded queue between two threads.

    The sender ends it with ``close`` (what was sent still arrives, then the error, if any);
    either side gives up with ``stop`` (nothing more arrives, and both sides wake).
    """

    def __init__(self, size: int) -> None:
        """Hold at most ``size`` items."""
        self._items: deque[T] = deque()
        self._size = size
        self._changed = threading.Condition()
        self._closed = self._stopped = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Send, waiting for room. Raises StoppedError when the receiver has gone."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._size or self._stopped)
            if self._stopped:
                raise StoppedError
            self._items.append(item)
            self._changed.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """End the stream; ``error`` is raised at the receiver after the last item."""
        with self._changed:
            self._closed = True
            self._error = error
            self._changed.notify_all()

    def stop(self) -> None:
        """Give up, from either side."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Receive until the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._closed or self._stopped)
                if self._stopped:
                    return
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
