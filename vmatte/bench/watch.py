"""Time, processor time and memory of this process; needs the standard library alone."""

import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from vmatte.stats import peak_memory

LEAST = 6
"""Frames of every run, however long they take."""

T = TypeVar("T")


def until(frames: Iterable[T], seconds: float) -> Iterator[T]:
    """Yield ``frames`` for so many seconds, but at least LEAST."""
    begin = time.perf_counter()
    for count, frame in enumerate(frames):
        if count >= LEAST and time.perf_counter() - begin > seconds:
            return
        yield frame


class Watch:
    """Wall and CPU seconds of this process from its making on."""

    def __init__(self) -> None:
        """Start."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, frames: int) -> dict[str, Any]:
        """Return frames, fps, cpu_ms (of a frame, over all threads) and peak_mb."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        peak = peak_memory()
        return {
            "frames": frames,
            "fps": frames / wall,
            "cpu_ms": 1e3 * cpu / frames,
            "peak_mb": None if peak is None else peak / 1e6,
        }
