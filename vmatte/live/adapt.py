"""Holding a rate: a smaller picture for the model when it is too slow, a larger one when it is not.

A pure controller: it is told times and decides.
"""

from collections import deque

LADDER = (1.0, 0.85, 0.7, 0.6, 0.5)
"""Shares of the model's usual working size."""

_WINDOW = 1.0
"""Seconds of frames that a decision rests on, all at one size."""

_LOW, _HIGH = 0.75, 0.95
"""Shares of a frame's interval: above the second it is too slow; a step up must stay below the
first."""

_PATIENCE, _LONGEST = 5.0, 120.0
"""Seconds of ease before a step up; twice as many after each step up that had to be taken back."""


class Adapter:
    """Chooses the share of the working size at which ``target_fps`` is held."""

    def __init__(self, target_fps: float, ladder: tuple[float, ...] = LADDER) -> None:
        """Begin at the first, largest share of ``ladder``."""
        self.target_fps, self._ladder = target_fps, ladder
        self.reset()

    def reset(self) -> None:
        """Begin anew, for another model."""
        self._step = 0
        self._patience = _PATIENCE
        self._since: float | None = None
        self._raised_at: float | None = None
        self._spent: deque[tuple[float, float]] = deque()

    @property
    def share(self) -> float:
        """The share now."""
        return self._ladder[self._step]

    def update(self, now: float, spent: float) -> bool:
        """Take note that a frame took ``spent`` seconds; return whether the share has changed."""
        if self._since is None:
            self._since = now
        self._spent.append((now, spent))
        while self._spent and now - self._spent[0][0] > _WINDOW:
            self._spent.popleft()
        # A share is judged once a window of it has been seen, without what came before.
        if now - self._since < _WINDOW:
            return False
        budget = 1 / self.target_fps
        mean = sum(s for _, s in self._spent) / len(self._spent)
        if mean > _HIGH * budget:
            if self._step + 1 == len(self._ladder):
                return False
            if self._raised_at is not None and now - self._raised_at < 2 * self._patience:
                self._patience = min(2 * self._patience, _LONGEST)
            self._raised_at = None
            self._change(1)
            return True
        if self._step and now - self._since >= self._patience:
            growth = (self._ladder[self._step - 1] / self.share) ** 2
            if mean * growth < _LOW * budget:
                self._raised_at = now
                self._change(-1)
                return True
        return False

    def _change(self, by: int) -> None:
        self._step += by
        self._since = None
        self._spent.clear()
