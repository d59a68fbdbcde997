"""What can be done where the input is a file: seek, and stop at its end."""

import time
from collections.abc import Callable

from vmatte.live import Feed
from vmatte.sources.paced import PacedSource

_TRIES = 3
"""Seeks until a frame has come."""

_TRIED = 1.0
"""Seconds that one may take."""


class Playback:
    """Plays the file of ``feed``, where its source is one."""

    def __init__(self, feed: Feed, seen: Callable[[], object]) -> None:
        """Begin with a loop; ``seen``: what was shown last, to tell whether a frame has come."""
        self.loop = True
        self._feed, self._seen = feed, seen
        self._position = 0.0

    @property
    def source(self) -> PacedSource | None:
        """The file; None where the input is none."""
        source = self._feed.source
        return source if isinstance(source, PacedSource) else None

    def states(self) -> list[str]:
        """Return what the strip says of it."""
        source, states = self.source, []
        if source is not None and source.duration:
            states.append(f"{source.position:.1f} / {source.duration:.1f} s")
        if not self.loop:
            states.append("no loop")
        return states

    def seek(self, target: Callable[[float], float]) -> bool:
        """Go where ``target`` says, given where it is; return whether there is a file."""
        source = self.source
        if source is None:
            return False
        self._position = 0.0
        before, at = self._seen(), target(source.position)
        for _ in range(_TRIES):
            source.seek(at)
            # While it stands still, one frame comes, and a frame that comes late is not shown.
            until = time.monotonic() + _TRIED
            while source.paused and self._seen() is before and time.monotonic() < until:
                time.sleep(0.01)
            if self._seen() is not before or not source.paused:
                break
        return True

    def at_end(self) -> bool:
        """Whether it has just begun again, and should not have. To be asked again and again."""
        source = self.source
        if source is None or not source.duration:
            return False
        before, self._position = self._position, source.position
        return not self.loop and before - self._position > source.duration / 2
