"""Live runs end before Python does.

At its exit Python ends daemon threads where they stand. One within a library's C++, such as a
network that is being compiled, then aborts the process.
"""

import atexit
import time
from typing import Protocol

_PATIENCE = 20.0
"""Seconds that all runs may take to end: a model that loads cannot be interrupted."""


class Run(Protocol):
    """What may still be at work when the program ends."""

    def stop(self) -> None:
        """Ask it to end."""
        ...

    def join(self, timeout: float) -> bool:
        """Wait until it has ended, and its threads too; return whether they have."""
        ...


_runs: set[Run] = set()


def begun(run: Run) -> None:
    """Have ``run`` stopped and waited for at exit."""
    _runs.add(run)


def ended(run: Run) -> None:
    """Forget ``run``."""
    _runs.discard(run)


@atexit.register
def _leave() -> None:
    end = time.monotonic() + _PATIENCE
    runs = list(_runs)
    for run in runs:
        run.stop()
    for run in runs:
        run.join(max(0.0, end - time.monotonic()))
