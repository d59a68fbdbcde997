"""What the stabiliser and the one-frame-delay rule are worth, to models that see one frame.

Flicker (dtSSD) and error (MAD) over the seven videos with true mattes, as ``vmatte evaluate`` does
it, default refinement. Exits 1 where a goal is missed: with the stabiliser, dtSSD at least 30 %
lower and MAD not higher, for U²-Net and MediaPipe.

    python -m benchmarks.stabilise --shared ../shared
"""

import json
import sys
from typing import Any

from benchmarks.common import RESULTS, arguments, models, table, write
from benchmarks.replay import Remembered
from vmatte.evaluation import evaluate, find_clips
from vmatte.matting import MatterOptions, load_matter
from vmatte.matting.stabilise import StabilisedMatter
from vmatte.runtimes import RuntimeOptions

MODELS = ("u2net", "mediapipe_selfie", "mediapipe_selfie_landscape", "pphumanseg_shared")
GOALS = ("u2net", "mediapipe_selfie", "mediapipe_selfie_landscape")
SCORES = ("mad", "mse", "grad", "dtssd", "iou")


def main() -> int:
    """Score, print, write and judge."""
    parser = arguments(__doc__)
    parser.add_argument("--model", choices=MODELS, help="only this one; others stay in the file")
    parser.add_argument("--limit", type=int, help="only the first frames of each clip")
    args = parser.parse_args()
    file = RESULTS / "stabilise.json"
    rows: dict[str, Any] = json.loads(file.read_text())["rows"] if file.exists() else {}
    problems = []
    with models(args.shared):
        clips = [c for c in find_clips(args.shared / "gt") if not c.still]
        for name in MODELS if args.model is None else (args.model,):
            found = {}
            options = MatterOptions(runtime=RuntimeOptions(), stabilise="off")
            # The network runs once: U²-Net takes its time.
            matter = Remembered(load_matter(name, options), len(clips))
            ways = {
                "off": (matter, False),
                "flow": (StabilisedMatter(matter), False),
                "delay": (matter, True),
                "flow, delay": (StabilisedMatter(matter), True),
            }
            for way, (worn, delay) in ways.items():
                result = evaluate(worn, clips, limit=args.limit, delay_one=delay)
                found[way] = {s: getattr(result.means["videos"], s) for s in SCORES}
                found[way]["clips"] = {
                    c.name: {"mad": c.means.mad, "dtssd": c.means.dtssd} for c in result.clips
                }
                engine = result.engine
                assert engine is not None
                found[way]["runtime"] = f"{engine.runtime} {engine.precision}"
            matter.close()
            change = {s: found["flow"][s] / found["off"][s] - 1 for s in ("mad", "dtssd")}
            rows[name] = {**found, "change": change, "limit": args.limit}
            if name in GOALS and change["dtssd"] > -0.3:
                problems.append(f"{name}: dtSSD {change['dtssd']:+.1%}, -30 % is wanted")
            if name in GOALS and change["mad"] > 0:
                problems.append(f"{name}: MAD {change['mad']:+.1%}, it may not rise")
            write("stabilise", {"rows": rows})
    lines = [
        [f"{n}, {w}", *(r[w][s] for s in SCORES)]
        for n, r in rows.items()
        for w in ("off", "flow", "delay", "flow, delay")
        if w in r
    ]
    table(["model, stabilised", *SCORES], lines)
    print(*(problems or ["every goal is reached"]), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
