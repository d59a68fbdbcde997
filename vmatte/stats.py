"""What a run did, and how long its stages took."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmatte.matting import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStats:
    """What a run did.

    frames: written. dropped: left out by policy. skipped: damaged in the source. seconds: wall
    time. stages: seconds spent in each stage, over all threads. peak_memory: bytes of the process,
    None where the system does not tell. interrupted: stopped before the end of the source.
    composed: where, "host" or "device".
    """

    frames: int
    dropped: int
    skipped: int
    seconds: float
    stages: dict[str, float]
    engine: "Engine"
    peak_memory: int | None
    interrupted: bool
    notes: tuple[str, ...] = ()
    composed: str = "host"

    @property
    def fps(self) -> float:
        """Frames per second over the whole run."""
        return self.frames / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class Clock:
    """Seconds by stage, summed over threads."""

    stages: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the seconds that the block takes to ``stage``."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            with self.lock:
                self.stages[stage] = self.stages.get(stage, 0.0) + spent


def peak_memory() -> int | None:
    """Return the most memory this process has held so far, in bytes."""
    if sys.platform == "win32":
        return None
    if sys.platform == "linux":
        # Not getrusage: there a process begins with the peak of the one that started it.
        with contextlib.suppress(OSError, StopIteration, ValueError):
            status = Path("/proc/self/status").read_text().splitlines()
            line = next(x for x in status if x.startswith("VmHWM:"))
            return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
