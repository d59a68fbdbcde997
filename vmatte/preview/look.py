"""What the window shows: a view over a background, of each frame or of the one that stands."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vmatte.composite import Compositor, Fit
from vmatte.errors import VmatteError
from vmatte.frames import Frame, StreamInfo
from vmatte.preview.views import CHECKERBOARD, Divider, Seen, View, make_view


class Look:
    """A view and a background that can be changed, and the last frame with its matte."""

    def __init__(self, view: View, backgrounds: Sequence[str], fit: Fit) -> None:
        """Begin with ``view`` over the first of ``backgrounds``."""
        self.view, self.divider = view, Divider()
        self.seen: tuple[StreamInfo, Seen] | None = None
        """The last frame that was shown; None before the first."""
        self._backgrounds, self._index, self._fit = backgrounds, 0, fit
        self._still: tuple[object, Compositor] | None = None

    @property
    def background(self) -> str:
        """What is behind the subject."""
        return self._backgrounds[self._index]

    @property
    def called(self) -> str:
        """The background, as it is told to people."""
        return Path(self.background).name if "/" in self.background else self.background

    def next_background(self) -> None:
        """Go on to the next one."""
        self._index = (self._index + 1) % len(self._backgrounds)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Return to what was shown before where a change fails."""
        before = self.view, self._index
        try:
            yield
        except VmatteError:
            self.view, self._index = before
            raise

    def compositor(self) -> Compositor:
        """Return what shows it, and remembers what was seen. Raises OptionError, InputError."""
        return make_view(self.view, self.background, self.divider, fit=self._fit, seen=self._see)

    def plain(self) -> Compositor:
        """Return what shows it."""
        return make_view(self.view, self.background, self.divider, fit=self._fit)

    def composite(self) -> Compositor:
        """Return what shows the subject over the background, whatever the view."""
        return make_view("composite", self.background, self.divider, fit=self._fit)

    def still(self) -> Frame | None:
        """Return the last frame as it is to be shown now; None before the first."""
        if self.seen is None:
            return None
        info, seen = self.seen
        key = (self.view, self.background, info)
        if self._still is None or self._still[0] != key:
            self.close()
            compositor = self.plain()
            compositor.open(info)
            self._still = (key, compositor)
        shown = self._still[1]
        return shown.compose(*seen, shown.advance(seen.frame))

    def close(self) -> None:
        """Release files."""
        if self._still is not None:
            self._still[1].close()
            self._still = None

    def _see(self, info: StreamInfo, seen: Seen) -> None:
        self.seen = (info, seen)


def cycle_of(background: str, *, alone: bool = True) -> tuple[str, ...]:
    """Return the backgrounds to go through, beginning with the given one.

    alone: nobody else sees them, so a checkerboard is among them.
    """
    first = CHECKERBOARD if background == "transparent" else background
    others = ("blur", "green", *((CHECKERBOARD,) if alone else ()), "white", "black")
    return tuple(dict.fromkeys((first, *others)))
