"""The clips that are matted: one material at several sizes, long enough."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

from vmatte.composite.place import fitted
from vmatte.errors import InputError, OptionError, reading, writing
from vmatte.frames import Frame, from_array
from vmatte.sinks import Encoding, open_sink
from vmatte.sources import FrameSource, open_source
from vmatte.sources.synthetic import SyntheticSource

SIZES = {"480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}

_PICTURES = 48
"""Different pictures of a clip; they come again and again."""

_GRAIN = 2.5
"""Standard deviation of the drawn clip's noise: flat pictures are decoded and encoded too fast."""

_ENCODING = Encoding(codec="h264", preset="veryfast")


def expect_sizes(sizes: Sequence[str]) -> None:
    """Raise OptionError where there is no size of that name."""
    for size in sizes:
        if size not in SIZES:
            raise OptionError(f"size {size!r} is unknown; expected some of {', '.join(SIZES)}")


def make_clips(material: str | None, sizes: Sequence[str], folder: Path) -> dict[str, Path]:
    """Write a clip for each of ``sizes``, scaled and cut to cover it, and return where they are.

    material: a video, its first 48 frames; None: one is drawn. Without sizes it is taken as it is,
    and called WxH. Raises InputError, OutputError.
    """
    expect_sizes(sizes)
    source: FrameSource
    if material is not None and not sizes:
        source = open_source(material)
        try:
            # Told now, not by a process that measures.
            if next(iter(source), None) is None:
                raise InputError(f"{material}: holds no frames; give a video")
            return {f"{source.info.width}x{source.info.height}": Path(material)}
        finally:
            source.close()
    if material is None:
        # Half as many: they take long to draw.
        source = SyntheticSource(width=1920, height=1080, frames=_PICTURES // 2)
    else:
        source = open_source(material)
    try:
        frames = list(islice(source, _PICTURES))
    finally:
        source.close()
    if not frames:
        raise InputError(f"{material}: holds no frames; give a video")
    if material is None:
        frames = list(_grained(frames))
    return {size: _make(source, frames, SIZES[size], folder / f"{size}.mp4") for size in sizes}


def _grained(frames: Iterable[Frame]) -> Iterable[Frame]:
    noise = np.random.default_rng(1).normal(0, _GRAIN, (1080, 1920, 1)).astype(np.int16)
    for index, frame in enumerate(frames):
        moved = np.roll(noise, (97 * index, 211 * index), (0, 1))
        rgb = (frame.rgb((frame.width, frame.height)) + moved).clip(0, 255).astype(np.uint8)
        grained = from_array(rgb, "rgb24").convert(frame.format.name, colour=frame.colour)
        yield replace(grained, pts=frame.pts, time_base=frame.time_base)


def _make(
    source: FrameSource, frames: Sequence[Frame], size: tuple[int, int], target: Path
) -> Path:
    """Write ``frames`` at ``size``, or that size turned, as often as makes a long run."""
    info = source.info
    width, height = size if info.width >= info.height else size[::-1]
    info = replace(
        info, width=width, height=height, sample_aspect_ratio=None, frames=None, duration=None
    )
    once = target.with_suffix(".once.mp4")
    sink = open_sink(str(once), _ENCODING, overwrite=True, sound=False)
    try:
        sink.open(info)
        for frame in frames:
            sink.write(fitted(frame, info, "cover", source.info.sample_aspect_ratio))
        sink.close()
    except BaseException:
        sink.abort()
        raise
    # About as long for every size, as one of 400 frames at 1080p.
    repeat(once, target, max(96, min(1600, 400 * 1920 * 1080 // (width * height))))
    once.unlink()
    return target


def repeat(clip: Path, target: Path, frames: int) -> None:
    """Write ``clip`` again and again, without decoding it, up to ``frames`` pictures or more."""
    written, shift = 0, 0
    with reading(str(clip)), writing(str(target)), av.open(str(target), "w") as writer:
        out: Any = None
        while written < frames:
            with av.open(str(clip)) as reader:
                stream = reader.streams.video[0]
                out = out or writer.add_stream_from_template(stream)
                packets: list[Any] = [p for p in reader.demux(stream) if p.size]
                assert stream.time_base is not None and stream.average_rate is not None
                step = round(Fraction(1) / stream.average_rate / stream.time_base)
                length = max(p.pts for p in packets) - min(p.pts for p in packets) + step
                for packet in packets:
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = out
                    writer.mux(packet)
                written, shift = written + len(packets), shift + length
