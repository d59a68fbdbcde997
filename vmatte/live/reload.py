"""Background files that are watched: a picture or video that changes is taken anew."""

import time
from collections.abc import Callable
from pathlib import Path

from vmatte.composite import Background, Fit, parse_background
from vmatte.errors import VmatteError
from vmatte.frames import Frame, StreamInfo
from vmatte.fullmatte import FullMatte
from vmatte.pixels import Plane

_EVERY = 1.0
"""Seconds between two looks at the file."""


class ReloadedBackground:
    """The background in a file, as the file is now. See Background.

    A file that cannot be read any more, or not yet, leaves the background as it was.
    """

    def __init__(
        self,
        path: Path,
        fit: Fit = "cover",
        note: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch ``path``; ``note`` is told of each change. Raises InputError."""
        self._path, self._fit, self._note, self._clock = path, fit, note, clock
        self._stamp = self._look()
        self._current = self._read()

    def open(self, info: StreamInfo) -> None:
        """Prepare, see Background."""
        self._info = info
        self._looked = self._clock()
        self._current.open(info)

    def advance(self, frame: Frame) -> tuple[Plane, ...] | None:
        """Move on, in the file as it is now."""
        now = self._clock()
        if now - self._looked >= _EVERY:
            self._looked = now
            stamp = self._look()
            if stamp is not None and stamp != self._stamp:
                self._stamp = stamp
                self._reload()
        return self._current.advance(frame)

    def planes(
        self, frame: Frame, matte: FullMatte, advanced: tuple[Plane, ...] | None
    ) -> tuple[Plane, ...]:
        """Return the planes for one frame. In live runs one thread advances and composes."""
        return self._current.planes(frame, matte, advanced)

    def close(self) -> None:
        """Release the file."""
        self._current.close()

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _read(self) -> Background:
        found = parse_background(str(self._path), self._fit)
        assert found is not None  # Only 'transparent' is none.
        return found

    def _reload(self) -> None:
        try:
            fresh = self._read()
            fresh.open(self._info)
        except VmatteError as e:
            self._note(f"the background has changed, but is kept as it was: {e}")
            return
        self._current.close()
        self._current = fresh
        self._note(f"the background {self._path} has changed and is shown as it is now")


def live_background(
    text: str, fit: Fit = "cover", note: Callable[[str], None] = lambda _: None
) -> Background | None:
    """Return what ``parse_background`` does, with a file watched. See there."""
    if Path(text).is_file():
        return ReloadedBackground(Path(text), fit, note)
    return parse_background(text, fit)
