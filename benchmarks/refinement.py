"""What guided upsampling and decontamination are worth, in errors against the truth.

Alpha: RVM on the motion clips (640x360) at working sizes 512 and 256, enlarged bilinearly, by the
guided filter as published (its coefficients smoothed once more), and as vmatte does; the same for
the stills with their true matte shrunk to the working size, where only the enlarging can err.

Foreground: composites whose true foreground is known. A picture's opaque colours are spread
outwards (F), laid over another background with the true alpha, and F is estimated back. Errors: of
F in 8-bit levels where 0 < alpha < 1, weighted by alpha; and of the subject over a new background.

    python -m benchmarks.refinement --shared ../shared
"""

import json
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np

from benchmarks.common import RESULTS, RVM, arguments, models, table, write
from benchmarks.known import backgrounds, people, shrunk, spread, stills
from benchmarks.replay import Remembered
from vmatte import refine as refining
from vmatte.composite.blend import own_colours
from vmatte.evaluation import RAW, evaluate, find_clips
from vmatte.frames import Frame, from_array
from vmatte.fullmatte import FullMatte, codes
from vmatte.matting import Matte, MatterOptions, load_matter
from vmatte.metrics import grad, mad, mse
from vmatte.refine import RefineOptions, refine
from vmatte.runtimes import RuntimeOptions

OPTIONS = {
    "bilinear": RAW,
    "bilinear, levels": RefineOptions(method="off", decontaminate=False),
    "guided, as published": RefineOptions(decontaminate=False),
    "guided, vmatte": RefineOptions(decontaminate=False),
}


def published(
    guide: Any, alpha: Any, scale: float, top: int, options: RefineOptions
) -> tuple[Any, Any]:
    """Return the coefficients of the fast guided filter as published (arXiv 1505.00996)."""
    side = (2 * options.radius + 1,) * 2

    def mean(x: Any) -> Any:
        return cv2.blur(x, side, borderType=cv2.BORDER_REPLICATE)

    m, n = mean(guide), mean(alpha)
    variance = mean(guide * guide) - m * m
    a = (mean(guide * alpha) - m * n) / (variance + options.epsilon * top**2)
    return mean(a), mean(n - a * m)


def upsampled(name: str) -> Any:
    """Return a context in which refinement works as ``name`` says."""
    ours = refining._guided
    return patch.object(refining, "_guided", published if "published" in name else ours)


def videos(shared: Path, longer: int) -> dict[str, Any]:
    """Return RVM's errors on the motion clips at a working size."""
    clips = [c for c in find_clips(shared / "gt") if c.name.startswith("motion")]
    runtime = RuntimeOptions(runtime="onnxruntime", precision="fp32")
    options = MatterOptions(runtime=runtime, ratio=longer / 640)
    matter = Remembered(load_matter(RVM, options), len(clips))
    found = {}
    for name, refinement in OPTIONS.items():
        with upsampled(name):
            means = evaluate(matter, clips, refinement).means["videos"]
        found[name] = {k: getattr(means, k) for k in ("mad", "mse", "grad", "dtssd")}
    matter.close()
    return found


def working(shape: tuple[int, ...], longer: int) -> tuple[int, int]:
    """Return the working size (width, height) for a picture."""
    ratio = min(longer / max(shape[:2]), 1)
    return round(shape[1] * ratio), round(shape[0] * ratio)


def enlarged(shared: Path, longer: int) -> dict[str, Any]:
    """Return the errors of the true mattes of the stills, shrunk and enlarged again."""
    found: dict[str, list[list[float]]] = {}
    for _, rgb, alpha in stills(shared):
        if max(alpha.shape) < 1.2 * longer:
            continue
        frame, size = from_array(rgb, "rgb24"), working(rgb.shape, longer)
        for name, options in OPTIONS.items():
            with upsampled(name):
                full = refine(frame, frame.rgb(size), Matte(shrunk(alpha, size)), options).values()
            found.setdefault(name, []).append([f(full, alpha) for f in (mad, mse, grad)])
    means = {k: np.mean(v, axis=0).tolist() for k, v in found.items()}
    return {k: dict(zip(("mad", "mse", "grad"), v, strict=True)) for k, v in means.items()}


def own(frame: Frame, matte: FullMatte) -> Any:
    """Return the foreground colours that vmatte uses, the frame's own where it keeps them."""
    result = frame.planes[0].copy()
    plane = frame.planes[0]
    for packing, _, colours in own_colours(plane, matte, (0, 0), frame.format, 0):
        packing.scatter(codes(colours, frame.format.depth), result)
    return result.astype(np.float32)


def settled(matter: Any, frame: Frame, steps: int) -> tuple[Matte, tuple[int, int]]:
    """Return the matte of ``frame`` when it has been seen ``steps`` times, and its size."""
    size = matter.working_size(frame.width, frame.height)
    state = matter.start(*size)
    for _ in range(steps):
        matte, state = matter.step(frame.rgb(size), state)
    return matte, size


def foregrounds(shared: Path) -> dict[str, Any]:
    """Return the foreground's and the new composite's errors, in 8-bit levels."""
    found: dict[str, list[tuple[float, float]]] = {}
    u2net, rvm = load_matter("u2net"), load_matter(RVM)
    options = RefineOptions()
    estimate_ml: Any = None
    with suppress(ImportError):
        from pymatting import estimate_foreground_ml as estimate_ml
    for name, rgb, alpha in [*stills(shared), *people(shared)]:
        kind = {"adobe_crops10": "crop", "person": "person"}.get(name.split("/")[0], "thing")
        true, opacity = spread(rgb, alpha), alpha[:, :, None]
        half = (alpha > 0) & (alpha < 1)
        if not half.any() or not (alpha > 0.99).any():
            continue
        for behind in backgrounds(shared, rgb.shape).values():
            mixed = np.rint(opacity * true + (1 - opacity) * behind).astype(np.uint8)
            frame = from_array(mixed, "rgb24")
            size = working(rgb.shape, 512)
            cases = {f"{kind}, true alpha": (Matte(shrunk(alpha, size)), size)}
            if kind == "person":
                # Recurrent: given some frames to settle.
                cases["person, rvm"] = settled(rvm, frame, 10)
            elif kind == "thing":
                cases["thing, u2net"] = settled(u2net, frame, 1)
            new = np.array((70, 70, 200), np.float32)
            for label, (matte, size) in cases.items():
                full = refine(frame, frame.rgb(size), matte, options)
                used = opacity if "true" in label else full.values()[:, :, None]
                ways = [("none", mixed.astype(np.float32)), ("ours", own(frame, full))]
                if estimate_ml is not None:
                    # Of every pixel, at full size: what a still can afford.
                    levels = estimate_ml(mixed / 255, full.values().astype(np.float64)) * 255
                    ways.append(("pymatting's multi-level", levels.astype(np.float32)))
                for way, colours in ways:
                    error = np.abs(colours - true).mean(2)
                    whole = colours * used + new * (1 - used)
                    seen = np.abs(whole - (true * opacity + new * (1 - opacity))).mean(2)
                    found.setdefault(f"{label}, {way}", []).append(
                        (
                            float(np.average(error[half], weights=alpha[half])),
                            float(seen[half].mean()),
                        )
                    )
    means = {k: (*np.mean(v, axis=0).tolist(), len(v)) for k, v in found.items()}
    return {
        k: dict(zip(("foreground", "composite", "n"), v, strict=True)) for k, v in means.items()
    }


def main() -> int:
    """Measure, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--only", default="", metavar="PREFIX", help="the others stay in the file")
    args = parser.parse_args()
    parts: dict[str, Any] = {"foreground": partial(foregrounds, args.shared)}
    for longer in (512, 256):
        parts[f"stills, true alpha at {longer}"] = partial(enlarged, args.shared, longer)
        parts[f"motion clips, RVM at {longer}"] = partial(videos, args.shared, longer)
    file = RESULTS / "refinement.json"
    known = json.loads(file.read_text()) if args.only and file.exists() else {}
    results: dict[str, Any] = {k: v for k, v in known.items() if k in parts}
    with models(args.shared):
        for title, part in parts.items():
            if title.startswith(args.only):
                results[title] = part()
            write("refinement", results)
    for title, rows in results.items():
        keys = list(next(iter(rows.values())))
        table([title, *keys], [[name, *row.values()] for name, row in rows.items()])
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
