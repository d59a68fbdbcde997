"""Media files through PyAV: written to a temporary name, in place only when whole."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import OutputContainer
from av.filter import Graph
from av.packet import Packet
from av.video.stream import VideoStream

from vmatte.colour import FULL, LIMITED, Colour
from vmatte.errors import OutputExistsError, WriteError, writing
from vmatte.frames import Frame, StreamInfo
from vmatte.pixels import FORMATS
from vmatte.sinks.choice import choose, choose_format, ignored
from vmatte.sinks.codecs import Codec, Encoding
from vmatte.sinks.remux import SideStreams


class FileSink:
    """One video file with the sound of its source. See Sink.

    ``notes`` tells, once it is open, what was done that the user may not expect.
    """

    recording = True

    def __init__(
        self,
        path: str,
        encoding: Encoding | None = None,
        *,
        overwrite: bool = False,
        sound: bool = True,
    ) -> None:
        """Write to ``path``; sound: copy the source's other streams too."""
        self.name = path
        self.notes: list[str] = []
        self._encoding = encoding or Encoding()
        self._overwrite = overwrite
        self._sound = sound
        self._output: OutputContainer | None = None
        self._side: SideStreams | None = None
        self._temporary: Path | None = None
        self._time = Fraction(0)

    def open(self, info: StreamInfo) -> None:
        """Choose codec and pixel format, and begin the file."""
        container, name, codec = choose(self.name, self._encoding, info)
        format = choose_format(self.name, codec, self._encoding, info)
        self._temporary = temporary_for(Path(self.name), self._overwrite)
        with writing(self.name):
            self._begin(self._temporary, container, codec, format, info)
        self.codec = name
        self.notes += ignored(name, codec, self._encoding)

    def _begin(
        self, path: Path, container: str, codec: Codec, format: str, info: StreamInfo
    ) -> None:
        self._output = av.open(str(path), "w", format=container, options=muxing(container, info))
        self._stream = add_video(self._output, codec, format, self._encoding, info)
        self._target = encoded_colour(info, format, codec)
        if info.format.depth > FORMATS.get(format, info.format).depth:
            self.notes.append(f"{info.format.depth} bits reduced to {FORMATS[format].depth}")
        odd = info.width % 2 or info.height % 2
        if odd and codec.even and format.startswith("yuv444p") and info.format.name != format:
            self.notes.append(f"odd size kept by encoding {format}; some players need yuv420p")
        shape = info.sample_aspect_ratio
        if shape and container in ("matroska", "webm") and not codec.shaped:
            self.notes.append(f"pixel shape {shape} lost: {codec.encoder} has no place for it here")
        if self._sound and info.container and container not in ("gif", "webp"):
            self._side = SideStreams(info.container, info.start, info.end)
            self._side.add_to(self._output, container)
            self.notes += self._side.notes
            self._side.notes.clear()
        self._count = 0

    def write(self, frame: Frame) -> None:
        """Encode one frame."""
        self._count += 1
        self._time = frame.time
        with writing(self.name):
            if self._stream.codec_context.pix_fmt == "pal8":
                picture = _with_palette(frame)
            else:
                picture = fit(frame, self._stream, self._target)
            for packet in self._stream.encode(picture):
                self._mux(packet)

    def _mux(self, packet: "Packet[Any]") -> None:
        assert self._output is not None
        if self._side is not None:
            stamp = packet.dts if packet.dts is not None else packet.pts or 0
            # Before the first picture may lie sound that begins earlier.
            self._side.mux_until(stamp * packet.time_base, self._output.mux)
        self._output.mux(packet)

    def close(self, *, early: bool = False) -> None:
        """Flush the encoder, finish the container and give the file its name."""
        if self._output is None or self._temporary is None:
            return
        with writing(self.name):
            for packet in self._stream.encode(None):
                if self._count <= 2:
                    # x265 4 leaves this uninitialised for so few frames.
                    packet.dts = packet.pts
                self._mux(packet)
            if self._side is not None:
                if early:
                    self._side.mux_until(self._time, self._output.mux)
                self._side.finish(self._output.mux, rest=not early)
                self.notes += self._side.notes
                self._side.close()
                self._side = None
            self._output.close()
            self._output = None
            commit(self._temporary, Path(self.name), self._overwrite)
            self._temporary = None

    def abort(self) -> None:
        """Remove what was written."""
        if self._side is not None:
            self._side.close()
            self._side = None
        if self._output is not None:
            output, self._output = self._output, None
            # The trailer cannot be written to a full disk either; the file goes anyway.
            with contextlib.suppress(Exception):
                output.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
            self._temporary = None


def muxing(container: str, info: StreamInfo) -> dict[str, str]:
    """Return the container's options for a stream such as ``info``."""
    if container in ("mp4", "mov"):
        # By default a start offset is rounded to milliseconds.
        rate = info.time_base.denominator
        return {"movie_timescale": str(rate * -(-1000 // rate))}
    return {"loop": "0"} if container == "webp" else {}


def _with_palette(frame: Frame) -> av.VideoFrame:
    """Return the picture of ``frame`` in 256 colours, with a palette of its own."""
    picture = frame.convert("bgra").picture
    picture.pts, picture.time_base = frame.pts, frame.time_base
    graph = Graph()
    source = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=frame.time_base,
    )
    split, make = graph.add("split"), graph.add("palettegen", "reserve_transparent=1")
    use, sink = graph.add("paletteuse", "alpha_threshold=128"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(make, 0, 0)
    split.link_to(use, 1, 0)
    make.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    graph.vpush(picture)
    graph.vpush(None)
    result = graph.vpull()
    result.pts, result.time_base = frame.pts, frame.time_base
    return result


def temporary_for(path: Path, overwrite: bool) -> Path:
    """Return a new, empty file beside ``path``. Raises OutputError where that cannot be."""
    with writing(str(path)):
        if path.is_dir():
            raise WriteError(f"{path}: is a directory; give the name of a file in it")
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path}: exists already; use --overwrite, or another name")
        # Not tempfile's: those are private, the result must have the user's usual mode.
        temporary = path.with_name(f".vmatte-{secrets.token_hex(4)}.part{path.suffix}")
        temporary.touch(exist_ok=False)
    return temporary


def commit(temporary: Path, path: Path, overwrite: bool) -> None:
    """Give the finished file its name."""
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path}: has appeared meanwhile; use --overwrite")
    temporary.replace(path)


def add_video(
    output: OutputContainer, codec: Codec, format: str, encoding: Encoding, info: StreamInfo
) -> VideoStream:
    """Add the encoder for frames of ``info`` to ``output``."""
    options = dict(codec.options)
    crf = codec.crf if encoding.crf is None else encoding.crf
    if crf is not None and codec.quality and encoding.bitrate is None:
        options[codec.quality] = f"{crf:g}"
    preset = encoding.preset or codec.default_preset
    if preset and codec.preset:
        options[codec.preset] = preset
    if format == "yuva420p" and codec.encoder == "libvpx-vp9":
        # Frames that are only referred to have no alpha to go with them.
        options["auto-alt-ref"] = "0"
    if encoding.bitrate is not None:
        options.pop("b", None)
    if codec.encoder == "libx265" and info.width < 128:
        # x265's cutree writes beyond its rows when they are shorter than a vector.
        options["x265-params"] += ":cutree=0"
    if codec.encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # Errors only, on standard error.
    added: Any = output.add_stream(codec.encoder, rate=info.rate or Fraction(25), options=options)
    stream: VideoStream = added
    if encoding.bitrate is not None:
        stream.codec_context.bit_rate = encoding.bitrate
    if codec.tag and output.format.name in ("mp4", "mov"):
        stream.codec_context.codec_tag = codec.tag
    describe(stream, format, info, encoded_colour(info, format, codec))
    try:
        with _same_priority():
            stream.codec_context.open()
    except av.error.FFmpegError as e:
        if codec.needs is None:
            raise
        raise WriteError(
            f"{codec.encoder} could not be opened: it needs {codec.needs} ({e.strerror}); "
            "use another --codec, such as h264"
        ) from e
    return stream


@contextlib.contextmanager
def _same_priority() -> Iterator[None]:
    """Undo what SVT-AV1 does to the thread that opens it, where root runs it: real-time priority.

    The whole machine would wait for that thread, and for all that it starts.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, priority)


def describe(stream: VideoStream, format: str, info: StreamInfo, colour: Colour) -> None:
    """Tell an encoder the size, the time base, the pixels and the colours of its frames."""
    context = stream.codec_context
    context.width, context.height = info.width, info.height
    context.pix_fmt = format
    context.time_base = info.time_base
    stream.time_base = info.time_base
    if info.sample_aspect_ratio:
        context.sample_aspect_ratio = info.sample_aspect_ratio
    context.colorspace = colour.matrix
    context.color_primaries = colour.primaries
    context.color_trc = colour.transfer
    context.color_range = colour.range


def encoded_colour(info: StreamInfo, format: str, codec: Codec) -> Colour:
    """Return the colour description of the encoded pixels: the source's, unless the kind changes.

    RGB and gray become BT.709 (BT.601 when small), limited range, when encoded as YUV; so does the
    range of a codec that knows no other.
    """
    target = FORMATS.get(format)
    if target is None or target.rgb:
        return (
            Colour(
                matrix=0, primaries=info.colour.primaries, transfer=info.colour.transfer, range=FULL
            )
            if info.format.rgb
            else info.colour
        )
    if (info.format.rgb or info.format.gray) and not target.gray:
        known = info.colour.resolved(info.width, info.height, rgb=False)
        basic = 1 if known.matrix == 1 else 6
        return Colour(
            matrix=known.matrix if known.matrix != 5 else 6,
            primaries=_said(info.colour.primaries, basic),
            transfer=_said(info.colour.transfer, basic),
            range=LIMITED,
        )
    return replace(info.colour, range=LIMITED) if codec.limited else info.colour


def _said(value: int, default: int) -> int:
    return default if value == 2 else value


def fit(frame: Frame, stream: VideoStream, colour: Colour) -> av.VideoFrame:
    """Return the picture of ``frame`` as the encoder of ``stream`` wants it."""
    context: Any = stream.codec_context
    target = FORMATS.get(context.pix_fmt)
    rgb = target is None or target.rgb
    changes = frame.picture.format.name != context.pix_fmt
    if changes or (not rgb and (frame.colour.range == FULL) != (colour.range == FULL)):
        frame = frame.convert(context.pix_fmt, colour=None if rgb else colour)
    picture = frame.picture
    picture.pts, picture.time_base = frame.pts, frame.time_base
    # ProRes takes its tags from here, not from the encoder's context.
    picture.colorspace, picture.color_range = context.colorspace, context.color_range
    picture.color_primaries, picture.color_trc = context.color_primaries, context.color_trc
    return picture
