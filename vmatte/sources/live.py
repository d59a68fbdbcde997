"""Live sources: one connection to a camera or a stream; whoever reads opens the next one."""

from pathlib import Path

from vmatte.sources.base import FrameSource
from vmatte.sources.connect import connect
from vmatte.sources.file import FileSource
from vmatte.sources.images import ImagesSource
from vmatte.sources.network import scheme_of
from vmatte.sources.opening import open_source
from vmatte.sources.options import LiveInput
from vmatte.sources.paced import PacedSource
from vmatte.sources.synthetic import SyntheticSource, parse_synthetic


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


def _file(name: str, start: float) -> FrameSource:
    if scheme_of(name) is not None:
        return FileSource(name, start=start or None)
    if start and not Path(name).is_file():
        source = open_source(name)
        if isinstance(source, ImagesSource):
            source.skip(start)
            return source
        source.close()
    return open_source(name, start=start or None)
