"""What a live run does and did: latencies, rates, counts."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from vmatte.matting import Engine

LiveState = Literal["starting", "live", "stalled", "lost", "paused", "idle", "error"]
"""Everything but 'live' shows the slate (see LiveOptions.on_error for 'error'). idle: nobody
watches, so the camera is let go."""

_BIN, _BINS = 0.5, 20000
"""Milliseconds, and how many of them: up to ten seconds, in memory that does not grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSnapshot:
    """A live run as of now.

    fps: composites a second. latency_p50, latency_p95: milliseconds from a frame's arrival until
    the sink has taken it, over the last seconds; None where there was none. dropped: frames left
    out anywhere, for newer ones. sent: composites and slates: slates. working: (width, height) of
    the model's picture, share: of its usual size. source: what the latest connection negotiated.
    notes: all that was to be said so far.
    """

    state: LiveState
    seconds: float
    fps: float
    latency_p50: float | None
    latency_p95: float | None
    captured: int
    sent: int
    dropped: int
    slates: int
    stalls: int
    reconnects: int
    errors: int
    reused: int
    engine: Engine | None
    working: tuple[int, int] | None
    share: float
    source: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStats:
    """What a live run did.

    captured: frames that arrived. sent: composites each sink took, by name. dropped: frames left
    out for newer ones, by place; 'stale' were too old to be sent. slates: shown in place of
    frames. losses, reconnects: of the source. errors: of the model. reused: mattes of a scene that
    had not changed. latency: (p50, p95) in milliseconds from arrival until a sink has taken the
    frame; overhead: the same less the time in the network. stages: seconds over all threads.
    peak_memory: bytes, None where the system does not tell.
    """

    captured: int
    composed: int
    sent: dict[str, int]
    dropped: dict[str, int]
    slates: int
    stalls: int
    losses: int
    reconnects: int
    errors: int
    reused: int
    seconds: float
    latency: tuple[float, float] | None
    overhead: tuple[float, float] | None
    stages: dict[str, float]
    engine: Engine | None
    peak_memory: int | None
    interrupted: bool
    notes: tuple[str, ...] = field(default=())

    @property
    def fps(self) -> float:
        """Composites per second over the whole run."""
        return self.composed / self.seconds if self.seconds else 0.0


class Latencies:
    """Times in milliseconds: percentiles of the whole run and of the last seconds."""

    def __init__(self, window: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Look back ``window`` seconds."""
        self._window, self._clock = window, clock
        self._recent: deque[tuple[float, float]] = deque()
        self._bins = np.zeros(_BINS, np.int64)
        self._lock = threading.Lock()

    def add(self, milliseconds: float) -> None:
        """Take one."""
        with self._lock:
            self._recent.append((self._clock(), milliseconds))
            self._bins[min(_BINS - 1, max(0, int(milliseconds / _BIN)))] += 1
            self._forget()

    def recent(self) -> tuple[float, float] | None:
        """Return (p50, p95) of the last seconds."""
        with self._lock:
            self._forget()
            values = [v for _, v in self._recent]
        if not values:
            return None
        p50, p95 = np.percentile(values, (50, 95))
        return float(p50), float(p95)

    def overall(self) -> tuple[float, float] | None:
        """Return (p50, p95) of the whole run, to half a millisecond."""
        with self._lock:
            summed = np.cumsum(self._bins)
        if not summed[-1]:
            return None
        p50, p95 = (int(np.searchsorted(summed, summed[-1] * q)) for q in (0.50, 0.95))
        return (p50 + 0.5) * _BIN, (p95 + 0.5) * _BIN

    def _forget(self) -> None:
        limit = self._clock() - self._window
        while self._recent and self._recent[0][0] < limit:
            self._recent.popleft()


class Rate:
    """Events per second over the last seconds."""

    def __init__(self, window: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Look back ``window`` seconds."""
        self._window, self._clock, self._begin = window, clock, clock()
        self._times: deque[float] = deque()
        self._lock = threading.Lock()
        self.count = 0

    def add(self) -> None:
        """Count one."""
        with self._lock:
            self.count += 1
            self._times.append(self._clock())
            self._forget()

    def value(self) -> float:
        """Return events per second."""
        with self._lock:
            self._forget()
            return len(self._times) / max(1e-3, min(self._window, self._clock() - self._begin))

    def _forget(self) -> None:
        limit = self._clock() - self._window
        while self._times and self._times[0] < limit:
            self._times.popleft()
