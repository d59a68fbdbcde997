"""Parts of a video made one again, without encoding, with the sound and the like of the source."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
from av.packet import Packet
from av.video.stream import VideoStream

from vmatte.errors import WriteError, reading, writing
from vmatte.frames import StreamInfo
from vmatte.sinks.codecs import CONTAINERS
from vmatte.sinks.file import muxing
from vmatte.sinks.remux import SideStreams


def join(
    parts: Sequence[Path], path: Path, info: StreamInfo, frames: int, *, sound: bool = True
) -> list[str]:
    """Write ``parts``, in order, as one file: ``path``, which is replaced.

    info: of the whole source. frames: how many there must be. Returns notes on sound and the like.
    Raises WriteError where the parts do not fit together.
    """
    container = CONTAINERS[path.suffix.lower()][0]
    times = [p.pts or 0 for part in parts for p in _packets(part)]
    if len(times) != frames or len(set(times)) != frames:
        raise WriteError(
            f"{path}: the parts hold {len(set(times))} frames, expected {frames}; "
            "remove the output's .vmatte folder and run again"
        )
    stamps = iter(decoding_times(times))
    side = SideStreams(info.container, info.start, info.end) if sound and info.container else None
    try:
        with (
            writing(str(path)),
            av.open(str(parts[0])) as first,
            av.open(str(path), "w", format=container, options=muxing(container, info)) as output,
        ):
            template = first.streams.video[0]
            stream: Any = output.add_stream_from_template(template)
            stream.time_base = template.time_base
            if side is not None:
                side.add_to(output, container)
            for part in parts:
                _expect_alike(part, template)
                for packet in _packets(part):
                    packet.dts = next(stamps)
                    packet.stream = stream
                    if side is not None:
                        side.mux_until(packet.dts * packet.time_base, output.mux)
                    output.mux(packet)
            if side is not None:
                side.finish(output.mux)
        return [] if side is None else side.notes
    finally:
        if side is not None:
            side.close()


def decoding_times(times: Sequence[int]) -> list[int]:
    """Return dts for packets of these pts, in the order of decoding: as late as order allows.

    The sorted pts, as many packets late as any frame is: so encoders make them. A part's own may
    begin before the end of the part before it, where the rate varies.
    """
    order = sorted(times)
    place = {pts: i for i, pts in enumerate(order)}
    delay = max((i - place[pts] for i, pts in enumerate(times)), default=0)
    if not delay:
        return order
    lead = order[delay] - order[0]
    return [pts - lead for pts in order[:delay]] + order[: len(order) - delay]


def _packets(part: Path) -> "Iterator[Packet[VideoStream]]":
    with reading(str(part)), av.open(str(part)) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                yield packet


def _expect_alike(part: Path, first: VideoStream) -> None:
    with reading(str(part)), av.open(str(part)) as container:
        other = container.streams.video[0]
        for what in ("name", "extradata", "width", "height", "pix_fmt"):
            if getattr(other.codec_context, what) != getattr(first.codec_context, what):
                raise WriteError(
                    f"{part}: its encoder wrote another {what} than that of the first part; all "
                    "machines need the same version of vmatte and PyAV"
                )
        if other.time_base != first.time_base:
            raise WriteError(
                f"{part}: counts time in {other.time_base}, the first part in {first.time_base}"
            )
