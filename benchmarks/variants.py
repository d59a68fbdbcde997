"""What benchmarks/speed.py compares: each variant, run in this process."""

import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks.common import RVM
from benchmarks.replay import ReplayAlpha, record, replaying
from vmatte.composite import Composite, parse_background
from vmatte.matting import Matter, MatterOptions, load_matter
from vmatte.pipeline import Output, Pipeline
from vmatte.runtimes import RuntimeOptions
from vmatte.sinks import Encoding, open_sink
from vmatte.sources import open_source
from vmatte.stats import peak_memory

GREEN = np.array([120, 255, 155], np.float32).reshape(3, 1, 1) / 255


def recipe(source: Path, target: Path, preset: str, model: Path) -> dict[str, Any]:
    """A plain script after RVM's published recipe, the thing that vmatte is compared to.

    The whole graph on onnxruntime with its defaults, pictures as float32 at full size, ratio .25 as
    published for 1080p, and ``fgr * pha + bg * (1 - pha)`` in float32.
    """
    import onnxruntime as ort

    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    rec = [np.zeros((1, 1, 1, 1), np.float32)] * 4
    ratio = np.array([0.25], np.float32)
    names = ["fgr", "pha", "r1o", "r2o", "r3o", "r4o"]
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = reader.streams.video[0]
        stream.thread_type = "AUTO"
        out = encoder(writer, stream, preset)
        watch = Watch()
        frames = 0
        for picture in reader.decode(stream):
            bgr = picture.to_ndarray(format="bgr24")
            rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
            src = rgb.astype(np.float32).transpose(2, 0, 1)[None] / 255
            feeds = {"src": src, "downsample_ratio": ratio}
            feeds |= {f"r{k}i": r for k, r in enumerate(rec, 1)}
            fgr, pha, *rec = session.run(names, feeds)
            com = fgr[0] * pha[0] + GREEN * (1 - pha[0])
            shown = (com * 255).astype(np.uint8).transpose(1, 2, 0)
            result = cv2.cvtColor(shown, cv2.COLOR_RGB2BGR)
            new = av.VideoFrame.from_ndarray(result, format="bgr24")
            new.pts, new.time_base = picture.pts, picture.time_base
            writer.mux(out.encode(new))
            frames += 1
        writer.mux(out.encode(None))
    measured: dict[str, Any] = watch.stop(frames)
    base = f"{round(stream.width * 0.25)}x{round(stream.height * 0.25)}"
    return {**measured, "size": base, "engine": "onnxruntime fp32"}


def transcode(source: Path, target: Path, preset: str) -> dict[str, Any]:
    """Decode and encode, as vmatte does both."""
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = reader.streams.video[0]
        stream.thread_type = "AUTO"
        out = encoder(writer, stream, preset)
        watch = Watch()
        frames = 0
        for picture in reader.decode(stream):
            # Else x264 is made to repeat the source's choice of I, P and B pictures.
            picture.pict_type = 0
            writer.mux(out.encode(picture))
            frames += 1
        writer.mux(out.encode(None))
    return watch.stop(frames)


def encoder(writer: Any, source: Any, preset: str) -> Any:
    """Add an H.264 stream for ``source`` with the settings that vmatte has by default."""
    options = {"crf": "20", "preset": preset}
    stream = writer.add_stream("libx264", rate=source.average_rate, options=options)
    stream.width, stream.height, stream.pix_fmt = source.width, source.height, "yuv420p"
    stream.codec_context.time_base = stream.time_base = source.time_base
    return stream


class Watch:
    """Wall and CPU seconds of this process from its making on."""

    def __init__(self) -> None:
        """Start."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, frames: int) -> dict[str, Any]:
        """Return what was measured."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        peak = (peak_memory() or 0) / 1e6
        return {
            "frames": frames,
            "fps": frames / wall,
            "cpu_ms": 1e3 * cpu / frames,
            "wall_ms": 1e3 * wall / frames,
            "peak_mb": peak,
        }


def vmatte(source: Path, target: Path, preset: str, matter: Matter[Any]) -> dict[str, Any]:
    """Matte ``source`` as ``vmatte run`` does, on green."""
    reader = open_source(str(source))
    background = parse_background("green", "cover")
    assert background is not None
    output = Output(
        Composite(background), open_sink(str(target), Encoding(preset=preset), overwrite=True)
    )
    output.open(reader.info)
    size = matter.working_size(reader.info.width, reader.info.height)
    pipeline = Pipeline(reader, matter, [output])
    watch = Watch()
    stats = pipeline.run()
    result = watch.stop(stats.frames)
    engine = stats.engine
    matter.close()
    return {
        **result,
        "size": f"{size[0]}x{size[1]}",
        "engine": f"{engine.runtime} {engine.precision}",
        "stages_ms": {k: 1e3 * v / stats.frames for k, v in stats.stages.items()},
    }


def child(variant: str, source: Path, target: Path, preset: str, shared: Path) -> dict[str, Any]:
    """Run one variant in this process."""
    recorded = target.with_name("recorded.npz")
    if variant == "transcode":
        return transcode(source, target, preset)
    if variant == "recipe":
        model = shared / "weights" / "rvm_mobilenetv3_int8w.onnx"
        return recipe(source, target, preset, model)
    if variant == "replay-alpha":
        return vmatte(source, target, preset, ReplayAlpha(recorded, (320, 320)))
    runtime = "openvino" if "openvino" in variant else "onnxruntime"
    options = MatterOptions(
        runtime=RuntimeOptions(runtime=runtime), ratio=0.25 if variant.endswith(".25") else None
    )
    matter = load_matter("vmatte" if variant.startswith("own") else RVM, options)
    if variant == "record":
        record(matter, open_source(str(source)), recorded)
        return {}
    if variant == "replay":
        matter = replaying(matter, recorded)
    return vmatte(source, target, preset, matter)
