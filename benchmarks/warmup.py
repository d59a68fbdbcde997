"""How many frames a model must see before a cut, so that nobody sees the cut.

A video that is divided over workers (vmatte batch --split) is matted in parts, each begun on some
frames before it. Here a second run begins with an empty memory in the middle of a clip, and its
alpha is compared with that of the run from the beginning, frame by frame: after N frames it is what
a part would have that was warmed up on N. Alpha at the working size, 0..1; the seam is to be within
1e-3 (mean absolute difference of a frame). Exits with 1 where the registry asks for
fewer.

    python -m benchmarks.warmup                                       # the default model, 3 minutes
    python -m benchmarks.warmup --models vmatte,rvm_shared --runtime onnxruntime
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import common
from vmatte.composite.hdr import srgb
from vmatte.matting import Matter, MatterOptions, load_matter, warmup_of
from vmatte.runtimes import RuntimeOptions
from vmatte.sources import open_source

CLIPS = (
    "clips/fb_walk_in_out_24s.mp4",
    "clips/fb_breakdance_white_1080p.mp4",
    "clips/hb_man_longhair_wind_sky.mp4",
    "clips/hb_woman_plants_room.mp4",
    "clips/th_selfie_man_glasses_mall.mp4",
    "clips/th_woman_yellowwall.mp4",
    "gt/mdn_b/moving.mp4",
    "gt/motion_a/moving.mp4",
)
SEAM = 1e-3


def pictures(path: Path, matter: Matter[Any], count: int) -> list[NDArray[np.uint8]]:
    """Return what the model sees of the first ``count`` frames."""
    source = open_source(str(path))
    try:
        size = matter.working_size(source.info.width, source.info.height)
        return [srgb(frame, size, matter.engine.scaling) for frame in islice(source, count)]
    finally:
        source.close()


def alphas(matter: Matter[Any], seen: list[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
    """Yield alpha of each, from an empty memory on."""
    state = matter.start(seen[0].shape[1], seen[0].shape[0])
    for rgb in seen:
        matte, state = matter.step(rgb, state)
        yield matte.alpha


def needed(curve: list[float]) -> int | None:
    """Return after how many frames the difference stays below SEAM; None where it does not."""
    over = [i for i, d in enumerate(curve) if d >= SEAM]
    after = over[-1] + 1 if over else 0
    return after if after < len(curve) - 8 else None


def main() -> None:
    """Measure, print and write results/warmup.json."""
    parser = common.arguments(__doc__)
    parser.add_argument("--models", default="vmatte", help=f"such as vmatte,{common.RVM}")
    parser.add_argument("--clips", type=int, default=len(CLIPS), help="how many of them")
    parser.add_argument("--frames", type=int, default=360, help="of each clip")
    parser.add_argument("--starts", type=int, default=2, help="cuts in each clip")
    parser.add_argument("--length", type=int, default=280, help="frames compared after each cut")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--precision", default="auto")
    given = parser.parse_args()
    options = MatterOptions(
        runtime=RuntimeOptions(runtime=given.runtime, precision=given.precision)
    )
    found: dict[str, Any] = {}
    short = []
    with common.models(given.shared):
        for name in given.models.split(","):
            matter = load_matter(name, options)
            print(matter.engine, flush=True)
            curves: dict[str, list[float]] = {}
            for clip in CLIPS[: given.clips]:
                curves |= compared(matter, given.shared / clip, clip, given)
                frames = [needed(c) for k, c in curves.items() if k.startswith(clip)]
                print(name, clip, ["more" if f is None else f for f in frames], flush=True)
            engine = asdict(matter.engine)
            matter.close()
            asked = warmup_of(name, options)
            most = [needed(c) for c in curves.values()]
            wanted = None if None in most else max(f for f in most if f is not None)
            print(f"{name}: {wanted or 'more'} frames needed at most; the registry has {asked}")
            if wanted is None or wanted > asked:
                short.append(name)
            after = {n: worst(curves, n) for n in (0, 4, 8, 16, 32, 64, 96, 128, 192, 240)}
            found[name] = {
                "engine": engine,
                "needed": {k: needed(c) for k, c in curves.items()},
                "most": wanted,
                "registry": asked,
                "worst_after": after,
            }
    rows = [[m, *r["worst_after"].values()] for m, r in found.items()]
    common.table(["worst difference after", *map(str, after)], rows)
    common.write("warmup", found)
    if short:
        sys.exit(f"too few warm-up frames in models/registry.toml: {', '.join(short)}")


def compared(
    matter: Matter[Any], path: Path, name: str, given: argparse.Namespace
) -> dict[str, list[float]]:
    """Return, for each cut in a clip, the difference of every frame after it."""
    seen = pictures(path, matter, given.frames)
    whole = [*alphas(matter, seen)]
    last = max(len(seen) - given.length, len(seen) // 3)
    curves = {}
    for start in sorted({int(s) for s in np.linspace(len(seen) // 6, last, given.starts)}):
        part = alphas(matter, seen[start : start + given.length])
        curves[f"{name} {start}"] = [
            float(np.abs(a - b).mean()) for a, b in zip(part, whole[start:], strict=False)
        ]
    return curves


def worst(curves: dict[str, list[float]], after: int) -> float | None:
    """Return the largest difference of any frame that has ``after`` or more behind it."""
    return max((d for c in curves.values() for d in c[after:]), default=None)


if __name__ == "__main__":
    main()
