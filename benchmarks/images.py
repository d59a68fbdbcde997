"""A batch of pictures of 12 MP with U²-Net: vmatte against a loop over rembg, and the cache.

Pictures: the stills of gt, enlarged to 4000x3000 and written as JPEG. Both read files and write PNG
cut-outs, with the same weights and the same number of threads, in turn, a process each; vmatte's
time has the start of Python and the loading of the model in it, rembg's has not. rembg lives in an
environment of its own, for it wants other packages:

    python -m venv REMBG && REMBG/bin/pip install 'rembg[cpu]'
    python -m benchmarks.images --shared ../shared --rembg REMBG/bin/python

Exits 1 where a goal is missed: 1.3 times the throughput of rembg on onnxruntime, at equal or better
F-score on the stills of gt; a cached second run 50 times as fast as the first.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.common import arguments, table, write
from benchmarks.known import stills
from vmatte.metrics import f_score
from vmatte.registry import Store, load_registry

SIZE = (4000, 3000)

LOOP = """
import sys, time
from pathlib import Path
import onnxruntime as ort
from PIL import Image
from rembg import new_session, remove
session = new_session("u2net", providers=["CPUExecutionProvider"])
begin = time.perf_counter()
for path in sorted(Path(sys.argv[1]).iterdir()):
    with Image.open(path) as image:
        remove(image, session=session).save(Path(sys.argv[2]) / (path.stem + ".png"))
print(time.perf_counter() - begin)
"""
"""What rembg's own documentation shows for a folder: one session, one picture after the other."""


def rembg(python: Path, weights: Path, threads: int, source: Path, target: Path) -> float:
    """Return the seconds that rembg takes, without loading the model."""
    home = weights.parent
    environment = {**os.environ, "U2NET_HOME": str(home), "OMP_NUM_THREADS": str(threads)}
    environment["MODEL_CHECKSUM_DISABLED"] = "1"
    environment.pop("PYTHONPATH", None)
    return float(_run([python, "-c", LOOP, source, target], environment).split()[-1])


def ours(runtime: str, threads: int, cache: Path | None, source: Path, target: Path) -> float:
    """Return the seconds that vmatte takes, loading the model included."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)} if cache else dict(os.environ)
    command: list[Any] = [sys.executable, "-m", "vmatte", "image", source, "-o", target]
    command += ["--model", "u2net", "--runtime", runtime, "--threads", threads, "--quiet"]
    command += [] if cache else ["--no-cache"]
    begin = time.perf_counter()
    _run(command, environment)
    return time.perf_counter() - begin


def _run(command: list[Any], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [str(c) for c in command], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def scored(folder: Path, truths: dict[str, Any]) -> float:
    """Return the mean F-score of the cut-outs' alpha."""
    found = []
    for name, true in truths.items():
        image = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        found.append(f_score(image[:, :, 3].astype(np.float32) / np.float32(255), true))
    return statistics.mean(found)


def main() -> int:
    """Measure, print, write and judge."""
    parser = arguments(__doc__)
    parser.add_argument("--rembg", type=Path, required=True, help="python that has rembg")
    parser.add_argument("--count", type=int, default=12, help="pictures; the goal is of 100")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    weights = Store().locate(load_registry().get("u2net"))
    if weights is None:
        raise SystemExit("u2net is not here; vmatte models pull u2net")
    ways = ("rembg", "vmatte, onnxruntime", "vmatte, openvino")
    seconds: dict[str, list[float]] = {w: [] for w in ways}
    with tempfile.TemporaryDirectory(prefix="vmatte-images-") as name:
        root = Path(name)
        photos, small = root / "photos", root / "small"
        photos.mkdir()
        small.mkdir()
        truths = {}
        known = list(stills(args.shared))
        for n, (_, rgb, alpha) in enumerate(known):
            truths[f"{n:03}"] = alpha
            cv2.imwrite(str(small / f"{n:03}.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        for n, (_, rgb, _) in enumerate(islice(cycle(known), args.count)):
            large = cv2.resize(rgb, SIZE, interpolation=cv2.INTER_CUBIC)
            large = np.roll(large, 7 * n, 1)  # no two are the same, for the cache
            cv2.imwrite(str(photos / f"{n:03}.jpg"), cv2.cvtColor(large, cv2.COLOR_RGB2BGR))

        def run(way: str, source: Path, target: Path, cache: Path | None = None) -> float:
            target.mkdir()
            if way == "rembg":
                return rembg(args.rembg, weights, args.threads, source, target)
            return ours(way.split()[-1], args.threads, cache, source, target)

        scores = {}
        for way in ways:
            run(way, small, root / f"scored {way}")
            scores[way] = scored(root / f"scored {way}", truths)
        for n in range(args.rounds):
            for way in ways:
                seconds[way].append(run(way, photos, root / f"{n} {way}"))
                print(way, f"{args.count / seconds[way][-1]:.2f} pictures/s", flush=True)
        first = run(ways[1], photos, root / "first", root / "cache")
        again = run(ways[1], photos, root / "again", root / "cache")
        start = run(ways[1], photos / "000.jpg", root / "start", root / "cache")
    rows: dict[str, Any] = {}
    for way in ways:
        ratios = [a / b for a, b in zip(seconds["rembg"], seconds[way], strict=True)]
        middle = statistics.median(ratios)
        rate = args.count / statistics.median(seconds[way])
        rows[way] = {"pictures/s": rate, "ratio": middle, "ratios": ratios, "F": scores[way]}
    rows["cached"] = {"first": first, "again": again, "start": start, "ratio": first / again}
    write("images", {"rows": rows, "count": args.count, "threads": args.threads})
    table(
        ["U²-Net, 12 MP", "pictures/s", "times rembg", "F on gt"],
        [[w, rows[w]["pictures/s"], rows[w]["ratio"], rows[w]["F"]] for w in ways],
    )
    print(f"cached: {json.dumps(rows['cached'])}")
    ours_row = rows[ways[1]]
    problems = []
    if ours_row["ratio"] < 1.3:
        problems.append(f"throughput {ours_row['ratio']:.2f} times rembg's; 1.3 is wanted")
    if ours_row["F"] < scores["rembg"]:
        problems.append(f"F {ours_row['F']:.4f} against rembg's {scores['rembg']:.4f}")
    if first / again < 50:
        problems.append(f"the cached run is {first / again:.0f} times as fast; 50 is wanted")
    print(*(problems or ["every goal is reached"]), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
