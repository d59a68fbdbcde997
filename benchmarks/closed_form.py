"""What closed-form matting is worth on stills: error and time of every --refine.

Mattes of u2net, at full size against the truth; and true mattes shrunk to 512 pixels, as a perfect
model would give them. Pictures whose edge is over the limit are left out of all rows.

    python -m benchmarks.closed_form --shared ../shared
"""

import sys
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np

from benchmarks.common import arguments, models, table, write
from benchmarks.known import shrunk, stills
from benchmarks.refinement import working
from vmatte.errors import InputError
from vmatte.frames import from_array
from vmatte.images.cut import infer
from vmatte.matting import Matte, load_matter
from vmatte.metrics import grad, mad
from vmatte.refine import Method, RefineOptions, refine

Row = list[float]


def scored(rgb: Any, truth: Any, size: tuple[int, int], matter: Any) -> dict[str, Row] | None:
    """Return MAD, Grad and seconds of each method, None where one cannot be had.

    matter: None stands for a perfect model.
    """
    frame = from_array(rgb, "rgb24")
    seen = frame.rgb(size)
    matte = Matte(shrunk(truth, size)) if matter is None else infer(matter, seen)
    found: dict[str, Row] = {}
    for method in get_args(Method):
        begin = time.perf_counter()
        try:
            full = refine(frame, seen, matte, RefineOptions(method=method, decontaminate=False))
        except InputError as e:
            print(f"left out, {rgb.shape[1]}x{rgb.shape[0]}: {e}", file=sys.stderr)
            return None
        seconds = time.perf_counter() - begin
        alpha = full.values()
        found[method] = [mad(alpha, truth), grad(alpha, truth), seconds]
    return found


def measured(shared: Path) -> dict[str, Any]:
    """Return the means over pictures by group, matte and method."""
    rows: dict[str, list[Row]] = {}
    matter = load_matter("u2net")
    for name, rgb, truth in stills(shared):
        # The first solution compiles; it is not counted.
        for kind, model in (("u2net", matter), ("true matte at 512", None)):
            if model is None:
                size = working(rgb.shape, 512)
            else:
                size = matter.working_size(rgb.shape[1], rgb.shape[0])
            group = "crops" if name.startswith("adobe") else "things"
            for method, row in (scored(rgb, truth, size, model) or {}).items():
                rows.setdefault(f"{group}, {kind}, {method}", []).append(row)
    matter.close()
    return {
        k: {
            **dict(zip(("mad", "grad"), np.mean(v, axis=0).tolist(), strict=False)),
            "seconds": float(np.median([r[2] for r in v])),
            "n": len(v),
        }
        for k, v in rows.items()
    }


def main() -> int:
    """Measure, print, write."""
    args = arguments(__doc__).parse_args()
    with models(args.shared):
        results = measured(args.shared)
    write("closed_form", {"errors": results})
    table(["", "MAD", "Grad", "s", "n"], [[k, *v.values()] for k, v in results.items()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
