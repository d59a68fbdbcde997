"""The bundled network beside RVM's, alone: python -m benchmarks.network --shared ../shared.

Time of a frame in the model itself, on the pictures of a 1080p clip at each model's default working
size, all cores, in rounds that alternate: no decoding, refinement, compositing or encoding. RVM is
cut before its refiner, as vmatte runs it; its own code computes more. Ratios are taken within a
round; goal 3. Exits with 1 where the median misses it.
"""

import statistics
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks import common
from benchmarks.warmup import alphas, pictures
from vmatte.matting import Matter, MatterOptions, load_matter
from vmatte.runtimes import RuntimeOptions

CLIP = "clips/fb_breakdance_white_1080p.mp4"
MODELS = ("vmatte", common.RVM)
PRECISIONS: dict[str, Literal["fp32", "bf16"]] = {"onnxruntime": "fp32", "openvino": "bf16"}
FRAMES, ROUNDS = 30, 7
GOAL = 3.0


def milliseconds(matter: Matter[Any], seen: list[NDArray[np.uint8]]) -> float:
    """Return the time of a frame, from an empty memory on."""
    begin = time.perf_counter()
    for _ in alphas(matter, seen):
        pass
    return (time.perf_counter() - begin) * 1e3 / len(seen)


def compare(clip: Path, runtime: Any) -> dict[str, Any]:
    """Return both models' times and the ratios of each round; the first round warms up."""
    options = MatterOptions(runtime=RuntimeOptions(runtime=runtime, precision=PRECISIONS[runtime]))
    matters = [load_matter(name, options) for name in MODELS]
    seen = [pictures(clip, matter, FRAMES) for matter in matters]
    rounds = [
        [milliseconds(m, s) for m, s in zip(matters, seen, strict=True)] for _ in range(ROUNDS + 1)
    ][1:]
    for matter in matters:
        matter.close()
    ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratios = sorted(rvm / own for own, rvm in rounds)
    sizes = [f"{s[0].shape[1]}x{s[0].shape[0]}" for s in seen]
    return {
        **{"runtime": runtime, "ours_ms": ours, "rvm_ms": theirs, "sizes": sizes},
        **{"ratio": statistics.median(ratios), "least": ratios[0], "greatest": ratios[-1]},
    }


def main() -> int:
    args = common.arguments(__doc__).parse_args()
    with common.models(args.shared):
        rows = [compare(args.shared / CLIP, runtime) for runtime in PRECISIONS]
    shown = ("runtime", "ours_ms", "rvm_ms", "ratio", "least", "greatest")
    common.table(shown, [[r[k] for k in shown] for r in rows])
    common.write("network", {"clip": CLIP, "frames": FRAMES, "rounds": ROUNDS, "rows": rows})
    return int(any(r["ratio"] < GOAL for r in rows))


if __name__ == "__main__":
    sys.exit(main())
