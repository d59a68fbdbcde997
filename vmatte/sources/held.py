"""What one thread uses and any thread may give back."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Held:
    """A device or connection that must not be released while a call on it runs.

    ``close`` never waits: what is in use is released by its user, when the call returns.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        """Call ``release`` once, when closed and not in use."""
        self._release, self._lock = release, threading.Lock()
        self._used = self._released = False
        self.closed = threading.Event()

    @contextmanager
    def used(self) -> Iterator[bool]:
        """Use it within a ``with``; False where it is closed. Only one thread may."""
        with self._lock:
            self._used = not self.closed.is_set()
            there = self._used
        try:
            yield there
        finally:
            with self._lock:
                self._used = False
            if self.closed.is_set():
                self.close()

    def close(self) -> None:
        """Release it, at once or when it is no longer used; may be called again."""
        self.closed.set()
        with self._lock:
            now = not (self._used or self._released)
            self._released |= now
        if now:
            self._release()
