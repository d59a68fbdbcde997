"""One output's own thread: opens its sink, writes what comes, finishes it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from vmatte.concurrency import Newest
from vmatte.errors import OptionError, OutputError
from vmatte.frames import Frame, StreamInfo
from vmatte.live.stats import Latencies
from vmatte.output import Output

_OPENING = 15.0
"""Seconds that compositor and sink may take to be opened."""

_TICK = 0.05
"""Seconds between two looks whether it is to be given up."""

_SENDING = 1e-3
"""Seconds left for the sending itself."""

_RECORDING_DEPTH = 8
"""Frames that may wait for a file: an encoder's pauses are short, and a recording may be late."""

_LEAST_STEP = Fraction(1, 1000)
"""Seconds between two frames of a recording: containers that count milliseconds tell them apart."""


@dataclass(frozen=True, slots=True)
class Item:
    """A composed frame: when its picture came (None: a slate) and what the network took of it."""

    frame: Frame
    at: float | None = None
    network: float = 0.0
    limit: float = float("inf")
    """Seconds of age beyond which it is not sent to a live sink."""


class Lane:
    """Feeds one output from a box of its own, so that a slow sink drops for itself alone.

    Sinks that keep what they get (``recording`` is true on them) have a short queue, times that
    begin at zero and always grow, and take late frames; all others get the newest only.
    """

    def __init__(
        self,
        output: Output,
        latency: Latencies,
        overhead: Latencies,
        failed: Callable[["Lane"], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; ``failed`` is called from the lane's thread where a write fails."""
        self.output = output
        self.name = output.sink.name
        self.recording = bool(getattr(output.sink, "recording", False))
        self.sent = self.slates = self.stale = 0
        self.info: StreamInfo | None = None
        self.error: BaseException | None = None
        self._latency, self._overhead = latency, overhead
        self._failed, self._clock = failed, clock
        depth = _RECORDING_DEPTH if self.recording else 1
        self._box: Newest[Item] = Newest(depth, counted=lambda item: item.at is not None)
        self._begin: Fraction | None = None
        self._last = Fraction(-1)
        self._opened = threading.Event()
        self._abort = False
        self._thread = threading.Thread(
            target=self._run, name=f"vmatte-sink-{self.name}", daemon=True
        )

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced before they were written, without slates."""
        return self._box.dropped

    @property
    def empty(self) -> bool:
        """Whether it is a recording of no picture: then nothing is kept of it."""
        return self.recording and not self.sent

    def open(self, info: StreamInfo, stopping: Callable[[], bool] = lambda: False) -> None:
        """Open compositor and sink for frames of ``info``, on the lane's thread.

        Raises what they raise, OutputError where they take too long, OptionError once ``stopping``;
        nothing is left then.
        """
        self._stream = info
        self._thread.start()
        end = time.monotonic() + _OPENING
        while not self._opened.wait(_TICK):
            if stopping():
                self.end(abort=True)
                raise OptionError("the live run has ended")
            if time.monotonic() > end:
                self.end(abort=True)
                raise OutputError(
                    f"{self.name}: did not open within {_OPENING:g} s; see whether what it goes "
                    "to hangs, or leave this output out"
                )
        if self.error is not None:
            self._thread.join()
            raise self.error

    def put(self, item: Item) -> None:
        """Send; never waits."""
        self._box.put(item)

    def watched(self) -> bool:
        """Whether anybody looks; yes where the sink cannot tell."""
        watched = getattr(self.output.sink, "watched", None)
        return watched is None or watched() is not False

    def ended(self) -> bool:
        """Whether the user has ended this output, such as by closing its window."""
        ended = getattr(self.output.sink, "ended", None)
        return False if ended is None else bool(ended())

    def end(self, *, abort: bool = False) -> None:
        """Finish after what is queued, without waiting; ``join`` waits."""
        self._abort = self._abort or abort
        self._box.close()

    def join(self, timeout: float) -> bool:
        """Wait until the sink is finished; return whether it is."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.info = self.output.compositor.open(self._stream)
            self.output.sink.open(self.info)
        except BaseException as e:
            self.output.abort()
            self.error = e
            return
        finally:
            self._opened.set()
        try:
            for item in self._box:
                if not self._abort:
                    self._write(item)
        except BaseException as e:
            self.error = e
            self._failed(self)
        self._finish()

    def _finish(self) -> None:
        sink = self.output.sink
        # A recording that failed is closed where that still works: what it has stays playable.
        try:
            if self._abort or self.empty:
                sink.abort()
            else:
                sink.close(early=True)
        except BaseException as e:
            sink.abort()
            if self.error is None:
                self.error = e
                self._failed(self)

    def _write(self, item: Item) -> None:
        frame = item.frame
        if self.recording:
            frame = self._timed(frame)
        elif item.at is not None:
            # Late ones are not even begun with; the last look is right before it goes.
            if self._late(item):
                return
            prepare = getattr(self.output.sink, "prepare", None)
            if prepare is not None:
                frame = prepare(frame)
                if self._late(item):
                    return
        self.output.sink.write(frame)
        if item.at is None:
            self.slates += 1
            return
        self.sent += 1
        if not self.recording:
            spent = self._clock() - item.at
            self._latency.add(spent * 1000)
            self._overhead.add((spent - item.network) * 1000)

    def _late(self, item: Item) -> bool:
        """Whether it is too old to be sent; counts it."""
        assert item.at is not None
        late = self._clock() - item.at > item.limit - _SENDING
        self.stale += late
        return late

    def _timed(self, frame: Frame) -> Frame:
        if self._begin is None:
            self._begin = frame.time
        time = max(frame.time - self._begin, self._last + _LEAST_STEP, Fraction(0))
        self._last = time
        return replace(frame, pts=round(time / frame.time_base))
