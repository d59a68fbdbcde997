"""What is timed, each in a process of its own: decode, decode and encode, and vmatte."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import av

from vmatte.allocator import keep_pictures_apart
from vmatte.bench.watch import Watch, until
from vmatte.composite import Composite, parse_background
from vmatte.frames import Frame, StreamInfo
from vmatte.matting import Matter, MatterOptions, Stabilise, load_matter
from vmatte.output import Output
from vmatte.pipeline import Pipeline
from vmatte.runtimes import RuntimeOptions
from vmatte.sinks import Encoding, open_sink
from vmatte.sinks.codecs import CODECS
from vmatte.sources import FrameSource, open_source


def decode(source: str, target: str, preset: str, seconds: float) -> dict[str, Any]:
    """Decode with PyAV; ``target`` and ``preset`` are those of the others and not used."""
    with av.open(source) as reader:
        stream = reader.streams.video[0]
        stream.thread_type = "AUTO"
        watch = Watch()
        frames = sum(1 for _ in until(reader.decode(stream), seconds))
        return watch.stop(frames)


def transcode(source: str, target: str, preset: str, seconds: float) -> dict[str, Any]:
    """Decode and encode with PyAV, nothing between: the ceiling of all that do both."""
    with av.open(source) as reader, av.open(target, "w") as writer:
        stream = reader.streams.video[0]
        stream.thread_type = "AUTO"
        out = encoder(writer, stream, preset)
        watch = Watch()
        frames = 0
        for picture in until(reader.decode(stream), seconds):
            # Else x264 is made to repeat the source's choice of I, P and B pictures.
            picture.pict_type = 0
            writer.mux(out.encode(picture))
            frames += 1
        writer.mux(out.encode(None))
    return watch.stop(frames)


def encoder(writer: Any, source: Any, preset: str) -> Any:
    """Add an H.264 stream for ``source``, in the quality that vmatte has by default."""
    options = {"crf": f"{CODECS['h264'].crf:g}", "preset": preset}
    stream = writer.add_stream("libx264", rate=source.average_rate, options=options)
    stream.width, stream.height, stream.pix_fmt = source.width, source.height, source.pix_fmt
    stream.codec_context.time_base = stream.time_base = source.time_base
    return stream


def matte(
    source: str,
    target: str,
    preset: str,
    seconds: float,
    model: str,
    runtime: dict[str, Any],
    ratio: float | None = None,
    accept_licence: bool = False,
    stabilise: Stabilise = "auto",
) -> dict[str, Any]:
    """Matte as ``vmatte run`` does, on green; loading the model is not counted."""
    reader = open_source(source)
    keep_pictures_apart(reader.info.width * reader.info.height)
    options = MatterOptions(
        runtime=RuntimeOptions(**runtime),
        ratio=ratio,
        accept_licence=accept_licence,
        stabilise=stabilise,
    )
    try:
        matter = load_matter(model, options)
    except BaseException:
        reader.close()
        raise
    return run(reader, target, preset, seconds, matter)


def run(
    reader: FrameSource, target: str, preset: str, seconds: float, matter: Matter[Any]
) -> dict[str, Any]:
    """Matte ``reader`` with ``matter`` for so many seconds, closing both."""
    background = parse_background("green", "cover")
    assert background is not None
    encoding = Encoding(codec="h264", preset=preset)
    output = Output(Composite(background), open_sink(target, encoding, overwrite=True, sound=False))
    try:
        output.open(reader.info)
        size = matter.working_size(*reader.info.size)
        pipeline = Pipeline(_Timed(reader, seconds), matter, [output])
        watch = Watch()
        stats = pipeline.run()
        measured = watch.stop(stats.frames)
    finally:
        reader.close()
        matter.close()
    return {
        **measured,
        "working_size": list(size),
        **asdict(stats.engine),
        "stages_ms": {k: 1e3 * v / stats.frames for k, v in stats.stages.items()},
    }


class _Timed:
    """A source that ends after a while. See FrameSource."""

    def __init__(self, source: FrameSource, seconds: float) -> None:
        self._source, self._seconds = source, seconds

    @property
    def info(self) -> StreamInfo:
        return self._source.info

    @property
    def skipped(self) -> int:
        return self._source.skipped

    def __iter__(self) -> Iterator[Frame]:
        return until(self._source, self._seconds)

    def close(self) -> None:
        self._source.close()
