"""Clean-up of a matte by its connected parts. Soft edges of what stays are left as they are."""

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.fullmatte import Map
from vmatte.steer.options import Only

_SOLID = 0.5

_AROUND = np.ones((3, 3), np.uint8)


def fill_holes(alpha: Map) -> Map:
    """Return alpha without holes: what background does not reach the picture's border is subject.

    alpha: [h, w] float32 in 0..1.
    """
    empty = (alpha < _SOLID).astype(np.uint8)
    _, labels = cv2.connectedComponents(empty, connectivity=4)
    outside = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    holes = (empty > 0) & ~np.isin(labels, outside)
    if not holes.any():
        return alpha
    # The hole's soft rim lies within the subject too.
    rim = cv2.dilate(holes.astype(np.uint8), _AROUND, iterations=2)
    filled: Map = np.where(rim > 0, np.float32(1), alpha)
    return filled


def keep_parts(alpha: Map, *, least: float = 0.0, only: Only = "all") -> Map:
    """Return alpha with some of its connected parts taken out, soft edges with them.

    least: area below which a part goes, in pixels of ``alpha``. only: of the rest, the largest
    part, or the one whose nearest pixel is nearest the centre.
    """
    solid = (alpha >= _SOLID).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    stay = areas >= least
    stay[0] = False
    if only != "all" and stay.any():
        if only == "largest":
            chosen = int(np.argmax(np.where(stay, areas, 0)))
        else:
            chosen = _nearest(labels, stay)
        stay = np.arange(count) == chosen
    return _near(alpha, labels, stay)


def _near(alpha: Map, labels: NDArray[np.int32], stay: NDArray[np.bool_]) -> Map:
    """Return alpha where the nearest solid pixel is of a part that stays, 0 elsewhere."""
    kept = stay[labels]
    if not kept.any():
        return np.zeros_like(alpha)
    gone = (labels > 0) & ~kept
    near = cv2.distanceTransform((~kept).astype(np.uint8), cv2.DIST_L2, 3)
    if gone.any():
        far = cv2.distanceTransform((~gone).astype(np.uint8), cv2.DIST_L2, 3)
        belongs = near < far
    else:
        belongs = np.ones(alpha.shape, bool)
    # Faint islands without a solid pixel are near nothing.
    _, soft = cv2.connectedComponents((alpha > 0.02).astype(np.uint8), connectivity=8)
    joined = np.isin(soft, np.unique(soft[kept]))
    found: Map = np.where(belongs & joined, alpha, np.float32(0))
    return found


def _nearest(labels: NDArray[np.int32], stay: NDArray[np.bool_]) -> int:
    h, w = labels.shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    distance = np.hypot((x - (w - 1) / 2) / w, (y - (h - 1) / 2) / h)
    distance[~stay[labels]] = np.inf
    return int(labels.flat[int(np.argmin(distance))])
