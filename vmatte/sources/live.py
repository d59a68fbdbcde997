"""Live sources: one connection to a camera or a stream; whoever reads opens the next one."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from vmatte.errors import OptionError
from vmatte.sources.base import FrameSource
from vmatte.sources.file import FileSource
from vmatte.sources.images import ImagesSource
from vmatte.sources.network import PROTOCOLS, NetworkSource, scheme_of
from vmatte.sources.paced import PacedSource
from vmatte.sources.synthetic import SyntheticSource, parse_synthetic

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


def open_live(name: str, options: LiveInput | None = None) -> FrameSource:
    """Open one connection to a live source.

    ``camera:N``, ``camera:/dev/videoN`` or ``camera:NAME``; an address such as ``rtsp://...``;
    ``synthetic:[WxH][@RATE][+marker]``, without an end; or the name of a file, which is played at
    its own rate in a loop. Its ``info.live`` is true. When it is lost while it is read, iterating
    raises SourceLostError; open it again then. pts rise over the whole connection; a jump in the
    stream's own time, and a change of size, change ``segment``. After a change of size frames have
    the new one, and ``info`` describes it. Raises InputError and its subclasses.
    """
    options = options or LiveInput()
    source = connect(name, options)
    if source is not None:
        return source
    if name.startswith("synthetic:"):
        drawn = parse_synthetic(name)
        if options.size is not None:
            drawn |= {"width": options.size[0], "height": options.size[1]}
        if options.rate is not None:
            drawn["rate"] = options.rate
        return PacedSource(lambda start: SyntheticSource(**drawn, frames=None, start=start))
    return PacedSource(lambda start: _file(name, start), loop=options.loop)


def connect(name: str, options: LiveInput) -> FrameSource | None:
    """Open a camera or a stream; None where ``name`` names a file, be it one on a web server.

    Raises InputError and its subclasses.
    """
    if name.startswith("camera:"):
        # OpenCV is slow to import, and files do without.
        from vmatte.sources.camera import CameraSource

        return CameraSource(name, options)
    if scheme_of(name) not in PROTOCOLS:
        return None
    source = NetworkSource(name, timeout=options.timeout, transport=options.transport)
    if not source.finite:
        return source
    source.close()
    return None


def _file(name: str, start: float) -> FrameSource:
    from vmatte.sources import open_source

    if scheme_of(name) is not None:
        return FileSource(name, start=start or None)
    if start and not Path(name).is_file():
        source = open_source(name)
        if isinstance(source, ImagesSource):
            source.skip(start)
            return source
        source.close()
    return open_source(name, start=start or None)
