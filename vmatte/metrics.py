"""How far a matte is from the true one: the scores that papers on video matting report.

Definitions: the evaluation published with RVM (Lin et al., "Robust High-Resolution Video Matting
with Temporal Guidance", 2021, `evaluation/evaluate_lr.py`), itself after Rhemann et al., "A
Perceptually Motivated Online Benchmark for Image Matting", 2009 (Grad, Conn) and Erofeev et al.,
"Perceptually Motivated Benchmark for Video Matting", 2015 (dtSSD).

Mattes are [H, W] float32 in 0..1, foregrounds [H, W, 3] float32 in 0..1. Lower is better for every
score but IoU and the two F-scores.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.errors import InputError

Alpha = NDArray[np.float32]

_SLACK = 1e-4
"""What rounding may add to 0..1 in float32 filters; anything more is a wrong scale."""


def mad(pred: Alpha, true: Alpha) -> float:
    """Mean absolute difference: 1e3 * mean(|p - g|) over all pixels."""
    _check(pred, true)
    return 1e3 * float(np.mean(np.abs(pred - true), dtype=np.float64))


def mse(pred: Alpha, true: Alpha) -> float:
    """Mean squared error: 1e3 * mean((p - g)^2) over all pixels."""
    _check(pred, true)
    return 1e3 * float(np.mean(np.square(pred - true), dtype=np.float64))


def grad(pred: Alpha, true: Alpha) -> float:
    """Gradient error: sum((|grad p| - |grad g|)^2) / 1000.

    |grad| is the magnitude of the first-order Gaussian derivatives, sigma 1.4, the 9x9 kernels
    scaled to an L2 norm of 1, edges repeated. As published, each matte is first stretched to span
    0..1, so the score does not see contrast, and a matte of faint noise counts like a full one.
    """
    _check(pred, true)
    difference = _gradient(pred) - _gradient(true)
    return float(np.sum(np.square(difference), dtype=np.float64)) / 1e3


def conn(pred: Alpha, true: Alpha) -> float:
    """Connectivity error: sum(|phi(p) - phi(g)|) / 1000.

    phi(a) = 1 - d * [d >= .15] with d = a - l; l of a pixel is the highest of the thresholds
    0, .1, ... 1 up to which it belongs without a break to the largest 4-connected area where both
    mattes reach the threshold.
    """
    _check(pred, true)
    level = np.ones_like(true)
    inside = np.ones(true.shape, bool)
    both = np.minimum(pred, true)
    for step in range(1, 11):
        # 8-bit levels such as 51/255 = .2 must reach their threshold: compare in float32.
        largest = _largest_area(both >= np.float32(step / 10))
        level[inside & ~largest] = (step - 1) / 10
        inside &= largest
    d_pred, d_true = pred - level, true - level
    phi_pred = np.where(d_pred >= 0.15, d_pred, 0)
    phi_true = np.where(d_true >= 0.15, d_true, 0)
    return float(np.sum(np.abs(phi_pred - phi_true), dtype=np.float64)) / 1e3


def dtssd(pred: Alpha, before: Alpha, true: Alpha, true_before: Alpha) -> float:
    """Flicker: 100 * sqrt(mean(((p_t - p_{t-1}) - (g_t - g_{t-1}))^2))."""
    _check(pred, true)
    _check(before, true_before)
    _check(pred, before)
    change = (pred - before) - (true - true_before)
    return 100 * math.sqrt(np.mean(np.square(change), dtype=np.float64))


def iou(pred: Alpha, true: Alpha) -> float:
    """Intersection over union of the areas where alpha >= .5; 1 where both are empty."""
    _check(pred, true)
    a, b = pred >= 0.5, true >= 0.5
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def f_score(pred: Alpha, true: Alpha) -> float:
    """F1 of the areas where alpha >= .5: 2PR / (P + R); 1 where both are empty."""
    _check(pred, true)
    a, b = pred >= 0.5, true >= 0.5
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * int(np.count_nonzero(a & b)) / total if total else 1.0


def edge_f(pred: Alpha, true: Alpha) -> float:
    """F1 of the outlines of the areas where alpha >= .5; 1 where both are empty.

    A pixel of one outline is right where the other is within .8 % of the picture's diagonal: the
    contour accuracy of DAVIS (Perazzi et al., CVPR 2016).
    """
    _check(pred, true)
    a, b = _outline(pred), _outline(true)
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    reach = 0.008 * math.hypot(*pred.shape)
    precision, recall = _near(a, b, reach), _near(b, a, reach)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def foreground_error(
    pred: NDArray[np.float32], true: NDArray[np.float32], alpha: Alpha
) -> float | None:
    """Error of the foreground colour: 1e3 * mean((P - F)^2) where the true alpha is above 0.

    pred, true: [H, W, 3] float32 in 0..1. None where there is no foreground at all.
    """
    _check(pred, true, channels=3)
    if alpha.shape != true.shape[:2]:
        raise InputError(f"alpha is {_size(alpha)}, but the foreground is {_size(true)}")
    seen = alpha > 0
    if not seen.any():
        return None
    return 1e3 * float(np.mean(np.square(pred[seen] - true[seen]), dtype=np.float64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Scores averaged over frames or clips. None: not measured (one frame, no true foreground)."""

    mad: float
    mse: float
    grad: float
    conn: float
    dtssd: float | None
    iou: float
    f_score: float | None = None
    edge_f: float | None = None
    foreground: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        """Return the scores by name."""
        return asdict(self)


LABELS = {
    "mad": "MAD",
    "mse": "MSE",
    "grad": "Grad",
    "conn": "Conn",
    "dtssd": "dtSSD",
    "iou": "IoU",
    "f_score": "F",
    "edge_f": "edge F",
    "foreground": "FgrMSE",
}
"""How tables name the scores, in the order of ``Means``."""


class Scores:
    """Averages the scores of one clip, frame by frame, in memory that does not grow.

    Every score is the mean over the frames that have it: dtSSD from the second frame on, the
    foreground error only where there is a true foreground.
    """

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._before: tuple[Alpha, Alpha] | None = None
        self.frames = 0

    def add(
        self,
        pred: Alpha,
        true: Alpha,
        *,
        foreground: NDArray[np.float32] | None = None,
        true_foreground: NDArray[np.float32] | None = None,
    ) -> None:
        """Score the next frame. Raises InputError where shapes or value ranges do not fit."""
        self._put("mad", mad(pred, true))
        self._put("mse", mse(pred, true))
        self._put("grad", grad(pred, true))
        self._put("conn", conn(pred, true))
        self._put("iou", iou(pred, true))
        self._put("f_score", f_score(pred, true))
        self._put("edge_f", edge_f(pred, true))
        if self._before is not None:
            self._put("dtssd", dtssd(pred, self._before[0], true, self._before[1]))
        if foreground is not None and true_foreground is not None:
            self._put("foreground", foreground_error(foreground, true_foreground, true))
        # Copies, for a caller may fill the same arrays again.
        self._before = pred.copy(), true.copy()
        self.frames += 1

    def means(self) -> Means:
        """Return the means so far. Raises InputError before the first frame."""
        if not self.frames:
            raise InputError("there is no frame to score; expected at least one")
        means: dict[str, Any] = dict.fromkeys(f.name for f in fields(Means))
        means |= {name: self._sums[name] / self._counts[name] for name in self._sums}
        return Means(**means)

    def _put(self, name: str, value: float | None) -> None:
        if value is not None:
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1


def mean_of(clips: list[Means]) -> Means:
    """Return the mean over clips, each counting the same whatever its length.

    A score that some clips lack is averaged over those that have it.
    """
    if not clips:
        raise InputError("there is no clip to average; expected at least one")
    values: dict[str, Any] = {}
    for f in fields(Means):
        found = [v for c in clips if (v := getattr(c, f.name)) is not None]
        values[f.name] = sum(found) / len(found) if found else None
    return Means(**values)


def _derivative_kernels(sigma: float = 1.4) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the 1-D Gaussian and its derivative; their outer product has an L2 norm of 1."""
    # The reach at which the Gaussian has fallen to 1e-2 of its scale, as published: 4 for 1.4.
    reach = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * 1e-2)))
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    smooth = np.exp(-(x**2) / (2 * sigma**2))
    slope = x * smooth
    # ||a b^T|| = ||a|| * ||b||, so that two unit vectors make the unit kernel.
    return (
        (smooth / np.linalg.norm(smooth)).astype(np.float32),
        (slope / np.linalg.norm(slope)).astype(np.float32),
    )


_SMOOTH, _SLOPE = _derivative_kernels()


def _gradient(alpha: Alpha) -> NDArray[np.float32]:
    low, high = float(alpha.min()), float(alpha.max())
    # A flat matte has no gradient; stretching it would divide by zero.
    span = (alpha - low) / (high - low) if high > low else np.zeros_like(alpha)
    span = span.astype(np.float32, copy=False)
    dx = cv2.sepFilter2D(span, -1, _SLOPE, _SMOOTH, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.sepFilter2D(span, -1, _SMOOTH, _SLOPE, borderType=cv2.BORDER_REPLICATE)
    magnitude: NDArray[np.float32] = cv2.magnitude(dx, dy)
    return magnitude


def _outline(alpha: Alpha) -> NDArray[np.bool_]:
    """Return the pixels of the area that touch what is outside; the frame's edge is none."""
    area = (alpha >= 0.5).astype(np.uint8)
    inner = cv2.erode(area, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    found: NDArray[np.bool_] = area > inner
    return found


def _near(a: NDArray[np.bool_], b: NDArray[np.bool_], reach: float) -> float:
    """Return the share of ``a`` that lies within ``reach`` pixels of ``b``."""
    distance = cv2.distanceTransform((~b).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(np.mean(distance[a] <= reach))


def _largest_area(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.view(np.uint8), connectivity=4, ltype=cv2.CV_32S
    )
    if count < 2:
        return np.zeros_like(mask)
    found: NDArray[np.bool_] = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return found


def _check(pred: NDArray[Any], true: NDArray[Any], channels: int | None = None) -> None:
    dimensions = 2 if channels is None else 3
    for name, array in (("predicted", pred), ("true", true)):
        if array.ndim != dimensions or array.size == 0 or array.shape[2:] not in ((), (channels,)):
            wanted = "[H, W]" if channels is None else f"[H, W, {channels}]"
            raise InputError(f"the {name} array has shape {array.shape}, expected {wanted}")
        if array.dtype != np.float32:
            raise InputError(f"the {name} array is {array.dtype}, expected float32 in 0..1")
        low, high = float(array.min()), float(array.max())
        # Written so that a NaN fails too.
        if not (low >= -_SLACK and high <= 1 + _SLACK):
            raise InputError(f"the {name} values span {low:g}..{high:g}, expected 0..1")
    if pred.shape != true.shape:
        raise InputError(
            f"the predicted matte is {_size(pred)}, the true one {_size(true)}; "
            "they must be of one size"
        )


def _size(array: NDArray[Any]) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
