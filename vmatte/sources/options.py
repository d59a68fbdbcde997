"""What a live source is asked for."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from vmatte.errors import OptionError

Transport = Literal["tcp", "udp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveInput:
    """How a live source is opened; what is None is left to the device.

    size, rate, pixel_format (a FOURCC such as MJPG), backend (of OpenCV, such as V4L2): what a
    camera is asked for. transport: of RTSP. timeout: seconds without a frame after which a source
    counts as lost. loop: begin files again at their end.
    """

    size: tuple[int, int] | None = None
    rate: Fraction | None = None
    pixel_format: str | None = None
    backend: str | None = None
    transport: Transport = "tcp"
    timeout: float = 2.0
    loop: bool = True

    def __post_init__(self) -> None:
        """Raise OptionError where a value is unusable."""
        if self.size is not None and not all(1 <= side <= 16384 for side in self.size):
            raise OptionError(f"the size of a live input is {self.size}, expected such as 1280x720")
        if self.rate is not None and not 0 < self.rate <= 1000:
            raise OptionError(f"the rate of a live input is {self.rate}, expected above 0")
        if self.pixel_format is not None and not re.fullmatch(r"[\x20-\x7e]{4}", self.pixel_format):
            raise OptionError(
                f"the pixel format {self.pixel_format!r} is no FOURCC, such as MJPG or YUYV"
            )
        if not 0.1 <= self.timeout <= 3600:
            raise OptionError(f"the time-out is {self.timeout} s, expected 0.1 to 3600")
