"""A source that draws its own pictures, for tests and trials."""

from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np

from vmatte.colour import LIMITED, Colour
from vmatte.frames import Frame, StreamInfo, from_array
from vmatte.pixels import FORMATS


class SyntheticSource:
    """A person-like figure that sways before moving stripes; the same on every run.

    See FrameSource.
    """

    def __init__(
        self,
        *,
        width: int = 640,
        height: int = 360,
        rate: Fraction = Fraction(30),
        frames: int = 60,
        format: str = "yuv420p",
    ) -> None:
        """Draw ``frames`` pictures of ``width`` x ``height`` in pixel format ``format``."""
        self.skipped = 0
        self._closed = False
        self._count = frames
        native = FORMATS[format]
        self.info = StreamInfo(
            width=width,
            height=height,
            format=native,
            time_base=1 / rate,
            rate=rate,
            colour=Colour(matrix=1, primaries=1, transfer=1, range=0 if native.rgb else LIMITED),
            frames=frames,
            duration=float(frames / rate),
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield the pictures, see FrameSource."""
        info = self.info
        w, h = info.size
        x = np.arange(w)[None, :] + np.zeros((h, 1), int)
        for pts in range(self._count):
            if self._closed:
                return
            stripes = (((x + 3 * pts) // 24) % 2 * 60 + 60).astype(np.uint8)
            picture = np.dstack([stripes, stripes // 2, 255 - stripes])
            sway = int(w * 0.08 * np.sin(pts / 10))
            centre = w // 2 + sway
            cv2.ellipse(picture, (centre, h), (h // 3, h // 2), 0, 180, 360, (30, 60, 120), -1)
            cv2.ellipse(
                picture, (centre, h * 2 // 5), (h // 9, h // 7), 0, 0, 360, (225, 180, 150), -1
            )
            frame = from_array(picture, "rgb24", pts=pts, time_base=info.time_base)
            yield frame.convert(info.format.name, colour=info.colour)

    def close(self) -> None:
        """Stop."""
        self._closed = True
