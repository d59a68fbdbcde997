"""Frames to be written, and the writing of them."""

from collections.abc import Iterator
from fractions import Fraction

from media import SPARSE, rgb_picture

from vmatte.colour import FULL, LIMITED, Colour
from vmatte.frames import Frame, StreamInfo, from_array
from vmatte.pixels import FORMATS
from vmatte.sinks import Sink

HD = Colour(matrix=1, primaries=1, transfer=1, range=LIMITED)


def info_of(native: str, size: tuple[int, int] = (96, 64), still: bool = False) -> StreamInfo:
    """Frames of a format, at a rate that says little."""
    format = FORMATS[native]
    return StreamInfo(
        width=size[0],
        height=size[1],
        format=format,
        colour=Colour(range=FULL) if format.rgb or format.gray else HD,
        time_base=Fraction(1, 15360),
        rate=Fraction(30),
        still=still,
    )


def frames_of(info: StreamInfo, times: tuple[int, ...] = SPARSE) -> Iterator[Frame]:
    """Pictures at ``times`` / 30 s."""
    for index, time in enumerate(times):
        frame = from_array(
            rgb_picture(index, info.size), "rgb24", pts=time * 512, time_base=info.time_base
        )
        yield frame.convert(info.format.name, colour=info.colour)


def write(sink: Sink, info: StreamInfo, times: tuple[int, ...] = SPARSE) -> None:
    """Open, write all, close."""
    sink.open(info)
    for frame in frames_of(info, times):
        sink.write(frame)
    sink.close()
