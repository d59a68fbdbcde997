"""How vmatte batch scales on this machine, and what a piece of its work costs.

One worker kept to one core, one worker on all cores, two workers: the same clips, in turn, several
rounds; workers are started before the clock is. Then the units that benchmarks/simulation.py
computes with: what the coordinator spends on a file and on a piece of work, what a frame of a
warm-up costs. Needs a quiet machine with two cores or more, and five minutes of it.

    python -m benchmarks.scaling && python -m benchmarks.simulation
"""

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.warmup import alphas, pictures
from vmatte.cluster.batch import Batch
from vmatte.cluster.engine import Engine, EngineOptions
from vmatte.cluster.tasks import Setup, find, is_done, prepare
from vmatte.cluster.worker import Worker
from vmatte.job import JobOptions
from vmatte.matting import MatterOptions, load_matter
from vmatte.runtimes import RuntimeOptions
from vmatte.sinks import Encoding

GOAL = 1.6


class Warm(Batch):
    """A batch whose workers have loaded their models before it begins."""

    def begin(self) -> Engine:
        """Start the workers, and wait until each is idle."""
        self._engine = engine = Engine(self._setup, self._options)
        while engine.busy:
            assert not list(engine.wait(1.0))
        return engine


def throughput(setup: Setup, workers: int, cores: set[int]) -> float:
    """Return frames per second of ``workers`` that are kept to ``cores``, less their start."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        batch = Warm(replace(setup, overwrite=True), EngineOptions(workers=workers))
        batch.begin()
        begin, frames = time.perf_counter(), 0
        for result in batch.results():
            assert result.error is None, result.error
            # Ending Ray takes seconds that a long batch does not feel.
            frames, end = frames + result.facts["frames"], time.perf_counter()
        return frames / (end - begin)
    finally:
        os.sched_setaffinity(0, before)


def costs(setup: Setup, clip: Path) -> dict[str, float]:
    """Return seconds: of looking whether a file is done, of dividing a clip, of joining it."""
    tasks = list(find(setup))
    begin = time.perf_counter()
    assert all(is_done(setup, t) for t in tasks)
    look = (time.perf_counter() - begin) / len(tasks)
    with tempfile.TemporaryDirectory() as folder:
        one, files = prepare(str(clip), [folder], setup.job, format=None, overwrite=False)
        worker = Worker(one)
        (task,) = find(one, files)
        begin = time.perf_counter()
        pieces = worker.divide(task, 1.0)["pieces"]
        divide = time.perf_counter() - begin
        for piece in pieces:
            worker.part(task, piece)
        begin = time.perf_counter()
        frames = worker.join(task, pieces)["frames"]
        join = time.perf_counter() - begin
        worker.close()
    # Of so short a clip they say little of a frame: opening files is most of it.
    return {"look": look, "divide": divide, "join": join, "joined_frames": frames}


def asking(setup: Setup, times: int = 50) -> float:
    """Return seconds from handing a worker something to do that takes no time, to its answer."""
    batch = Warm(setup, EngineOptions(workers=1))
    engine = batch.begin()
    try:
        begin = time.perf_counter()
        for _ in range(times):
            engine.submit("load", (), "asked")
            assert list(engine.wait(60.0))
        return (time.perf_counter() - begin) / times
    finally:
        engine.close()


def warming(clip: Path, core: int) -> float:
    """Return seconds of a frame that is decoded and inferred only, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        matter = load_matter(None, MatterOptions(runtime=RuntimeOptions(threads=1)))
        begin = time.perf_counter()
        seen = pictures(clip, matter, 100)
        count = sum(1 for _ in alphas(matter, seen))
        seconds = time.perf_counter() - begin
        matter.close()
        return seconds / count
    finally:
        os.sched_setaffinity(0, before)


def main() -> None:
    """Measure, print and write results/scaling.json."""
    parser: argparse.ArgumentParser = common.arguments(__doc__)
    parser.add_argument("--clip", default="clips/fb_woman_dance_white.mp4")
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    clip: Path = given.shared / given.clip
    variants: dict[str, tuple[int, set[int]]] = {
        "1 worker, 1 core": (1, set(cores[:1])),
        "1 worker, all cores": (1, set(cores)),
        "2 workers, 2 cores": (2, set(cores[:2])),
    }
    found: dict[str, list[float]] = {name: [] for name in variants}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        source.mkdir()
        for i in range(given.files):
            (source / f"{i}.mp4").symlink_to(clip.resolve())
        job = JobOptions(encoding=Encoding(preset="veryfast"))
        setup, _ = prepare(str(source), [f"{folder}/out"], job, format=None, overwrite=False)
        for _ in range(given.rounds):
            for name, (workers, on) in variants.items():
                found[name].append(throughput(setup, workers, on))
                print(name, round(found[name][-1], 2), "fps", flush=True)
        unit: dict[str, Any] = costs(setup, clip)
        unit["ask"], unit["warm"] = asking(setup), warming(clip, cores[0])
    single = found["1 worker, 1 core"]
    ratios = [b / a for a, b in zip(single, found["2 workers, 2 cores"], strict=True)]
    unit["frame"] = 1 / statistics.median(single)
    rows = [[n, statistics.median(v), min(v), max(v)] for n, v in found.items()]
    common.table(["frames per second", "middle", "least", "greatest"], rows)
    print(f"2 workers / 1 single-threaded: {statistics.median(ratios):.2f}, goal {GOAL}")
    print("of one core:", {k: f"{v:.6f} s" for k, v in unit.items() if k != "joined_frames"})
    common.write("scaling", {"fps": found, "ratios": ratios, "goal": GOAL, "seconds": unit})


if __name__ == "__main__":
    main()
