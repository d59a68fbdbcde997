"""What closed-form matting is worth on stills: error and time of every --refine.

Mattes of u2net, at full size against the truth, alone and with a trimap; and true mattes shrunk to
512 pixels, as a perfect model would give them. A picture that closed-form refuses is left out of
all rows of its matte. Crops: ten pieces of 320x320; things: whole subjects.

    python -m benchmarks.closed_form --shared ../shared
"""

import sys
import time
from pathlib import Path
from typing import Any, get_args

import cv2
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
from vmatte.steer import SteeredMatter, SteerOptions

Row = list[float]

KINDS = ("u2net", "u2net and a trimap", "true matte at 512")


def trimap(truth: Any) -> Any:
    """Return what a careful user would draw: ten pixels to both sides of the edge are open."""
    found = np.full(truth.shape, 128, np.uint8)
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (21, 21))
    found[cv2.erode(truth, around) >= 0.95] = 255
    found[cv2.dilate(truth, around) <= 0.05] = 0
    return found


def scored(kind: str, rgb: Any, truth: Any, matter: Any) -> dict[str, Row] | None:
    """Return MAD, Grad and seconds of each method, None where one cannot be had."""
    frame = from_array(rgb, "rgb24")
    if kind == "true matte at 512":
        size = working(rgb.shape, 512)
        matte, seen = Matte(shrunk(truth, size)), frame.rgb(size)
    else:
        size = (rgb.shape[1], rgb.shape[0])
        seen = frame.rgb(matter.working_size(*size))
        known = trimap(truth) if kind == "u2net and a trimap" else None
        if known is not None:
            options = SteerOptions(trimap=Path())
            matter = SteeredMatter(matter, options, size, known)
        matte = infer(matter, seen)
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
        for kind in KINDS:
            group = "crops" if name.startswith("adobe") else "things"
            for method, row in (scored(kind, rgb, truth, matter) or {}).items():
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
