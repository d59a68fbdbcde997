"""Is memory flat over a long 1080p clip, and how high does it get?

A clip is repeated to 3,000 frames by copying its packets with later timestamps, then matted onto
green with RVM at a small downsample ratio (to be done soon; pictures in flight are full size). The
process's resident memory is sampled; its slope is fitted from frame 500 on. The peak is that of
short runs at the default working size, each runtime in a process of its own.

    python -m benchmarks.memory --shared ../shared
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RVM, arguments, models, table, write
from vmatte import isolated
from vmatte.bench.clips import repeat
from vmatte.job import JobOptions, matte
from vmatte.matting import MatterOptions
from vmatte.runtimes import RuntimeOptions

CLIP = "fb_breakdance_white_1080p.mp4"
WARM_UP, EVERY = 500, 10
SLOPE, PEAK = 1.0, 700.0
"""Goals: MB per 1,000 frames, MB."""


def resident() -> float:
    """Return the resident memory of this process in MB."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024 / 1e6


def child(clip: str, target: str, runtime: Any, ratio: float | None) -> dict[str, Any]:
    """Matte ``clip`` in this process and return its memory over time."""
    samples: list[tuple[int, float]] = []

    def progress(count: int, _: object) -> None:
        if count % EVERY == 0:
            samples.append((count, resident()))

    matter = MatterOptions(runtime=RuntimeOptions(runtime=runtime), ratio=ratio)
    options = JobOptions(model=RVM, matter=matter, overwrite=True)
    stats = matte(clip, [target], options, progress=progress)
    engine = f"{stats.engine.runtime} {stats.engine.precision}"
    peak = (stats.peak_memory or 0) / 1e6
    return {"engine": engine, "frames": stats.frames, "peak_mb": peak, "samples": samples}


def slope(samples: list[tuple[int, float]]) -> dict[str, float]:
    """Return MB per 1,000 frames after the warm-up, with its standard error, fitted by a line."""
    late = np.array([s for s in samples if s[0] >= WARM_UP], float)
    x, y = late[:, 0] / 1000, late[:, 1]
    (gain, _), covariance = np.polyfit(x, y, 1, cov=True)
    half = len(y) // 2
    return {
        "mb_per_1000_frames": float(gain),
        "standard_error": float(covariance[0, 0] ** 0.5),
        "median_first_half_mb": float(np.median(y[:half])),
        "median_second_half_mb": float(np.median(y[half:])),
    }


def main() -> int:
    """Measure, print, write and judge."""
    parser = arguments(__doc__)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--ratio", type=float, default=0.1, help="of the long run")
    args = parser.parse_args()

    def run(clip: Path, runtime: str, ratio: float | None) -> dict[str, Any]:
        target = str(clip.with_name("out.mp4"))
        given = {"clip": str(clip), "target": target, "runtime": runtime, "ratio": ratio}
        found: dict[str, Any] = isolated.call("benchmarks.memory:child", given, name="memory")
        return found

    with models(args.shared), tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.mp4", Path(folder) / "long.mp4"
        repeat(args.shared / "clips" / CLIP, short, 180)
        repeat(args.shared / "clips" / CLIP, long, args.frames)
        runs = {
            "long, small ratio": run(long, "auto", args.ratio),
            "short, openvino": run(short, "openvino", None),
            "short, onnxruntime": run(short, "onnxruntime", None),
        }
    samples = runs["long, small ratio"]["samples"]
    fitted = slope(samples)
    keys = ("engine", "frames", "peak_mb")
    table(["run", *keys], [[name, *(r[k] for k in keys)] for name, r in runs.items()])
    table(["long run", ""], list(fitted.items()))
    kept = {name: {k: r[k] for k in keys} for name, r in runs.items()}
    coarse = [s for s in samples if s[0] % 100 == 0]
    write("memory", {"clip": CLIP, "runs": kept, "slope": fitted, "samples": coarse})
    good = fitted["mb_per_1000_frames"] < SLOPE and all(r["peak_mb"] < PEAK for r in runs.values())
    print("flat and below the limit" if good else f"goals: slope < {SLOPE}, peak < {PEAK} MB")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
