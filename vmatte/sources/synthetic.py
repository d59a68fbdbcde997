"""A source that draws its own pictures, for tests and trials."""

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.colour import LIMITED, Colour
from vmatte.errors import OptionError
from vmatte.frames import Frame, StreamInfo, from_array
from vmatte.pixels import FORMATS

CODE = np.array([[1, -1, 1, 1], [-1, -1, 1, -1], [1, -1, -1, 1], [-1, 1, 1, -1]])
"""The marker's cells: 1 is magenta, -1 green. As many of each, so that a flat colour scores 0."""

_NAME = re.compile(r"synthetic:(?:(\d+)x(\d+))?(?:@(\d+(?:/\d+)?))?(\+marker)?")


class SyntheticSource:
    """A person-like figure that sways before moving stripes; the same on every run.

    With ``marker`` the stripes carry a code of 4 x 4 magenta and green cells in their upper left
    corner, a fifth of the picture wide and a third high, where the figure never is: a result that
    shows_marker() shows the room. See FrameSource.
    """

    def __init__(
        self,
        *,
        width: int = 640,
        height: int = 360,
        rate: Fraction = Fraction(30),
        frames: int | None = 60,
        format: str = "yuv420p",
        marker: bool = False,
        start: float = 0.0,
    ) -> None:
        """Draw ``frames`` pictures, None for no end, of ``width`` x ``height`` in ``format``.

        start: seconds at which to begin; that time becomes 0.
        """
        self.skipped = 0
        self._closed = False
        self._first = round(start * rate)
        self._count = None if frames is None else max(0, frames - self._first)
        self._marker = marker
        native = FORMATS[format]
        self.info = StreamInfo(
            width=width,
            height=height,
            format=native,
            time_base=1 / rate,
            rate=rate,
            colour=Colour(matrix=1, primaries=1, transfer=1, range=0 if native.rgb else LIMITED),
            frames=self._count,
            duration=None if self._count is None else float(self._count / rate),
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield the pictures, see FrameSource."""
        info = self.info
        w, h = info.size
        x = np.arange(w)
        picture = np.empty((h, w, 3), np.uint8)
        for pts in itertools.count() if self._count is None else range(self._count):
            if self._closed:
                return
            index = pts + self._first
            stripes = ((x + 3 * index) // 24 % 2 * 60 + 60).astype(np.uint8)
            picture[:] = np.stack([stripes, stripes // 2, 255 - stripes], 1)
            if self._marker:
                paint_marker(picture)
            sway = int(w * 0.08 * np.sin(index / 10))
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


def parse_synthetic(name: str) -> dict[str, Any]:
    """Return the options of SyntheticSource in ``synthetic:[WxH][@RATE][+marker]``.

    Raises OptionError.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise OptionError(
            f"{name} is not understood; expected synthetic:, or such as "
            "synthetic:1280x720@30 or synthetic:640x360@30000/1001+marker"
        )
    width, height, rate, marker = found.groups()
    options: dict[str, Any] = {"marker": bool(marker)}
    if width:
        options |= {"width": int(width), "height": int(height)}
        if not all(16 <= int(side) <= 8192 for side in (width, height)):
            raise OptionError(f"{name}: expected 16 to 8192 pixels a side")
    if rate:
        try:
            options["rate"] = Fraction(rate)
        except ZeroDivisionError:
            options["rate"] = Fraction(0)
        if not 0 < options["rate"] <= 1000:
            raise OptionError(f"{name}: expected a rate above 0 and at most 1000 frames a second")
    return options


def paint_marker(rgb: NDArray[np.uint8]) -> None:
    """Paint the marker into an [H, W, 3] picture; see SyntheticSource."""
    height, width = rgb.shape[:2]
    for (row, column), sign in np.ndenumerate(CODE):
        top, bottom = round(row * height / 12), round((row + 1) * height / 12)
        left, right = round(column * width / 20), round((column + 1) * width / 20)
        rgb[top:bottom, left:right] = (255, 0, 255) if sign > 0 else (0, 255, 0)


def marker_strength(rgb: NDArray[np.uint8]) -> float:
    """Return how much of the marker an [H, W, 3] RGB picture shows: 0 none, 1 all of it.

    The same for a picture that was scaled as a whole; a mirrored one counts too. A picture without
    it may score a little more or less than 0.
    """
    return max(_correlation(rgb), _correlation(rgb[:, ::-1]))


def _correlation(rgb: NDArray[np.uint8]) -> float:
    height, width = rgb.shape[:2]
    corner = rgb[: round(height / 3), : round(width / 5)].astype(np.float32)
    # Odd multiples, so that each of 4 x 4 cells has a middle that no edge touches.
    cells = cv2.resize(corner, (20, 20), interpolation=cv2.INTER_AREA).reshape(4, 5, 4, 5, 3)
    middle = cells[:, 1:4, :, 1:4].mean((1, 3))
    magenta = (middle[..., 0] + middle[..., 2]) / 2 - middle[..., 1]
    return float((magenta * CODE).mean()) / 255


def shows_marker(rgb: NDArray[np.uint8], least: float = 0.1) -> bool:
    """Tell whether an [H, W, 3] RGB picture shows at least so much of the marker."""
    return marker_strength(rgb) >= least
