"""A stand-in camera: a clip with a marker in its background, that fails when told to."""

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vmatte.composite import Composite, parse_background
from vmatte.errors import InputError
from vmatte.frames import Frame, StreamInfo, from_array
from vmatte.output import Output
from vmatte.sources import open_source
from vmatte.sources.synthetic import paint_marker

CLIP = "hb_woman_plants_room.mp4"
RATE = 30

_FRAMES = 60

_NOISE = 2.0
"""Levels of 255, one standard deviation: a webcam's in a lit room."""


class Clip:
    """Opens live sources that play the same pictures, and makes them fail when told to."""

    def __init__(self, path: Path, *, still: bool = False) -> None:
        """Decode the beginning of ``path`` and paint the marker into it.

        still: its first picture all the time, with the noise of a camera.
        """
        source = open_source(str(path))
        self._info = source.info
        self._frames: list[Frame] = []
        first = None
        for frame in itertools.islice(source, _FRAMES):
            rgb = frame.rgb((frame.width, frame.height))
            paint_marker(rgb)
            if still:
                first = rgb if first is None else first
                noise = np.random.default_rng(frame.pts).normal(0, _NOISE, rgb.shape)
                rgb = np.clip(np.rint(first + noise), 0, 255).astype(np.uint8)
            painted = from_array(rgb, "rgb24").convert(frame.format.name, colour=frame.colour)
            self._frames.append(painted)
        source.close()
        # Made once: what the benchmark itself allocates must not be taken for the run's.
        self._small = [f.convert(f.format.name, (640, 360)) for f in self._frames]
        self.small = False
        self.silent = threading.Event()
        self.error: Exception | None = None
        self.away_until = 0.0

    def open(self) -> "Playing":
        """Connect."""
        if time.monotonic() < self.away_until:
            raise InputError("refused")
        frames = self._small if self.small else self._frames
        size = (frames[0].width, frames[0].height)
        info = replace(self._info, width=size[0], height=size[1], rate=Fraction(RATE), live=True)
        return Playing(self, info, frames)


class Playing:
    """One connection. See FrameSource."""

    def __init__(self, clip: Clip, info: StreamInfo, frames: list[Frame]) -> None:
        """Play ``frames`` over and over."""
        self.info, self.skipped, self._clip, self._frames = info, 0, clip, frames
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield each frame at its time."""
        begin = time.monotonic()
        for count in itertools.count():
            wait = begin + count / RATE - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            elif wait < -0.5:
                begin -= wait  # A camera does not catch up.
            while self._clip.silent.is_set() and not self._closed:
                time.sleep(0.02)
            if self._closed:
                return
            if self._clip.error is not None:
                error, self._clip.error = self._clip.error, None
                raise error
            yield replace(self._frames[count % len(self._frames)], pts=count)

    def close(self) -> None:
        """End."""
        self._closed = True


def over(sink: Any, background: str) -> Output:
    """Return an output over ``background``."""
    behind = parse_background(background)
    assert behind is not None
    return Output(Composite(behind), sink)
