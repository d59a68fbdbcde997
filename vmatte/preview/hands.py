"""A thread for what may take its time, so that neither the window nor the run waits for it."""

import contextlib
import threading
from collections.abc import Callable

from vmatte.concurrency import Channel, StoppedError
from vmatte.errors import VmatteError

_MANY = 1000
"""Deeds that may wait: more than keys are pressed while a model loads."""

_PATIENCE = 0.5
"""Seconds that a deed under way may take once the run has ended."""


class Hands:
    """Does one thing after the other."""

    def __init__(self, failed: Callable[[VmatteError], None]) -> None:
        """``failed`` is told of what goes wrong."""
        self._failed = failed
        self._deeds: Channel[Callable[[], None]] = Channel(_MANY)
        # A daemon: loading a model must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name="vmatte-player", daemon=True)

    def start(self) -> None:
        """Begin with what was posted."""
        self._thread.start()

    def post(self, deed: Callable[[], None]) -> None:
        """Have ``deed`` done after what was posted before; nothing is done after ``close``."""
        with contextlib.suppress(StoppedError):
            self._deeds.put(deed)

    def close(self) -> bool:
        """Do no more; return whether nothing is under way."""
        self._deeds.stop()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)
        return not self._thread.is_alive()

    def _work(self) -> None:
        for deed in self._deeds:
            try:
                deed()
            except VmatteError as e:
                self._failed(e)
