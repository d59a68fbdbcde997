"""How many threads to use on cores that others use too.

With as many threads as cores, every operation waits for the thread whose core is taken; then one
thread less is faster. What is best changes by the minute, so it is measured again and again.
"""

from __future__ import annotations

from collections.abc import Callable

WINDOW = 20  # steps between decisions
RETRY = 6  # every so many windows the one that seems slower is tried again


class Cores:
    """Picks among numbers of threads by the speed measured last with each."""

    def __init__(self, choices: tuple[int, ...], use: Callable[[int], None]) -> None:
        self.choices, self.use = choices, use
        self.speed = dict.fromkeys(choices, float("inf"))  # pixels per second; untried first
        self.now = choices[0]
        self.windows = self.steps = 0
        self.pixels = self.seconds = 0.0
        use(self.now)

    def note(self, pixels: float, seconds: float) -> None:
        """Tells of one step; may change the number of threads."""
        self.steps += 1
        self.pixels += pixels
        self.seconds += seconds
        if self.steps < WINDOW or len(self.choices) == 1:
            return
        self.speed[self.now] = self.pixels / max(self.seconds, 1e-9)
        self.windows += 1
        self.steps, self.pixels, self.seconds = 0, 0.0, 0.0
        ranked = sorted(self.choices, key=self.speed.__getitem__, reverse=True)
        self.now = ranked[-1] if self.windows % RETRY == 0 else ranked[0]
        self.use(self.now)
