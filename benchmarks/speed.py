"""How fast 1080p H.264 in and out is: against a bare transcode, and against RVM's own recipe.

Each variant runs in a process of its own, one after the other, round after round; ratios are taken
within a round and their medians reported. Time begins when the model is loaded. Variants:

    transcode       decode and encode with PyAV, nothing between
    recipe          a plain script after RVM's published recipe
    ort, openvino   vmatte with RVM at its default working size (longer side 512)
    ort.25, ...     the same at the recipe's ratio, .25
    own-ort, ...    vmatte with the bundled model at its default size
    replay          vmatte with RVM, its network replaced by recorded answers at the runtime's seam
    replay-alpha    the same with a model of U²-Net's kind: 320x320, alpha alone, so that the
                    foreground colour is estimated by us

    python -m benchmarks.speed --shared ../shared --preset veryfast
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, arguments, models, table, write
from benchmarks.variants import child

CLIP = "fb_breakdance_white_1080p.mp4"
VARIANTS = (
    *("transcode", "replay", "replay-alpha", "recipe"),
    *("ort.25", "openvino.25", "ort", "openvino", "own-ort", "own-openvino"),
)
KEYS = ("fps", "cpu_ms", "wall_ms", "peak_mb")
GOALS = {
    "fps, ort.25 / recipe": "fps of vmatte over the recipe, onnxruntime, ratio .25",
    "fps, openvino.25 / recipe": "the same, vmatte on OpenVINO",
    "fps, ort / recipe": "vmatte at its default size",
    "fps, openvino / recipe": "vmatte as it comes: >= 3",
    "fps, own-openvino / transcode": "the bundled model as it comes: >= .5 at ultrafast",
    "fps, own-ort / ort": "the bundled model against RVM, both as they come, onnxruntime",
    "fps, own-openvino / openvino": "the same, OpenVINO",
    "cpu, openvino.25 / recipe": "CPU per frame, both at ratio .25",
    "cpu, replay / transcode": "CPU per frame of all but the network: <= 1.5",
    "cpu, replay-alpha / transcode": "the same, foreground estimated",
    "wall, replay / transcode": "time per frame of all but the network",
}


def measure(args: Any, source: Path, folder: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """Yield the measurements of one round after the other."""

    def one(variant: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "benchmarks.speed", "--shared", str(args.shared)]
        command += ["--preset", args.preset, "--child", variant, "--folder", str(folder)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=300)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    one("record")
    for _ in range(args.rounds):
        yield {variant: one(variant) for variant in VARIANTS if variant in args.variants}


def ratios(rounds: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return the median, least and greatest over the rounds of each ratio of GOALS."""
    found: dict[str, dict[str, Any]] = {}
    for name, meaning in GOALS.items():
        kind, _, pair = name.partition(", ")
        ours, other = pair.split(" / ")
        key = {"fps": "fps", "cpu": "cpu_ms", "wall": "wall_ms"}[kind]
        values = [r[ours][key] / r[other][key] for r in rounds if ours in r and other in r]
        if values:
            middle = statistics.median(values)
            found[name] = {
                **{"median": middle, "least": min(values), "greatest": max(values)},
                "meaning": meaning,
            }
    return found


def summary(rounds: list[dict[str, dict[str, Any]]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the medians of each variant, and the ratios."""
    rows = {
        variant: {
            **{k: statistics.median(r[variant][k] for r in rounds) for k in KEYS},
            **{k: v for k, v in last.items() if k not in KEYS},
        }
        for variant, last in rounds[-1].items()
    }
    return rows, ratios(rounds)


def keep(preset: str, results: dict[str, Any]) -> None:
    """Write the results of a preset beside those of others."""
    file = RESULTS / "speed.json"
    presets = json.loads(file.read_text())["presets"] if file.exists() else {}
    write("speed", {"clip": CLIP, "presets": presets | {preset: results}})


def main() -> int:
    """Measure one preset; the results of other presets stay in the file."""
    parser = arguments(__doc__)
    parser.add_argument("--preset", default="veryfast", help="of x264, for every variant")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--child", help="internal: run this variant here")
    parser.add_argument("--folder", type=Path, help="internal")
    args = parser.parse_args()
    source = args.shared / "clips" / CLIP
    if args.child:
        target = args.folder / f"{args.child}.mp4"
        print(json.dumps(child(args.child, source, target, args.preset, args.shared)))
        return 0
    with models(args.shared), tempfile.TemporaryDirectory() as folder:
        rounds = []
        for found in measure(args, source, Path(folder)):
            rounds.append(found)
            print("load", os.getloadavg()[0], {k: round(v["fps"], 1) for k, v in found.items()})
            # After each: a round takes minutes, and may be the last.
            rows, compared = summary(rounds)
            keep(args.preset, {"rounds": len(rounds), "variants": rows, "ratios": compared})
    table(
        ["variant", *KEYS, "size", "engine"],
        [
            [v, *(r[k] for k in KEYS), r.get("size", "-"), r.get("engine", "-")]
            for v, r in rows.items()
        ],
    )
    table(
        ["ratio", "median", "least", "greatest"],
        [[n, r["median"], r["least"], r["greatest"]] for n, r in compared.items()],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
