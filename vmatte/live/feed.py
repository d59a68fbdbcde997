"""A live source that may stall, fail, change and come back: always its newest frame, or none."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from vmatte.concurrency import Newest
from vmatte.errors import InputError, mask
from vmatte.frames import Frame, StreamInfo
from vmatte.live.conform import conform
from vmatte.live.connection import Connection
from vmatte.live.timeline import TIME_BASE, Timeline
from vmatte.sources import FrameSource

_STUCK = 3
"""Reads that may hang at once; beyond it no new connection is tried until one comes back."""

FeedState = Literal["connecting", "live", "stalled", "lost", "released", "closed"]


@dataclass(frozen=True, slots=True)
class Captured:
    """A frame and when it came, in seconds of the feed's clock (time.monotonic)."""

    frame: Frame
    at: float


class Feed:
    """Keeps the newest frame of a source, and the source alive.

    Each connection reads in a daemon thread of its own. One that is silent for too long is given
    up: its thread is left alone, what it may still bring is ignored, and another is opened, with
    longer and longer waits between tries. Every frame has the size, format and colour of the first
    connection, its arrival as pts, and a segment that changes with each connection.

    ``open``, ``newest`` and ``poll`` may be called from different threads.
    """

    def __init__(
        self,
        open: Callable[[], FrameSource],
        *,
        stall: float = 1.0,
        lost: float = 2.0,
        opening: float = 15.0,
        backoff: tuple[float, float] = (0.5, 10.0),
        clock: Callable[[], float] = time.monotonic,
        name: str = "the source",
    ) -> None:
        """Read what ``open`` gives, again and again.

        stall: seconds of silence that count as a stall. lost: seconds of silence after which the
        connection is given up. opening: seconds that opening and the first frame may take. backoff:
        first and longest wait between two tries. name: for messages.
        """
        self._open = open
        self._stall, self._lost, self._opening = stall, lost, opening
        self._backoff, self._clock = backoff, clock
        self.name = mask(name)
        self._lock = threading.Condition(threading.RLock())
        self._box: Newest[Captured] = Newest()
        self._connection: Connection | None = None
        self._abandoned: list[Connection] = []
        self._info: StreamInfo | None = None
        self._source_info: StreamInfo | None = None
        self._retry_at, self._wait = 0.0, backoff[0]
        self._timeline = Timeline(clock)
        self._released = self._closed = self._cancelled = False
        self.captured = self.stalls = self.losses = self.reconnects = 0
        self.error: str | None = None

    @property
    def info(self) -> StreamInfo:
        """What every frame looks like; valid once ``open`` has returned."""
        if self._info is None:
            raise InputError(f"{self.name} is not open yet; call Feed.open first")
        return self._info

    @property
    def description(self) -> str:
        """The name, and what the latest connection negotiated."""
        info = self._source_info
        if info is None:
            return self.name
        rate = f" at {float(info.rate):.4g} fps" if info.rate else ""
        return f"{self.name}, {info.width}x{info.height}{rate}"

    @property
    def source(self) -> FrameSource | None:
        """The source that is open now, if one is; a played file takes ``seek`` and ``pause``."""
        connection = self._connection
        return connection.source if connection else None

    @property
    def stands(self) -> bool:
        """Whether the source was told to pause, so that no frame is expected."""
        connection = self._connection
        return connection is not None and connection.stands

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced before they were taken."""
        return self._box.dropped

    @property
    def now(self) -> int:
        """The present time as a pts of the feed's frames."""
        return self._timeline.now

    @property
    def interval(self) -> float:
        """Seconds between two frames, lately."""
        return self._timeline.interval

    @property
    def silence(self) -> float:
        """Seconds since the last frame, or since the feed was opened."""
        return self._timeline.silence

    @property
    def state(self) -> FeedState:
        """What goes on, as of now."""
        with self._lock:
            if self._closed:
                return "closed"
            if self._released:
                return "released"
            connection = self._connection
            if connection is None or not connection.frames:
                return "lost" if self.captured else "connecting"
            silence = 0.0 if connection.stands else self._clock() - connection.last
            return "stalled" if silence > self._patience() else "live"

    def open(self) -> StreamInfo:
        """Make the first connection; return what all frames will look like.

        Raises what opening raises, InputError where it takes too long, KeyboardInterrupt after
        ``cancel``.
        """
        with self._lock:
            if self._info is not None:
                return self._info
            begun = self._clock()
            self._timeline.begin()
            connection = self._connect()
            while not (connection.is_open or connection.is_over):
                # Short, so that a signal is seen to.
                self._lock.wait(0.05)
                if self._cancelled:
                    self._abandon(connection)
                    raise KeyboardInterrupt
                if self._clock() - begun > self._opening:
                    self._abandon(connection)
                    raise InputError(
                        f"{self.name} did not open within {self._opening:g} s; check that it is "
                        "there and that no other program holds it"
                    )
            if connection.failure is not None and self._info is None:
                raise connection.failure
            return self.info

    def cancel(self) -> None:
        """Break off ``open``. May be called from a signal handler."""
        self._cancelled = True

    def newest(self, timeout: float) -> Captured | None:
        """Return the newest frame not yet taken, None if none comes within ``timeout`` seconds."""
        self.poll()
        return self._box.take(timeout)

    def poll(self) -> None:
        """Look after the connection: give it up, or try anew. To be called a few times a second."""
        with self._lock:
            if self._closed or self._released or self._info is None:
                return
            self._abandoned = [c for c in self._abandoned if c.thread.is_alive()]
            connection, now = self._connection, self._clock()
            if connection is None:
                if now >= self._retry_at and len(self._abandoned) < _STUCK:
                    self._connect()
            elif not connection.frames:
                if now - connection.last > self._opening:
                    self._lose(connection, f"no frame within {self._opening:g} s")
            elif connection.stands:
                connection.last = now
            else:
                silence = now - connection.last
                if silence > self._patience() and not connection.stalled:
                    connection.stalled = True
                    self.stalls += 1
                if silence > max(self._lost, self._patience()):
                    self._lose(connection, f"no frame for {silence:.1f} s")

    def release(self) -> None:
        """Let go of the source, until ``resume``."""
        with self._lock:
            if not (self._released or self._closed):
                self._released = True
                if self._connection is not None:
                    self._abandon(self._connection)

    def resume(self) -> None:
        """Take the source again after ``release``."""
        with self._lock:
            if self._released and not self._closed:
                self._released = False
                self._retry_at, self._wait = self._clock(), self._backoff[0]
                self._timeline.expect()
        self.poll()

    def close(self, timeout: float = 0.5) -> None:
        """End. A read that does not come back within ``timeout`` seconds is left to itself."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._abandon(self._connection)
            threads = [c.thread for c in self._abandoned]
        self._box.close()
        end = time.monotonic() + timeout
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))

    def _patience(self) -> float:
        """Return the seconds of silence that count as a stall: more where frames are rare."""
        rate = self._info.rate if self._info else None
        return max(self._stall, 3 / float(rate)) if rate else self._stall

    def _connect(self) -> Connection:
        connection = Connection(self._open, self, self._clock())
        self._connection = connection
        connection.thread.start()
        return connection

    def _abandon(self, connection: Connection) -> None:
        self._connection = None
        self._abandoned.append(connection)
        # Who reads a file that stands still waits for it to go on, and would for ever.
        if connection.stands and (source := connection.source) is not None:
            source.close()
        self._box.clear()

    def _lose(self, connection: Connection, why: str) -> None:
        self._abandon(connection)
        self.losses += connection.frames > 0
        self.error = mask(why)
        self._retry_at = self._clock() + self._wait
        self._wait = min(self._wait * 2, self._backoff[1])

    def opened(self, connection: Connection, info: StreamInfo) -> bool:
        """Take note of an open source; return whether it is wanted."""
        with self._lock:
            if connection is not self._connection:
                return False
            if self._info is None:
                self._info = replace(
                    info,
                    time_base=TIME_BASE,
                    rate=info.rate or Fraction(30),
                    live=True,
                    still=False,
                    frames=None,
                    duration=None,
                    container=None,
                    start=None,
                    end=None,
                )
                self._timeline.nominal = 1 / float(self._info.rate or 30)
            self._source_info = info
            connection.is_open, connection.last = True, self._clock()
            self._lock.notify_all()
            return True

    def arrived(self, connection: Connection, frame: Frame, info: StreamInfo) -> bool:
        """Put a frame into the box; return whether more are wanted."""
        at = self._clock()
        if connection is not self._connection:
            return False
        size = (frame.width, frame.height)
        key = (connection, frame.segment, size)
        frame = conform(frame, self.info, info.sample_aspect_ratio)
        with self._lock:
            if connection is not self._connection:
                return False
            if not connection.frames:
                self.reconnects += self.captured > 0
                self._wait, self.error = self._backoff[0], None
            frame = self._timeline.stamped(frame, at, key)
            connection.frames += 1
            connection.last, connection.stalled = at, False
            self.captured += 1
            self._source_info = info
            self._box.put(Captured(frame, at))
            return True

    def ended(self, connection: Connection, error: BaseException | None) -> None:
        with self._lock:
            connection.is_over = True
            if self._info is None:
                connection.failure = error or InputError(f"{self.name} has no frame")
            if connection is self._connection:
                self._lose(connection, str(error) if error else "the stream ended")
            self._lock.notify_all()
