"""Makes small media of every kind, with PyAV and numpy alone, and reads them back apart from us."""

import io
import json
import shutil
import struct
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from conftest import missing

SIZE = (96, 64)
CORNERS = {"tl": (200, 40, 40), "tr": (40, 180, 60), "bl": (40, 60, 200), "br": (220, 210, 60)}
"""RGB of the corners of every picture: enough to tell all eight orientations apart."""


@dataclass(frozen=True, kw_only=True)
class Sound:
    """One audio track: a tone. start: seconds."""

    codec: str = "aac"
    language: str | None = None
    seconds: float = 0.8
    start: float = 0.0
    rate: int = 44100
    layout: str = "mono"
    hertz: float = 440.0


@dataclass(frozen=True, kw_only=True)
class Tags:
    """Colour tags, by ITU-T H.273; range 1 limited, 2 full."""

    matrix: int = 1
    primaries: int = 1
    transfer: int = 1
    range: int = 1


HD, SD, FULL_HD = Tags(), Tags(matrix=6, primaries=6, transfer=6), Tags(range=2)
PQ = Tags(matrix=9, primaries=9, transfer=16)
HLG = Tags(matrix=9, primaries=9, transfer=18)
SPARSE = (0, 1, 2, 5, 6, 10, 11, 12, 20, 21)
"""Variable frame rate: counts of 1/30 s or so."""


def rgb_picture(index: int, size: tuple[int, int] = SIZE) -> np.ndarray[Any, Any]:
    """Corner colours, a gray ramp between them, and a bright column that tells the index."""
    w, h = size
    ramp = np.linspace(60, 190, w, dtype=np.float32)[None, :] + np.zeros((h, 1), np.float32)
    picture = np.repeat(ramp[:, :, None], 3, 2).astype(np.uint8)
    cw, ch = max(1, w // 4), max(1, h // 4)
    picture[:ch, :cw], picture[:ch, -cw:] = CORNERS["tl"], CORNERS["tr"]
    picture[-ch:, :cw], picture[-ch:, -cw:] = CORNERS["bl"], CORNERS["br"]
    x = cw + (index * 3) % max(1, w - 2 * cw)
    picture[h // 3 : h // 2, x : x + 4] = 250
    return picture


def picture_of(
    index: int, format: str = "yuv420p", size: tuple[int, int] = SIZE, tags: Tags = HD
) -> av.VideoFrame:
    """The picture above in a pixel format, with the range and matrix of ``tags``."""
    frame = av.VideoFrame.from_ndarray(rgb_picture(index, size), "rgb24")
    if format == "rgb24":
        return frame
    matrix = tags.matrix if tags.matrix in (1, 5, 9) else 5
    return frame.reformat(
        format=format, src_color_range=2, dst_color_range=tags.range, dst_colorspace=matrix
    )


def make_video(
    path: Path,
    *,
    codec: str = "libx264",
    format: str = "yuv420p",
    size: tuple[int, int] = SIZE,
    times: Iterable[int] = range(10),
    time_base: Fraction = Fraction(1, 25),
    tags: Tags | None = HD,
    shape: Fraction | None = None,
    turn: tuple[int, bool, bool] | None = None,
    sounds: Sequence[Sound] = (),
    subtitles: Sequence[tuple[float, float, str]] = (),
    chapters: Sequence[tuple[float, float, str]] = (),
    metadata: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    file_options: dict[str, str] | None = None,
    interlaced: bool = False,
) -> Path:
    """Write a video. times: pts in ``time_base``. shape: of pixels. turn: (degrees, hflip, vflip).

    turn is what a player has to do, counter-clockwise, as FFmpeg reports it.
    """
    times = list(times)
    if path.suffix in (".mp4", ".mov"):
        # Else an offset is rounded to milliseconds.
        file_options = {"movie_timescale": "705600"} | (file_options or {})
    options = {"preset": "ultrafast", "crf": "12"} | (options or {})
    if codec == "libx265":
        options["x265-params"] = "log-level=none"
    if interlaced:
        options["x264-params"] = "tff=1"
    with av.open(str(path), "w", options=file_options or {}) as output:
        output.metadata.update(metadata or {})
        stream: Any = output.add_stream(codec, rate=Fraction(1 / time_base), options=options)
        stream.width, stream.height, stream.pix_fmt = *size, format
        stream.codec_context.time_base = stream.time_base = time_base
        if tags is not None:
            context = stream.codec_context
            context.colorspace, context.color_primaries = tags.matrix, tags.primaries
            context.color_trc, context.color_range = tags.transfer, tags.range
        if shape is not None:
            stream.codec_context.sample_aspect_ratio = shape
        if turn is not None:
            stream.set_display_rotation(turn[0], hflip=turn[1], vflip=turn[2])
        tracks = [_track(output, sound) for sound in sounds]
        words = _words(output, subtitles) if subtitles else None
        if chapters:
            output.set_chapters(
                [
                    {
                        "id": i,
                        "start": round(a * 1000),
                        "end": round(b * 1000),
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": title},
                    }
                    for i, (a, b, title) in enumerate(chapters)
                ]
            )
        packets = []
        for index, pts in enumerate(times):
            picture = picture_of(index, format, size, tags or HD)
            picture.pts, picture.time_base = pts, time_base
            packets += stream.encode(picture)
        packets += stream.encode(None)
        for track, sound in zip(tracks, sounds, strict=True):
            packets += _tone(track, sound)
        packets += words or []
        output.start_encoding()
        for packet in sorted(packets, key=lambda p: (p.dts or 0) * p.time_base):
            output.mux(packet)
    return path


def _track(output: Any, sound: Sound) -> Any:
    stream = output.add_stream(sound.codec, rate=sound.rate, layout=sound.layout)
    if sound.language:
        stream.metadata["language"] = sound.language
    stream.codec_context.open()
    return stream


def _tone(stream: Any, sound: Sound) -> list[Any]:
    context = stream.codec_context
    size = context.frame_size or 1024
    count = int(sound.seconds * sound.rate) // size
    t = np.arange(count * size) / sound.rate
    samples = (0.3 * np.sin(2 * np.pi * sound.hertz * t)).astype(np.float32)
    packets: list[Any] = []
    for i in range(count):
        part = samples[None, i * size : (i + 1) * size]
        if context.format.name.startswith("s16"):
            part = (part * 32767).astype(np.int16)
        elif context.format.name.startswith("s32"):
            part = (part * 2147483647).astype(np.int32)
        part = part.repeat(context.layout.nb_channels, 0 if context.format.is_planar else 1)
        frame = av.AudioFrame.from_ndarray(part, context.format.name, sound.layout)
        frame.rate = sound.rate
        frame.time_base = Fraction(1, sound.rate)
        frame.pts = round(sound.start * sound.rate) + i * size
        packets += stream.encode(frame)
    return packets + list(stream.encode(None))


def _words(output: Any, subtitles: Sequence[tuple[float, float, str]]) -> list[Any]:
    """SubRip packets where the container takes them, else QuickTime text (a length, then UTF-8)."""

    def clock(s: float) -> str:
        return f"00:00:{int(s):02d},{round(s % 1 * 1000):03d}"

    text = "".join(
        f"{i}\n{clock(a)} --> {clock(b)}\n{line}\n\n" for i, (a, b, line) in enumerate(subtitles, 1)
    )
    with av.open(io.BytesIO(text.encode()), format="srt") as source:
        packets = [p for p in source.demux() if p.size]
        if output.format.name != "matroska":
            made = output.add_stream("mov_text")
            made.codec_context.subtitle_header = _ASS
            made.time_base = Fraction(1, 1000)
            found = []
            for begin, end, line in subtitles:
                packet = av.Packet(struct.pack(">H", len(line.encode())) + line.encode())
                packet.pts = packet.dts = round(begin * 1000)
                packet.duration = round((end - begin) * 1000)
                packet.time_base, packet.stream = Fraction(1, 1000), made
                found.append(packet)
            return found
        stream = output.add_stream_from_template(source.streams[0])
        stream.metadata["language"] = "swe"
        for packet in packets:
            packet.stream = stream
        return packets


_ASS = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,16

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def make_image(path: Path, index: int = 0, *, size: tuple[int, int] = SIZE) -> Path:
    """Write one picture; the suffix says how."""
    suffix = path.suffix.lower()
    encoder = {".png": "png", ".jpg": "mjpeg", ".webp": "libwebp", ".gif": "gif"}[suffix]
    format = {".png": "rgb24", ".jpg": "yuvj444p", ".webp": "bgra", ".gif": "rgb8"}[suffix]
    context: Any = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = *size, format
    context.time_base = Fraction(1, 25)
    tags = Tags(matrix=5, range=2)
    picture = picture_of(index, format, size, tags)
    picture.pts = 0
    path.write_bytes(b"".join(bytes(p) for p in [*context.encode(picture), *context.encode(None)]))
    return path


def orient(jpeg: Path, orientation: int) -> Path:
    """Give a JPEG an EXIF orientation, 1 to 8."""
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0" + tiff + b"\0\0\0\0"
    data = jpeg.read_bytes()
    jpeg.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    return jpeg


def damage(path: Path, begin: float = 0.45, end: float = 0.55) -> Path:
    """Overwrite the part of a file between two fractions of its length with noise."""
    data = bytearray(path.read_bytes())
    a, b = int(len(data) * begin), int(len(data) * end)
    data[a:b] = np.random.default_rng(7).integers(0, 256, b - a, np.uint8).tobytes()
    path.write_bytes(data)
    return path


def truncate(path: Path, share: float) -> Path:
    """Keep only the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def y4m(count: int = 5, size: tuple[int, int] = SIZE, rate: str = "25:1") -> bytes:
    """A YUV4MPEG2 stream, 4:2:0 BT.601, written by hand."""
    head = f"YUV4MPEG2 W{size[0]} H{size[1]} F{rate} Ip A1:1 C420jpeg\n".encode()
    frames = [picture_of(i, "yuv420p", size, SD).to_ndarray().tobytes() for i in range(count)]
    return head + b"".join(b"FRAME\n" + f for f in frames)


def times_of(path: Path) -> list[Fraction]:
    """Presentation times of the first video stream's packets, sorted, in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return sorted(p.pts * p.time_base for p in container.demux(stream) if p.pts is not None)


def packets_of(path: Path, kind: str, index: int = 0) -> list[tuple[Fraction, bytes]]:
    """(time, payload) of each packet of the index-th stream of a kind."""
    with av.open(str(path)) as container:
        stream = [s for s in container.streams if s.type == kind][index]
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.size]


def decode(path: Path, decoder: str | None = None) -> list[av.VideoFrame]:
    """All pictures of a file, by PyAV; decoder: another than FFmpeg's usual one."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if decoder is None:
            return list(container.decode(stream))
        context: Any = av.CodecContext.create(decoder, "r")
        context.extradata = stream.codec_context.extradata
        packets = [*container.demux(stream)]
        return [f for p in packets for f in context.decode(p if p.size else None)]


def ffprobe(path: Path, *entries: str) -> dict[str, Any]:
    """What FFmpeg's own tool, another build than PyAV's, says of a file."""
    if shutil.which("ffprobe") is None:
        missing("needs ffprobe")
    shown = entries or ("-show_streams", "-show_format", "-show_chapters")
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-of", "json", *shown, str(path)],
        capture_output=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
