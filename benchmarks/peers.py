"""What vmatte is compared to, and vmatte without its network. Each runs in a process of its own.

The functions take what those of vmatte.bench.jobs take, see there. The loop of rembg is in
benchmarks/rembg_loop.py, because it runs in another interpreter.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.replay import Replay, record
from vmatte.bench import jobs
from vmatte.bench.watch import Watch, until
from vmatte.evaluation import compare, evaluate, find_clips, pair
from vmatte.matting import MatterOptions, load_matter
from vmatte.runtimes import RuntimeOptions
from vmatte.runtimes.ort import import_onnxruntime
from vmatte.sources import open_source

GREEN = np.array([120, 255, 155], np.float32).reshape(3, 1, 1) / 255


class Recipe:
    """A plain script after RVM's published recipe.

    The whole graph on onnxruntime with its defaults, and pictures as float32 at full size.
    """

    def __init__(self, model: str, longest: int) -> None:
        """Load ``model``; longest: of the sides that its network sees.

        480 gives the ratios that are published for 720p, 1080p and 4K: .375, .25 and .125.
        """
        self._session = import_onnxruntime().InferenceSession(
            model, providers=["CPUExecutionProvider"]
        )
        self._longest = longest
        self._state = [np.zeros((1, 1, 1, 1), np.float32)] * 4

    def step(self, bgr: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return foreground [3, H, W] and alpha [1, H, W]."""
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        src = rgb.astype(np.float32).transpose(2, 0, 1)[None] / 255
        ratio = min(self._longest / max(bgr.shape[:2]), 1.0)
        feeds = {"src": src, "downsample_ratio": np.array([ratio], np.float32)}
        feeds |= {f"r{k}i": r for k, r in enumerate(self._state, 1)}
        names = ["fgr", "pha", "r1o", "r2o", "r3o", "r4o"]
        fgr, pha, *self._state = self._session.run(names, feeds)
        return fgr[0], pha[0]


def recipe(source: str, target: str, preset: str, seconds: float, model: str) -> dict[str, Any]:
    """Matte onto green as the recipe does: ``fgr * pha + bg * (1 - pha)``, in float32."""
    network = Recipe(model, 480)
    with av.open(source) as reader, av.open(target, "w") as writer:
        stream = reader.streams.video[0]
        stream.thread_type = "AUTO"
        out = jobs.encoder(writer, stream, preset)
        watch = Watch()
        frames = 0
        for picture in until(reader.decode(stream), seconds):
            fgr, pha = network.step(np.asarray(picture.to_ndarray(format="bgr24"), np.uint8))
            com = fgr * pha + GREEN * (1 - pha)
            shown = (com * 255).astype(np.uint8).transpose(1, 2, 0)
            result = cv2.cvtColor(shown, cv2.COLOR_RGB2BGR)
            new = av.VideoFrame.from_ndarray(result, format="bgr24")
            new.pts, new.time_base = picture.pts, picture.time_base
            writer.mux(out.encode(new))
            frames += 1
        writer.mux(out.encode(None))
    return watch.stop(frames)


def recipe_mattes(dataset: str, folder: str, frames: int, model: str) -> None:
    """Write the recipe's mattes of the first frames of each video of ``dataset``."""
    for clip in _videos(Path(dataset)):
        # The ratio of the published evaluation.
        network = Recipe(model, 512)
        with av.open(str(clip.video)) as reader:
            pictures = islice(reader.decode(video=0), frames)
            mattes = (
                network.step(np.asarray(p.to_ndarray(format="bgr24")))[1][0] for p in pictures
            )
            save_mattes(Path(folder) / f"{clip.name}.mkv", mattes)


def save_mattes(target: Path, mattes: Iterator[NDArray[np.float32]]) -> None:
    """Write mattes of 0..1 without loss."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(target), "w") as writer:
        out: Any = None
        for matte in mattes:
            gray = (matte.clip(0, 1) * 255 + 0.5).astype(np.uint8)
            if out is None:
                out = writer.add_stream("ffv1", rate=30)
                out.height, out.width, out.pix_fmt = *gray.shape, "gray"
            writer.mux(out.encode(av.VideoFrame.from_ndarray(gray, format="gray")))
        writer.mux(out.encode(None))


def score_mattes(dataset: str, folder: str, frames: int) -> dict[str, Any]:
    """Score what was written: MAD and so on, means over the videos."""
    clips = [pair(Path(folder) / f"{c.name}.mkv", c.alpha) for c in _videos(Path(dataset))]
    return compare(clips, limit=frames).means["videos"].as_dict()


def score(
    dataset: str, frames: int, model: str, runtime: dict[str, Any], **_: Any
) -> dict[str, Any]:
    """Score vmatte as a user gets it, on the first frames of each video of ``dataset``."""
    matter = load_matter(model, MatterOptions(runtime=RuntimeOptions(**runtime)))
    try:
        result = evaluate(matter, _videos(Path(dataset)), limit=frames)
    finally:
        matter.close()
    return result.means["videos"].as_dict()


def keep(source: str, recorded: str, frames: int) -> None:
    """Record the mattes of the bundled model, of the first frames of ``source``."""
    record(load_matter(), open_source(source), Path(recorded), frames)


def replay(source: str, target: str, preset: str, seconds: float, recorded: str) -> dict[str, Any]:
    """Run vmatte with recorded mattes: everything but the network."""
    reader = open_source(source)
    return jobs.run(reader, target, preset, seconds, Replay(Path(recorded)))


def _videos(dataset: Path) -> list[Any]:
    return [c for c in find_clips(dataset) if not c.still]
