"""The memory of a live run: flat for hours, and no time lost to get it."""

from vmatte.allocator import give_back, keep_pictures_apart

_APART = 2 << 20
"""Bytes, at least, of what gets pages of its own. Refinement's maps, made anew for every frame,
are smaller: new pages for them would take a quarter of its time at 720p."""

_EVERY = 60.0
"""Seconds between two times that free pages are given back."""


class Memory:
    """Looks after the process's memory while a live run is at work."""

    def __init__(self, pixels: int, now: float) -> None:
        """Prepare for frames of so many pixels; ``now``: seconds of any clock."""
        keep_pictures_apart(max(pixels, _APART))
        self._given_back_at = now

    def tend(self, now: float) -> None:
        """Do what is due; to be called now and then."""
        if now - self._given_back_at >= _EVERY:
            self._given_back_at = now
            give_back()
