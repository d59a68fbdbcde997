"""A finite source played by the wall clock: a stand-in camera, and what a preview plays."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from vmatte.errors import InputError
from vmatte.frames import Frame
from vmatte.sources.base import FrameSource


class PacedSource:
    """Frames of another source at its own rate. See FrameSource.

    No frame comes before its time. None is left out either: to a consumer that was late, frames
    come at once until it has caught up. pts rise from 0, also over the end of a loop and over a
    seek; both change ``segment``. ``seek``, ``pause`` and ``resume`` may come from any thread, as
    may ``close``, which also ends a wait.
    """

    def __init__(
        self,
        open: Callable[[float], FrameSource],
        *,
        loop: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Play what ``open(start)`` returns: the source from ``start`` seconds on.

        loop: begin again at the end, for ever. Raises what ``open`` raises.
        """
        self._open, self._loop, self._clock = open, loop, clock
        self._source = open(0.0)
        self.duration = self._source.info.duration
        """Seconds of one pass; None where it has no end."""
        self.info = replace(
            self._source.info, live=True, frames=None, duration=None, still=False, container=None
        )
        self._skipped = 0
        self._position = 0.0
        self._change = threading.Condition()
        self._closed = self._playing = False
        self._paused: float | None = None  # since when
        self._target: float | None = None  # of a seek that is to be done
        self._zero = self._due = 0.0  # the clock's time: of the source's time 0, of its last frame

    @property
    def skipped(self) -> int:
        """Damaged frames left out so far."""
        return self._skipped

    @property
    def position(self) -> float:
        """Seconds from the beginning to the last frame given."""
        return self._position

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._paused is not None

    def seek(self, seconds: float) -> None:
        """Go on from ``seconds``, cut to what there is; while paused, show one frame from there."""
        end = self.duration
        seconds = max(0.0, seconds)
        with self._change:
            self._target = seconds if end is None else min(seconds, max(0.0, end - 0.1))
            self._change.notify_all()

    def pause(self) -> None:
        """Stand still after the frame that is shown now."""
        with self._change:
            if self._paused is None:
                self._paused = self._clock()

    def resume(self) -> None:
        """Go on where it stood."""
        with self._change:
            if self._paused is not None:
                self._zero += self._clock() - self._paused
                self._paused = None
                self._change.notify_all()

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames, each at its time; see FrameSource."""
        with self._change:
            if self._closed:
                return
            self._playing = True
        try:
            yield from self._play()
        finally:
            self._playing = False
            self._source.close()

    def _play(self) -> Iterator[Frame]:
        step = max(1, round(1 / (self.info.rate or 25) / self.info.time_base))
        start, last, segment, follows = 0.0, None, 0, False
        while True:
            source = self._source
            offset = within = None
            for frame in source:
                if offset is None:
                    # pts go on from what went before: a jump back would end a recording.
                    offset = (0 if last is None else last + step) - frame.pts
                    follows = follows and last is not None
                    self._begin(frame, float(step * self.info.time_base) if follows else None)
                if not self._wait(frame):
                    break
                last, within = frame.pts + offset, frame.segment
                self._position = start + float(frame.time)
                yield replace(frame, pts=last, segment=segment + within)
            self._skipped += source.skipped
            source.close()
            with self._change:
                # Containers claim more than they have: nothing may follow what was sought.
                beyond = within is None and start > 0
                follows = self._target is None
                start, self._target = self._target or 0.0, None
                ended = follows and not beyond and (within is None or not self._loop)
                if self._closed or ended:
                    return
            if within is not None:
                segment += within + 1
            self._source = self._reopen(start)

    def _reopen(self, start: float) -> FrameSource:
        try:
            return self._open(start)
        except InputError:
            if not start:
                raise
        return self._open(0.0)

    def _begin(self, frame: Frame, after: float | None) -> None:
        """Let ``frame`` be due ``after`` seconds after the one before it, by default now."""
        with self._change:
            if after is None:
                now = self._clock()
                if self._paused is not None:
                    self._paused = now
            else:
                now = self._due + after
            self._zero = now - float(frame.time)

    def _wait(self, frame: Frame) -> bool:
        """Wait until ``frame`` is due; tell whether it still is to be shown."""
        with self._change:
            while not self._closed and self._target is None:
                self._due = self._zero + float(frame.time)
                now = self._clock() if self._paused is None else self._paused
                if now >= self._due - 1e-6:
                    return True
                self._change.wait(self._due - now if self._paused is None else None)
            return False

    def close(self) -> None:
        """Stop, and release the source; where it is being played, its thread does that."""
        with self._change:
            self._closed = True
            self._change.notify_all()
            # Two threads that close one decoder, or one that is at work, end the process.
            playing = self._playing
        if not playing:
            self._source.close()
