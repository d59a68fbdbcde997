"""Is memory flat over 1,000 pictures?

Real pictures of many sizes and shapes go through ``vmatte image`` as a user runs it, a folder with
the cache on; the process's resident memory is read from outside after each. A line is fitted from
picture 200 on. Exits 1 where it rises by more than 5 MB per 1,000 pictures.

    python -m benchmarks.image_memory --shared ../shared
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import arguments, table, write

WARM_UP = 200
SLOPE = 5.0
"""Goal: MB per 1,000 pictures."""


def resident(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["VmRSS"].split()[0]) * 1024 / 1e6


def measure(photos: Path, target: Path, model: str) -> tuple[list[float], dict[str, Any]]:
    """Return MB after each picture, and the summary."""
    command = [sys.executable, "-m", "vmatte", "image", photos, "-o", target]
    command += ["--model", model, "--json"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(target / "cache")}
    samples: list[float] = []
    summary: dict[str, Any] = {}
    with subprocess.Popen(
        [str(c) for c in command], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            event = json.loads(line)
            if event["event"] == "picture":
                samples.append(resident(process.pid))
            else:
                summary = event
    if process.returncode or summary.get("done") != len(samples):
        raise SystemExit(f"vmatte image failed: {summary}")
    return samples, summary


def main() -> int:
    """Measure, print, write and judge."""
    parser = arguments(__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--model", default="vmatte")
    args = parser.parse_args()
    files = sorted(p for p in (args.shared / "train" / "people").rglob("*") if p.suffix == ".jpg")
    # Spread over the folders, whose pictures have sizes of their own.
    chosen = files[:: max(1, len(files) // args.count)][: args.count]
    random.Random(0).shuffle(chosen)
    with tempfile.TemporaryDirectory(prefix="vmatte-images-") as name:
        photos = Path(name) / "photos"
        photos.mkdir()
        for n, path in enumerate(chosen):
            (photos / f"{n:04}.jpg").symlink_to(path.resolve())
        samples, summary = measure(photos, Path(name) / "cut", args.model)
    late = np.array([(n, mb) for n, mb in enumerate(samples, 1) if n > WARM_UP])
    (gain, _), covariance = np.polyfit(late[:, 0] / 1000, late[:, 1], 1, cov=True)
    row = {
        "pictures": len(samples),
        "peak_mb": max(samples),
        "mb_per_1000_pictures": float(gain),
        "standard_error": float(covariance[0, 0] ** 0.5),
        "median_first_half_mb": float(np.median(late[: len(late) // 2, 1])),
        "median_second_half_mb": float(np.median(late[len(late) // 2 :, 1])),
    }
    table([f"vmatte image, {args.model}", ""], list(row.items()))
    engine = {k: summary[k] for k in ("model", "runtime", "precision")}
    write("image_memory", {"engine": engine, **row, "samples": samples[::20]})
    good = row["mb_per_1000_pictures"] < SLOPE
    print("flat" if good else f"goal: a slope below {SLOPE} MB per 1,000 pictures")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
