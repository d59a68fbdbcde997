"""The one place with threads' plumbing: bounded channels that end, fail and stop promptly."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

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


class Newest(Generic[T]):
    """A box between two threads that keeps the newest items and counts what it drops for them.

    Live pictures go through it: the sender never waits.
    """

    def __init__(self, size: int = 1, counted: Callable[[T], bool] = lambda _: True) -> None:
        """Keep at most ``size`` items; of those dropped, count what is ``counted``."""
        self._items: deque[T] = deque()
        self._size, self._counted = size, counted
        self._changed = threading.Condition()
        self._closed = False
        self.dropped = 0

    def put(self, item: T) -> None:
        """Send; the oldest goes where there is no room. Nothing arrives after ``close``."""
        with self._changed:
            if self._closed:
                return
            if len(self._items) == self._size:
                self.dropped += self._counted(self._items.popleft())
            self._items.append(item)
            self._changed.notify_all()

    def take(self, timeout: float) -> T | None:
        """Return the oldest item kept, or None after ``timeout`` seconds or at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            if not self._items:
                return None
            self._changed.notify_all()
            return self._items.popleft()

    def wait_empty(self, timeout: float) -> bool:
        """Wait until all that was sent has been taken; return whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._items, timeout)

    def clear(self) -> None:
        """Forget what is kept, uncounted."""
        with self._changed:
            self._items.clear()

    def close(self) -> None:
        """End: what is kept still arrives."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Receive until the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._closed)
                if not self._items:
                    return
                item = self._items.popleft()
            yield item


class Calls:
    """Functions that other threads want done by one thread, between two pieces of its work."""

    def __init__(self) -> None:
        """Let calls wait for whoever will serve them."""
        self._waiting: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._lock = threading.RLock()
        self._ended = False
        self._server: int | None = None

    def post(self, function: Callable[[], T]) -> "Future[T]":
        """Have ``function`` called by the serving thread; at once by itself, or after ``end``."""
        done: Future[T] = Future()
        with self._lock:
            self._waiting.append((function, done))
            if self._ended or self._server == threading.get_ident():
                self.serve()
        return done

    def begin(self) -> None:
        """Serve, from now on, in the present thread."""
        with self._lock:
            self._server = threading.get_ident()

    def serve(self) -> None:
        """Do what waits."""
        while True:
            with self._lock:
                if not self._waiting:
                    return
                function, done = self._waiting.popleft()
            try:
                done.set_result(function())
            except BaseException as e:
                done.set_exception(e)

    def end(self) -> None:
        """Serve no more: what waits is done now, what comes is done by its caller."""
        with self._lock:
            self.serve()
            self._ended = True
