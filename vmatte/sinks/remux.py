"""The other streams of a file: sound, subtitles, chapters and metadata go with the picture."""

import math
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from typing import Any, TypeAlias

import av
import av.error
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from vmatte.errors import reading

_AUDIO = {"mp4": "aac", "mov": "aac", "matroska": "aac", "webm": "libopus"}
"""What sound is encoded to in a container that cannot hold it as it is."""

_OPUS = ("", "mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
"""Opus' layouts by number of channels, RFC 7845 section 5.1.1."""

_REFUSED = {"mov": {"flac", "opus", "truehd"}, "mp4": {"truehd"}}
"""What FFmpeg says a container can hold, and then refuses."""

AnyPacket: TypeAlias = "Packet[Any]"
Mux: TypeAlias = "Callable[[AnyPacket], None]"


class SideStreams:
    """Copies the other streams of a file into an output, in step with its picture.

    Times are kept; with a start, they are moved back by it. ``notes`` says what could not be
    copied as it was.
    """

    def __init__(self, path: str, start: float | None, end: float | None) -> None:
        """Open ``path`` once more. start, end: seconds from the file's beginning."""
        self._path = path
        with reading(path):
            self._input: InputContainer = av.open(path, metadata_errors="replace")
        zero = Fraction(self._input.start_time or 0, av.time_base)
        self._from = zero + Fraction(start).limit_denominator(10**6) if start else None
        self._until = zero + Fraction(end).limit_denominator(10**6) if end is not None else None
        self.notes: list[str] = []
        self._copies: dict[int, Stream] = {}
        self._encoders: dict[int, _AudioEncoder] = {}

    def add_to(self, output: OutputContainer, container: str) -> None:
        """Add a stream to ``output`` for each one that it can hold; before its header is written.

        Raises OutputError by way of the caller.
        """
        output.metadata.update(_own_words(self._input.metadata))
        taken = output.supported_codecs - _REFUSED.get(container, set())
        for stream in self._input.streams:
            if stream.type not in ("audio", "subtitle"):
                self._note_uncopied(stream)
                continue
            codec = stream.codec_context.name
            if codec in taken:
                copy = output.add_stream_from_template(stream)
                self._copies[stream.index] = copy
            elif stream.type == "audio" and container in _AUDIO:
                encoder = _AudioEncoder(output, stream, _AUDIO[container])  # type: ignore[arg-type]
                self._encoders[stream.index] = encoder
                copy = encoder.stream
                self.notes.append(f"sound re-encoded from {codec} to {_AUDIO[container]}")
            else:
                self.notes.append(
                    f"{stream.type} stream {stream.index} ({codec}) left out: "
                    f"{container} cannot hold it"
                )
                continue
            copy.metadata.update(_own_words(stream.metadata))
            copy.disposition = stream.disposition
        self._copy_chapters(output)
        self._packets = self._read()
        self._next = next(self._packets, None)

    def _note_uncopied(self, stream: Stream) -> None:
        if stream.type == "video" and stream.disposition & Disposition.attached_pic:
            self.notes.append(f"cover picture (stream {stream.index}) left out")
        elif stream.type == "attachment":
            self.notes.append(f"attachment (stream {stream.index}) left out")

    def _copy_chapters(self, output: OutputContainer) -> None:
        chapters = []
        for chapter in self._input.chapters():
            base: Fraction = chapter["time_base"] or Fraction(1)
            begin: Fraction = chapter["start"] * base
            finish: Fraction = chapter["end"] * base
            if self._from is not None:
                begin, finish = begin - self._from, finish - self._from
            if self._until is not None:
                finish = min(finish, self._until - (self._from or 0))
            if finish <= max(begin, Fraction(0)):
                continue
            chapters.append(
                {
                    **chapter,
                    "start": max(0, math.floor(begin / base)),
                    "end": math.floor(finish / base),
                }
            )
        if chapters:
            output.set_chapters(chapters)  # type: ignore[arg-type]

    def _read(self) -> Generator[AnyPacket]:
        streams = [self._input.streams[i] for i in (*self._copies, *self._encoders)]
        if not streams:
            return
        with reading(self._path):
            if self._from is not None:
                self._input.seek(int(self._from * av.time_base))
            for packet in self._input.demux(streams):
                if packet.dts is None and packet.pts is None:
                    continue
                name = packet.stream.codec_context.name
                if packet.size == 2 and name == "mov_text" and bytes(packet) == b"\0\0":
                    continue  # A pause between subtitles; the muxer makes its own.
                when = _time(packet)
                if self._from is not None and when < self._from:
                    continue
                if self._until is not None and when >= self._until:
                    continue
                yield packet

    def mux_until(self, time: Fraction, mux: Mux) -> None:
        """Give ``mux`` every packet that begins before ``time`` (seconds, of the output)."""
        limit = time + (self._from or 0)
        while self._next is not None and _time(self._next) < limit:
            self._send(self._next, mux)
            self._next = next(self._packets, None)

    def finish(self, mux: Mux, *, rest: bool = True) -> None:
        """Give ``mux`` all that is left, or without ``rest`` only what is being encoded."""
        while rest and self._next is not None:
            self._send(self._next, mux)
            self._next = next(self._packets, None)
        for encoder in self._encoders.values():
            for packet in encoder.flush():
                mux(packet)
            if encoder.damaged:
                self.notes.append(f"{encoder.damaged} damaged packets of sound left out")

    def _send(self, packet: AnyPacket, mux: Mux) -> None:
        index = packet.stream_index
        shift = math.ceil(self._from / packet.time_base) if self._from is not None else 0
        if index in self._encoders:
            for encoded in self._encoders[index].encode(packet, shift):
                mux(encoded)
            return
        if shift:
            packet.pts = packet.pts - shift if packet.pts is not None else None
            packet.dts = packet.dts - shift if packet.dts is not None else None
        packet.stream = self._copies[index]
        mux(packet)

    def close(self) -> None:
        """Close the input."""
        if hasattr(self, "_packets"):
            self._packets.close()
        self._input.close()


class _AudioEncoder:
    """Decodes one audio stream and encodes it anew."""

    def __init__(self, output: OutputContainer, source: AudioStream, codec: str) -> None:
        context: Any = source.codec_context
        rates = av.Codec(codec, "w").audio_rates or [context.sample_rate]
        # The next higher one, so that nothing is lost, or the highest.
        rate = min((r for r in rates if r >= context.sample_rate), default=max(rates))
        self.stream: Any = output.add_stream(codec, rate=rate)
        target: Any = self.stream.codec_context
        channels = context.layout.nb_channels
        # Opus knows one layout for each number of channels, FFmpeg's decoders several.
        target.layout = _OPUS[min(channels, 8)] if codec == "libopus" else context.layout
        target.bit_rate = 96000 * (channels // 2 + 1)
        target.open()
        self.damaged = 0
        self._end: Fraction | None = None
        self._resampler = AudioResampler(target.format, target.layout, rate, target.frame_size)

    def encode(self, packet: AnyPacket, shift: int) -> Iterator[AnyPacket]:
        try:
            frames = packet.decode()
        except (av.error.InvalidDataError, av.error.UnknownError):
            self.damaged += 1
            return
        for frame in frames:
            for silence in self._pause_before(frame):  # type: ignore[arg-type]
                for part in self._resampler.resample(silence):
                    yield from self.stream.encode(part)
            if shift and frame.pts is not None:
                frame.pts -= shift
            for part in self._resampler.resample(frame):  # type: ignore[arg-type]
                yield from self.stream.encode(part)

    def _pause_before(self, frame: av.AudioFrame) -> Iterator[av.AudioFrame]:
        """Yield silence where packets are missing: encoders join what they get."""
        if frame.pts is None or frame.time_base is None:
            return
        time = frame.pts * frame.time_base
        gap = time - self._end if self._end is not None else Fraction(0)
        self._end = time + Fraction(frame.samples, frame.sample_rate)
        left = round(gap * frame.sample_rate) if gap > _PAUSE else 0
        while left:
            # A second at a time.
            count = min(left, frame.sample_rate)
            silence = av.AudioFrame(frame.format.name, frame.layout.name, count)
            for plane in silence.planes:
                plane.update(bytes(plane.buffer_size))
            silence.sample_rate = frame.sample_rate
            left -= count
            yield silence

    def flush(self) -> Iterator[AnyPacket]:
        for part in self._resampler.resample(None):
            yield from self.stream.encode(part)
        yield from self.stream.encode(None)


def _time(packet: AnyPacket) -> Fraction:
    stamp = packet.dts if packet.dts is not None else packet.pts
    return (stamp or 0) * packet.time_base


_PAUSE = Fraction(1, 50)
"""Seconds; less is the rounding of timestamps."""

_CONTAINER_WORDS = {
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "handler_name",
    "vendor_id",
    "duration",
    "number_of_frames",
    "number_of_bytes",
}


def _own_words(metadata: dict[str, str]) -> dict[str, str]:
    """Return metadata without what describes the old file's container."""
    return {
        k: v
        for k, v in metadata.items()
        if k.lower() not in _CONTAINER_WORDS and not k.startswith("_STATISTICS")
    }
