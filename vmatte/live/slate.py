"""What is shown where there is no matte: never anything of the camera's picture."""

from dataclasses import replace
from pathlib import Path

from vmatte.composite import Advanced
from vmatte.composite.hdr import srgb
from vmatte.composite.place import place, to_native
from vmatte.frames import Frame, StreamInfo
from vmatte.fullmatte import FullMatte, Region
from vmatte.live.conform import blank, conform
from vmatte.live.timeline import TIME_BASE
from vmatte.output import Output
from vmatte.sources import open_source

GRAY = 0.15
"""Of the plain slate, from black to white as coded."""


class Slate:
    """A picture and a matte that a compositor takes in place of the camera's.

    By default the picture is plain and wholly background, so that a composite shows the background
    alone; one that is made of the picture, such as a blur, is plain too. A picture of the user's is
    wholly foreground.
    """

    def __init__(self, info: StreamInfo, picture: Path | None = None) -> None:
        """Prepare for a stream of ``info``. Raises InputError where ``picture`` is unusable."""
        self._info = info
        width, height = info.size
        if picture is None:
            self._frame = blank(info, GRAY)
            self._matte = FullMatte(info.size, (), ())
            return
        source = open_source(str(picture))
        try:
            rgb, shape = srgb(next(iter(source))), source.info.sample_aspect_ratio
        finally:
            source.close()
        native = to_native(place(rgb, info, "cover", shape), info)
        self._frame = conform(native, info)
        self._matte = FullMatte(info.size, (), (Region(0, height, 0, width),))

    def frame(self, pts: int) -> Frame:
        """Return the picture, as of ``pts``."""
        return replace(self._frame, pts=pts, time_base=TIME_BASE, segment=-1)

    def compose(self, output: Output, frame: Frame, advanced: Advanced) -> Frame:
        """Return what ``output`` shows, given ``frame``."""
        return output.compositor.compose(frame, self._matte, advanced)


def plain(info: StreamInfo, pts: int) -> Frame:
    """Return a plain frame of an output's ``info``, for where even its compositor fails."""
    return replace(blank(info, GRAY), pts=pts, time_base=TIME_BASE, segment=-1)
