"""Do the models score in vmatte what they score elsewhere? Exits 1 where a limit is missed.

RVM at fp32 on onnxruntime, U²-Net on OpenVINO, and the small per-frame models, over the seven
videos with true mattes, as ``vmatte evaluate`` does it: default refinement, or with --raw also the
models' own mattes enlarged bilinearly. Takes some minutes on two cores.

    python -m benchmarks.correctness --shared ../shared
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, RVM, arguments, models, table, write
from vmatte.evaluation import RAW, evaluate, find_clips
from vmatte.matting import MatterOptions, load_matter
from vmatte.metrics import LABELS
from vmatte.refine import RefineOptions
from vmatte.runtimes import RuntimeOptions

ORT32 = RuntimeOptions(runtime="onnxruntime", precision="fp32")
MODELS = {
    RVM: ORT32,
    "u2net": RuntimeOptions(runtime="openvino"),
    "pphumanseg_shared": ORT32,
    "mediapipe_selfie": ORT32,
    "mediapipe_selfie_landscape": ORT32,
}

LIMITS = {RVM: {"mad": 6.2, "mse": 2.2, "grad": 1.3, "dtssd": 3.3}}
"""At most; the whole RVM graph with its own refiner scores 5.88 / 1.99 / 1.16 / 3.15."""

REFERENCE = {
    "u2net": {"mad": 26.8, "mse": 20.3, "grad": 3.10, "dtssd": 5.83, "iou": 0.877},
    "pphumanseg_shared": {"mad": 25.5, "mse": 11.4, "grad": 4.20, "dtssd": 5.39, "iou": 0.903},
    "mediapipe_selfie": {"mad": 28.0, "mse": 16.6, "grad": 4.97, "dtssd": 6.26, "iou": 0.877},
    "mediapipe_selfie_landscape": {
        "mad": 29.7,
        "mse": 17.0,
        "grad": 4.62,
        "dtssd": 6.13,
        "iou": 0.888,
    },
}
"""The rows of the shared README, measured outside vmatte; u2net must be no worse."""


def score(name: str, runtime: RuntimeOptions, shared: Path, refinement: RefineOptions) -> Any:
    """Return the means over the videos of the true mattes, and what ran."""
    clips = [c for c in find_clips(shared / "gt") if not c.still]
    matter = load_matter(name, MatterOptions(runtime=runtime, stabilise="off"))
    try:
        result = evaluate(matter, clips, refinement)
    finally:
        matter.close()
    engine = matter.engine
    return {
        "runtime": f"{engine.runtime} {engine.provider} {engine.precision}",
        "videos": len(result.clips),
        **result.means["videos"].as_dict(),
        "clips": {c.name: c.means.as_dict() for c in result.clips},
    }


def missed(name: str, row: dict[str, Any]) -> list[str]:
    """Return the limits that ``row`` misses, in words."""
    found = [
        f"{name}: {LABELS[k]} is {row[k]:.3f}, at most {limit} is wanted"
        for k, limit in LIMITS.get(name, {}).items()
        if row[k] > limit
    ]
    if name == "u2net":
        # Half a unit of the last digit that the reference gives is not worse.
        for k, (slack, sign) in {
            "mad": (0.05, 1),
            "mse": (0.05, 1),
            "grad": (0.005, 1),
            "dtssd": (0.005, 1),
            "iou": (0.0005, -1),
        }.items():
            if (row[k] - REFERENCE[name][k]) * sign > slack:
                found.append(f"{name}: {LABELS[k]} is {row[k]:.3f}, was {REFERENCE[name][k]}")
    return found


def main() -> int:
    """Score, print, write and judge."""
    parser = arguments(__doc__)
    parser.add_argument("--raw", action="store_true", help="also without refinement")
    parser.add_argument(
        "--model", choices=MODELS, help="only this one; the others stay in the file"
    )
    args = parser.parse_args()
    refinements = {"refined": RefineOptions()} | ({"raw": RAW} if args.raw else {})
    rows: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    scores = ("mad", "mse", "grad", "conn", "dtssd", "iou")
    with models(args.shared):
        for name, runtime in MODELS.items():
            if args.model not in (None, name):
                continue
            for kind, refinement in refinements.items():
                row = score(name, runtime, args.shared, refinement)
                rows[f"{name}, {kind}"] = row
                if kind == "refined":
                    problems += missed(name, row)
                print(name, kind, *(f"{row[k]:.3f}" for k in scores), file=sys.stderr)
    head = ["model", "runtime", *(LABELS[s] for s in scores)]
    lines = [[n, r["runtime"], *(r[s] for s in scores)] for n, r in rows.items()]
    lines += [
        [f"{n}, reference", "", *(r.get(s) for s in scores)]
        for n, r in REFERENCE.items()
        if args.model in (None, n)
    ]
    table(head, lines)
    print(*(problems or ["every limit is kept"]), sep="\n")
    file = RESULTS / "correctness.json"
    if args.model is not None and file.exists():
        rows = json.loads(file.read_text())["rows"] | rows
    write("correctness", {"rows": rows, "limits": LIMITS, "reference": REFERENCE})
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
