"""What a process holds, over time: memory, threads, open files."""

import ctypes
import itertools
import math
import os
import sys
import threading
import time
from array import array
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_WARM_UP = 0.2
"""Of the whole run: memory counts from then on."""


class Slope(NamedTuple):
    """MB an hour after the warm-up, the standard error, and what it rests on, in MB."""

    mb_per_hour: float
    error: float
    median: float
    """Of the slopes between any two (Theil and Sen): outliers hardly move it."""
    least_mb: list[float]


class Watch:
    """Samples of the process, one a second."""

    def __init__(self) -> None:
        """Begin."""
        self.begin = time.monotonic()
        # Not a list of tuples: what watches would grow by half a megabyte an hour.
        self._samples = array("d")
        self._last = -math.inf
        self.threads = self.files = 0

    def wait(self, seconds: float) -> None:
        """Wait, and look meanwhile."""
        end = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            if now - self._last >= 1:
                self._last = now
                blocks = sys.getallocatedblocks()
                self._samples.extend((now - self.begin, resident(), in_use(), blocks))
                self.threads = max(self.threads, threading.active_count())
                self.files = max(self.files, descriptors())
            if now >= end:
                return
            time.sleep(min(0.05, end - now))

    def slopes(self, period: float) -> tuple[Slope, Slope, list[float]]:
        """Return those of resident memory, and of what the allocator has given out.

        And how many blocks of memory Python held.

        Lines through the least of every ``period`` seconds: what is above it are pictures on their
        way, whose number depends on the moment.
        """
        samples = np.array(self._samples).reshape(-1, 4)
        late = samples[samples[:, 0] >= _WARM_UP * samples[-1, 0]]
        period = min(period, (late[-1, 0] - late[0, 0]) / 6)
        index = ((late[:, 0] - late[0, 0]) / period).astype(int)
        parts = [p for i in range(index.max()) if len(p := late[index == i])]
        blocks = [float(p[:, 3].min()) for p in parts]
        return self._fitted(parts, 1), self._fitted(parts, 2), blocks

    def _fitted(self, parts: list[Any], column: int) -> Slope:
        points = np.array([p[p[:, column].argmin()] for p in parts])
        (gain, _), spread = np.polyfit(points[:, 0] / 3600, points[:, column], 1, cov=True)
        pairs = itertools.combinations(points[:, [0, column]], 2)
        median = float(np.median([3600 * (b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs]))
        return Slope(float(gain), float(spread[0, 0] ** 0.5), median, points[:, column].tolist())


def resident() -> float:
    """Return the process's own resident memory in MB: programs' files come and go with the load."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024 / 1e6


def in_use() -> float:
    """Return what glibc's malloc has given out, in MB: it does not grow where nothing leaks.

    Resident memory may, while a heap's free pages are used for the first time.
    """
    info = _LIBC.mallinfo2()
    return (int(info.uordblks) + int(info.hblkhd)) / 1e6


class _Info(ctypes.Structure):
    """Struct mallinfo2 of glibc's malloc.h."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


_LIBC = ctypes.CDLL(None)
_LIBC.mallinfo2.restype = _Info


def descriptors() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208
