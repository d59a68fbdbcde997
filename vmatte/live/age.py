"""How old a frame may be when it is sent, and so when it may still be begun with.

Pure: told of times, it decides.
"""

from collections import deque

INTERVALS = 2.0
"""How many of the source's intervals a frame may be old."""

_CANNOT, _SLOW = 1.75, 2.0
"""From so many intervals a frame on, this machine cannot do that. Then a frame may be so many times
as old as one usually takes: to drop all that is late for want of speed would leave nothing."""

_LATELY = 90
"""Frames that 'usually' looks back on: a burst of a second, of other programs, must not count."""


class Spent:
    """What one stage takes for a frame: the median of the last seconds' frames."""

    def __init__(self) -> None:
        """Begin with none."""
        self._seconds: deque[float] = deque(maxlen=_LATELY)
        self._usual = 0.0

    @property
    def usual(self) -> float:
        """Seconds, 0 before the first."""
        return self._usual

    def add(self, seconds: float) -> None:
        """Take note of one frame."""
        self._seconds.append(seconds)
        ordered = sorted(self._seconds)
        self._usual = ordered[(len(ordered) - 1) // 2]

    def clear(self) -> None:
        """Forget, where something else is done from now on."""
        self._seconds.clear()
        self._usual = 0.0


def limit(interval: float, busy: float) -> float:
    """Return the seconds beyond which a frame is not sent.

    interval: seconds between two of the source's frames. busy: that a frame usually takes here.
    """
    return INTERVALS * interval if busy <= _CANNOT * interval else _SLOW * busy
