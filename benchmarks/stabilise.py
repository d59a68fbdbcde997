"""What the stabiliser and the one-frame-delay rule are worth, to models that see one frame.

Flicker (dtSSD) and error (MAD) over the seven videos with true mattes, as ``vmatte evaluate`` does
it, default refinement. Exits 1 where a goal is missed: with the stabiliser, dtSSD at least 30 %
lower and MAD not higher, for U²-Net and MediaPipe, than as their own code runs them: U²-Net's
squeezes each picture to a square ("squeezed"), vmatte keeps its shape.

A missing hand that moves with the subject counts as flicker in every frame. What it makes of the
model's own errors, moved along and changed in nothing else, is "least": what a stabiliser would
leave that made them perfectly steady but corrected none.

    python -m benchmarks.stabilise --shared ../shared
"""

import json
import sys
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Any

import cv2
import numpy as np

from benchmarks.common import RESULTS, arguments, models, table, write
from benchmarks.replay import Remembered
from vmatte.evaluation import Clip, evaluate, find_clips, read_alpha
from vmatte.matting import Matter, MatterOptions, build_matter, load_matter
from vmatte.matting.motion import carry, follow
from vmatte.matting.stabilise import StabilisedMatter
from vmatte.metrics import dtssd
from vmatte.registry import Store, load_registry
from vmatte.runtimes import RuntimeOptions
from vmatte.sources import open_source

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
            ways: dict[str, tuple[Matter[Any], bool]] = {
                "off": (matter, False),
                "flow": (StabilisedMatter(matter), False),
                "delay": (matter, True),
                "flow, delay": (StabilisedMatter(matter), True),
            }
            for way, (worn, delay) in ways.items():
                found[way] = scores(worn, clips, args.limit, delay)
            least = carried_error(matter, clips, args.limit)
            matter.close()
            if load_registry().get(name).params.get("keep_aspect"):
                found["squeezed"] = scores(squeezed(name, options), clips, args.limit)
            published = found.get("squeezed", found["off"])
            change = {s: found["flow"][s] / published[s] - 1 for s in ("mad", "dtssd")}
            rows[name] = {**found, "change": change, "least": least, "limit": args.limit}
            if name in GOALS and change["dtssd"] > -0.3:
                problems.append(f"{name}: dtSSD {change['dtssd']:+.1%}, -30 % is wanted")
            if name in GOALS and change["mad"] > 0:
                problems.append(f"{name}: MAD {change['mad']:+.1%}, it may not rise")
            write("stabilise", {"rows": rows})
    lines = [
        [f"{n}, {w}", *(r[w][s] for s in SCORES)]
        for n, r in rows.items()
        for w in ("squeezed", "off", "flow", "delay", "flow, delay")
        if w in r
    ]
    table(["model, stabilised", *SCORES], lines)
    for name, row in rows.items():
        if least := row.get("least"):
            change = least["moved"] / least["dtssd"] - 1
            print(f"{name}: at the working size, not refined, dtSSD {change:+.1%} is the least")
    print(*(problems or ["every goal is reached"]), sep="\n")
    return 1 if problems else 0


def scores(
    matter: Matter[Any], clips: list[Clip], limit: int | None, delay: bool = False
) -> dict[str, Any]:
    """Return the means over the videos, and what each of them has."""
    result = evaluate(matter, clips, limit=limit, delay_one=delay)
    engine = result.engine
    assert engine is not None
    return {
        **{s: getattr(result.means["videos"], s) for s in SCORES},
        "clips": {c.name: {"mad": c.means.mad, "dtssd": c.means.dtssd} for c in result.clips},
        "runtime": f"{engine.runtime} {engine.precision}",
    }


def carried_error(matter: Matter[Any], clips: list[Clip], limit: int | None) -> dict[str, float]:
    """Return the mean dtSSD of the mattes as they are, and of their errors only moved along.

    At the working size, not refined; the motion is read with the true mattes.
    """
    means = []
    for clip in clips:
        found, before, state = [], None, None
        with (
            closing(open_source(str(clip.video))) as video,
            closing(open_source(str(clip.alpha))) as truth,
        ):
            for frame, mask in islice(zip(video, truth, strict=True), limit):
                size = matter.working_size(frame.width, frame.height)
                state = matter.start(*size) if state is None else state
                rgb = frame.rgb(size, matter.engine.scaling)
                matte, state = matter.step(rgb, state)
                true = cv2.resize(read_alpha(mask), size, interpolation=cv2.INTER_AREA)
                if before is not None:
                    rgb_before, alpha_before, true_before = before
                    place, _ = follow(rgb, rgb_before, true, true_before)
                    error = alpha_before - true_before
                    moved = carry(error, place) - error
                    flicker = dtssd(matte.alpha, alpha_before, true, true_before)
                    found.append((flicker, 100 * np.sqrt(np.mean(np.square(moved)))))
                before = rgb.copy(), matte.alpha, true
        means.append(np.mean(found, 0))
    flicker, moved = np.mean(means, 0)
    return {"dtssd": float(flicker), "moved": float(moved)}


def squeezed(name: str, options: MatterOptions) -> Matter[Any]:
    """Load a model as its own code runs it."""
    record = load_registry().get(name)
    path = Store().locate(record)
    assert path is not None
    return build_matter(
        replace(record, params={**record.params, "keep_aspect": False}), path, options
    )


if __name__ == "__main__":
    sys.exit(main())
