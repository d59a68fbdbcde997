"""What an output shows: the composite, the matte, or the subject alone."""

from dataclasses import replace
from typing import Protocol

from vmatte.colour import FULL, Colour
from vmatte.composite.background import Background, parse_background
from vmatte.composite.blend import cut_out, over, with_alpha
from vmatte.composite.place import Fit
from vmatte.frames import Frame, Pictures, StreamInfo, from_array
from vmatte.fullmatte import FullMatte
from vmatte.pixels import FORMATS, Plane

__all__ = [
    "AlphaOutput",
    "Background",
    "Composite",
    "Compositor",
    "Fit",
    "Subject",
    "parse_background",
]

Advanced = tuple[Plane, ...] | None


class Compositor(Protocol):
    """Turns a frame and its matte into the frame of one output."""

    coloured: bool
    """Whether it shows the subject's colours: where no output does, they are not worked out."""

    def open(self, info: StreamInfo) -> StreamInfo:
        """Prepare for frames of ``info``; return what the composed frames look like."""
        ...

    def advance(self, frame: Frame) -> Advanced:
        """Called for every frame in order, from one thread; the result is given to ``compose``."""
        ...

    def compose(self, frame: Frame, matte: FullMatte, advanced: Advanced) -> Frame:
        """Return the output frame, with the time of ``frame``. Called from any thread."""
        ...

    def close(self) -> None:
        """Release files."""
        ...


class Composite:
    """The subject over a background. See Compositor."""

    coloured = True

    def __init__(self, background: Background) -> None:
        """Put ``background`` behind the subject."""
        self.background = background
        self._pictures = Pictures()

    def open(self, info: StreamInfo) -> StreamInfo:
        """Prepare the background."""
        self.background.open(info)
        return info

    def advance(self, frame: Frame) -> Advanced:
        """Move the background on."""
        return self.background.advance(frame)

    def behind(self, frame: Frame) -> tuple[Plane, ...]:
        """Move the background on and return its planes; it must not be one that needs a matte."""
        nothing = FullMatte((frame.width, frame.height), (), ())
        return self.background.planes(frame, nothing, self.background.advance(frame))

    def compose(self, frame: Frame, matte: FullMatte, advanced: Advanced) -> Frame:
        """Blend on the native planes."""
        behind = self.background.planes(frame, matte, advanced)
        return replace(frame, picture=over(matte.own(frame), matte, behind, self._pictures))

    def close(self) -> None:
        """Release the background."""
        self.background.close()


class Subject:
    """The subject alone, in its own colours: with an alpha plane, or on black. See Compositor."""

    coloured = True

    def __init__(self, *, transparent: bool) -> None:
        """Add an alpha plane where ``transparent``."""
        self._transparent = transparent

    def open(self, info: StreamInfo) -> StreamInfo:
        """Choose the format."""
        self._opaque, self._format = with_alpha(info.format)
        if not self._transparent:
            self._format = self._opaque
        return replace(info, format=self._format)

    def advance(self, frame: Frame) -> None:
        """Do nothing."""

    def compose(self, frame: Frame, matte: FullMatte, advanced: Advanced) -> Frame:
        """Cut the subject out."""
        frame = matte.own(frame)
        if frame.format not in (self._opaque, self._format):
            # Residuals are in the code values of the frame's own format: scale them with it.
            gain = 2.0 ** (self._opaque.depth - frame.format.depth)
            if gain != 1:
                matte = replace(matte, residual=tuple(r * gain for r in matte.residual))
            frame = frame.convert(self._opaque.name)
        return replace(frame, picture=cut_out(frame, matte, self._format))

    def close(self) -> None:
        """Nothing is held."""


class AlphaOutput:
    """The matte itself, as full-range gray. See Compositor."""

    coloured = False

    def open(self, info: StreamInfo) -> StreamInfo:
        """Choose the depth: the source's."""
        gray = [f for f in FORMATS.values() if f.gray and f.depth >= info.format.depth]
        self._format = min(gray, key=lambda f: f.depth)
        self._colour = Colour(matrix=1, primaries=1, transfer=1, range=FULL)
        return replace(info, format=self._format, colour=self._colour)

    def advance(self, frame: Frame) -> None:
        """Do nothing."""

    def compose(self, frame: Frame, matte: FullMatte, advanced: Advanced) -> Frame:
        """Return alpha as luma."""
        return from_array(
            matte.dense(self._format.depth),
            self._format.name,
            pts=frame.pts,
            time_base=frame.time_base,
            colour=self._colour,
            segment=frame.segment,
        )

    def close(self) -> None:
        """Nothing is held."""
