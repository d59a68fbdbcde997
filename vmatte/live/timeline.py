"""The times of captured frames, and which of them belong together."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from vmatte.frames import Frame

TIME_BASE = Fraction(1, 90000)
"""Of captured frames: their pts is the time of their arrival since the feed was opened."""

_GAP = 1.0
"""Seconds without a frame after which temporal state is not carried over."""

_LATELY, _ABOUT = 90, 0.25
"""Frames whose mean gap is the measured interval, and by what share that may be off what the source
says."""


class Timeline:
    """Gives frames their arrival as pts, and a segment that changes where something was missed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin now; ``clock`` tells seconds."""
        self._clock = clock
        self.nominal = 1 / 30
        """Seconds between two frames, as the source says."""
        self._gaps: deque[float] = deque(maxlen=_LATELY)
        self._measured: float | None = None
        self._last_pts, self._segment = -1, -1
        self._key: object = None
        self.begin()

    def begin(self) -> None:
        """Let the present time be 0."""
        self._zero = self._last_at = self._clock()

    def expect(self) -> None:
        """Count silence from now on."""
        self._last_at = self._clock()

    @property
    def now(self) -> int:
        """The present time as a pts."""
        return round((self._clock() - self._zero) / TIME_BASE)

    @property
    def interval(self) -> float:
        """Seconds between two frames: what the source says where that is about true, else measured.

        A camera in the dark brings half of what it says; some streams say what never was.
        """
        measured = self._measured
        if measured is None or abs(measured / self.nominal - 1) < _ABOUT:
            return self.nominal
        return measured

    @property
    def silence(self) -> float:
        """Seconds since the last frame, or since the beginning."""
        return self._clock() - self._last_at

    def stamped(self, frame: Frame, at: float, key: object) -> Frame:
        """Return ``frame``, that came ``at``, with its time; another ``key``: another segment."""
        if key != self._key or at - self._last_at > _GAP:
            self._key = key
            self._segment += 1
        else:
            self._gaps.append(at - self._last_at)
            if len(self._gaps) >= _LATELY // 3:
                self._measured = sum(self._gaps) / len(self._gaps)
        pts = max(self._last_pts + 1, round((at - self._zero) / TIME_BASE))
        self._last_pts, self._last_at = pts, at
        return replace(frame, pts=pts, time_base=TIME_BASE, segment=self._segment)
