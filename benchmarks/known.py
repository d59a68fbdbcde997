"""Pictures whose true matte is known, and composites whose true foreground is."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vmatte.evaluation import find_clips, read_alpha
from vmatte.sources import open_source


def stills(shared: Path) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, picture [H, W, 3] uint8 RGB and true alpha [H, W] float32."""
    for clip in find_clips(shared / "gt"):
        if clip.still:
            picture, alpha = (next(iter(open_source(str(p)))) for p in (clip.video, clip.alpha))
            size = (picture.width, picture.height)
            yield clip.name, picture.rgb(size), read_alpha(alpha)


def people(shared: Path) -> Iterator[tuple[str, Any, Any]]:
    """Yield the same for one frame of each motion clip: people with soft alpha."""
    for clip in find_clips(shared / "gt"):
        if clip.name.startswith("motion"):
            picture, alpha = (
                next(islice(open_source(str(p)), 40, None)) for p in (clip.video, clip.alpha)
            )
            size = (picture.width, picture.height)
            yield f"person/{clip.name}", picture.rgb(size), read_alpha(alpha)


def shrunk(alpha: Any, size: tuple[int, int]) -> Any:
    """Return ``alpha`` at ``size``, each pixel the mean of what it covers."""
    return np.clip(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), 0, 1)


def spread(rgb: Any, alpha: Any) -> Any:
    """Return the opaque colours of ``rgb`` spread over the whole picture, [H, W, 3] float32."""
    levels = [np.dstack([rgb.astype(np.float32), np.full(alpha.shape, 255, np.float32)])]
    levels[0] *= (alpha > 0.99).astype(np.float32)[:, :, None]
    while min(levels[-1].shape[:2]) > 1:
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    filled = levels.pop()
    while levels:
        known = levels.pop()
        filled = cv2.resize(filled, known.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        filled = filled / np.maximum(filled[:, :, 3:], 1e-6) * 255
        filled = known + filled * (1 - known[:, :, 3:] / 255)
    return filled[:, :, :3]


def backgrounds(shared: Path, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return plain and real backgrounds, [H, W, 3] float32."""
    plain = {"green": (0, 180, 60), "white": (245, 245, 245), "dark red": (120, 20, 30)}
    found = {k: np.full(shape, v, np.float32) for k, v in plain.items()}
    for name in ("object_bottles", "th_selfie_man_glasses_mall"):
        first = next(iter(open_source(str(shared / "clips" / f"{name}.mp4"))))
        found[name] = first.rgb((shape[1], shape[0])).astype(np.float32)
    return found
