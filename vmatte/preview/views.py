"""What the window shows of a frame and its matte: compositors, as for any other output."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, NamedTuple, get_args

import numpy as np

from vmatte.composite import (
    Advanced,
    AlphaOutput,
    Background,
    Composite,
    Compositor,
    Fit,
)
from vmatte.composite.background import COLOURS, ColourBackground
from vmatte.composite.place import to_native
from vmatte.frames import Frame, StreamInfo, new_picture, plane_views
from vmatte.fullmatte import FullMatte
from vmatte.live.conform import conform
from vmatte.live.reload import live_background
from vmatte.pixels import Plane

View = Literal["composite", "alpha", "foreground", "checkerboard", "split"]


VIEWS: tuple[View, ...] = get_args(View)


CHECKERBOARD = "checkerboard"
"""A background of the window's own, beside those of parse_background."""


_CELLS = 24
"""Squares of the checkerboard over the frame's longer side, about."""


_LIGHT, _DARK = 204, 153
"""Their gray, sRGB."""


class CheckerboardBackground:
    """Gray squares, the sign of transparency. See Background."""

    def open(self, info: StreamInfo) -> None:
        """Draw the squares."""
        # Even, so that no square ends within a chroma sample.
        side = max(8, max(info.size) // _CELLS // 4 * 4)
        y, x = np.ogrid[: info.height, : info.width]
        light = (y // side + x // side) % 2 == 0
        gray = np.where(light, _LIGHT, _DARK).astype(np.uint8)
        self._planes = to_native(np.dstack([gray] * 3), info).planes

    def advance(self, frame: Frame) -> None:
        """Do nothing: the squares stay."""

    def planes(self, frame: Frame, matte: FullMatte, advanced: Advanced) -> tuple[Plane, ...]:
        """Return the squares."""
        return self._planes

    def close(self) -> None:
        """Nothing is held."""


class Divider:
    """Where 'split' is split, in shares of the width; shared by all that show it."""

    def __init__(self, position: float = 0.5) -> None:
        """Begin in the middle."""
        self.position = position

    def move(self, position: float) -> None:
        """Move it, within the picture."""
        self.position = min(1.0, max(0.0, position))


class Split:
    """The frame as it came on the left of a line, and what becomes of it on the right.

    See Compositor.
    """

    coloured = True

    def __init__(self, after: Compositor, divider: Divider) -> None:
        """Show ``after``, which keeps the frame's format, on the right of ``divider``."""
        self._after, self._divider = after, divider

    def open(self, info: StreamInfo) -> StreamInfo:
        """Prepare the right side."""
        return self._after.open(info)

    def advance(self, frame: Frame) -> Advanced:
        """Move the right side on."""
        return self._after.advance(frame)

    def compose(self, frame: Frame, matte: FullMatte, advanced: Advanced) -> Frame:
        """Return both sides, with a white line between them."""
        after = self._after.compose(frame, matte, advanced)
        picture = new_picture(frame.width, frame.height, frame.format.name)
        line = max(2, frame.width // 320 * 2)
        # Whole chroma samples, of every subsampling.
        at = round(self._divider.position * frame.width) // 4 * 4
        rows = zip(plane_views(picture), frame.planes, after.planes, strict=True)
        white = _white(frame)
        for index, (out, before, behind) in enumerate(rows):
            shift = frame.format.shift(index)[0]
            x, w = at >> shift, max(1, line >> shift)
            out[...] = behind
            out[:, :x] = before[:, :x]
            out[:, x : x + w] = white[index]
        return replace(after, picture=picture)

    def close(self) -> None:
        """Close the right side."""
        self._after.close()


def _white(frame: Frame) -> list[float]:
    format = frame.format
    top = float((1 << format.depth) - 1)
    if format.rgb:
        return [top] * format.planes
    colour = frame.colour.resolved(frame.width, frame.height, rgb=False)
    matrix = colour.rgb_to_yuv(format.depth)
    return [float(v) for v in np.rint(matrix[:, :3].sum(1) + matrix[:, 3])]


class Seen(NamedTuple):
    """A frame with its matte."""

    frame: Frame
    matte: FullMatte


class Watched:
    """Another compositor, whose frames are all of the source's format; remembers the last one.

    So views can change in the middle of a recording, and while nothing moves. See Compositor.
    """

    # A picture with transparency may be saved, whatever is shown.
    coloured = True

    def __init__(self, shown: Compositor, seen: Callable[[StreamInfo, Seen], None]) -> None:
        """Show ``shown``; ``seen`` is given each frame of the source, but no slate."""
        self._shown, self._seen = shown, seen

    def open(self, info: StreamInfo) -> StreamInfo:
        """Open the other one."""
        self._shown.open(info)
        self._info = info
        return info

    def advance(self, frame: Frame) -> Advanced:
        """Move the other one on."""
        return self._shown.advance(frame)

    def compose(self, frame: Frame, matte: FullMatte, advanced: Advanced) -> Frame:
        """Return what the other one shows."""
        if frame.segment >= 0:
            self._seen(self._info, Seen(frame, matte))
        return conform(self._shown.compose(frame, matte, advanced), self._info)

    def close(self) -> None:
        """Close the other one."""
        self._shown.close()


def _ignore(info: StreamInfo, seen: Seen) -> None:
    pass


def make_view(
    view: View,
    background: str,
    divider: Divider,
    *,
    fit: Fit = "cover",
    seen: Callable[[StreamInfo, Seen], None] = _ignore,
) -> Compositor:
    """Return what shows ``view``; background: as for live_background, or 'checkerboard'.

    Its frames have the format of the source's. Raises OptionError, InputError.
    """
    shown: Compositor
    if view == "alpha":
        shown = AlphaOutput()
    elif view == "foreground":
        shown = Composite(ColourBackground(COLOURS["black"]))
    elif view == "checkerboard":
        shown = Composite(CheckerboardBackground())
    else:
        shown = Composite(_background(background, fit))
        if view == "split":
            shown = Split(shown, divider)
    return Watched(shown, seen)


def _background(text: str, fit: Fit) -> Background:
    found = None if text == CHECKERBOARD else live_background(text, fit)
    return found or CheckerboardBackground()
