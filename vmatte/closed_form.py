"""Closed-form matting of a still's edge, by pymatting: slow, exact where colours are smooth."""

import threading
from importlib import import_module
from importlib.util import find_spec

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.errors import InferenceError, InputError, OptionError
from vmatte.fullmatte import Map
from vmatte.matting.base import Matte

LIMIT = 6_000_000
"""Pixels of the rectangle around the band: its system takes about half a kilobyte for each."""

_SURE = 0.05
"""Alpha this near to 0 or 1 is believed."""

_BAND = 1.0
"""How far beyond doubtful pixels the band reaches, in working-size pixels."""

_EPSILON = 1e-6
"""Of Levin et al.; pymatting's 1e-7 needs more steps and prints a busy picture's grain through."""

_ONE = threading.Lock()
"""Several pictures at once would need as many times the memory."""


def expect_pymatting() -> None:
    """Raise OptionError where pymatting is not installed."""
    if find_spec("pymatting") is None:
        raise OptionError("--refine closed-form needs pymatting: pip install 'vmatte[closed-form]'")


def solve(rgb: NDArray[np.uint8], alpha: Map, matte: Matte, scale: float) -> Map:
    """Return alpha, solved where it is in doubt (Levin, Lischinski and Weiss, PAMI 2008).

    rgb: [H, W, 3], the picture. alpha: [H, W] float32 in 0..1, as the fast way enlarged it. matte:
    what the user is certain of; where that is a whole trimap, all that it leaves open is solved.
    scale: how much larger than the model's picture it is. Raises OptionError where pymatting is
    missing, InputError where the band is too large or nothing in reach of it is certain.
    """
    expect_pymatting()
    trimap = _trimap(alpha, matte, scale)
    rows = np.flatnonzero((trimap == 0.5).any(1))
    cols = np.flatnonzero((trimap == 0.5).any(0))
    found = np.where(trimap == 0.5, alpha, trimap)
    if not len(rows):
        return found
    # The windows of its outermost pixels reach two pixels further.
    box = slice(max(0, rows[0] - 2), rows[-1] + 3), slice(max(0, cols[0] - 2), cols[-1] + 3)
    part = trimap[box]
    if part.size > LIMIT:
        raise InputError(
            f"the subject's edge spans {part.shape[1]}x{part.shape[0]} pixels; closed-form solves "
            f"at most {LIMIT / 1e6:g} million: make the picture smaller, or use --refine fast"
        )
    if part.min() > 0 or part.max() < 1:
        nothing = "background" if part.min() > 0 else "subject"
        raise InputError(
            f"no {nothing} is certain beside the edge, and closed-form has nothing to begin with: "
            "say what is with --keep, --drop or --trimap, or use --refine fast"
        )
    found[box] = _solved(rgb[box], part)
    return found


def _trimap(alpha: Map, matte: Matte, scale: float) -> Map:
    """Return 0 and 1 where that is certain, 0.5 elsewhere, [H, W] float32."""
    known = matte.known if matte.known is not None and matte.known.shape == alpha.shape else None
    if known is not None and matte.whole:
        open = np.full(alpha.shape, True)
    else:
        side = 2 * max(1, round(_BAND * scale)) + 1
        around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        doubt = ((alpha > _SURE) & (alpha < 1 - _SURE)).astype(np.uint8)
        open = cv2.dilate(doubt, around) > 0
    trimap: Map = np.where(open, np.float32(0.5), np.rint(alpha).astype(np.float32))
    if known is not None:
        trimap[known == 255] = 1
        trimap[known == 0] = 0
    return trimap


def _solved(rgb: NDArray[np.uint8], trimap: Map) -> Map:
    # Imported here: it compiles itself, once on a machine, for a minute.
    from pymatting.alpha.estimate_alpha_cf import estimate_alpha_cf

    # It prints on standard output, where our picture may be, when its first try fails.
    vars(import_module("pymatting.preconditioner.ichol"))["print"] = lambda *_: None

    with _ONE:
        try:
            alpha = estimate_alpha_cf(
                rgb / 255.0,
                trimap.astype(np.float64),
                laplacian_kwargs={"epsilon": _EPSILON},
                # A code value is 4e-3; the default, 1e-7, takes twice the steps.
                cg_kwargs={"rtol": 1e-5, "maxiter": 2000},
            )
        except ValueError as e:
            raise InferenceError(
                f"closed-form found no solution ({e}); use --refine fast, or leave less open"
            ) from e
    solved: Map = np.clip(alpha, 0, 1).astype(np.float32)
    return solved
