"""Pixel formats that are composited as they are, and the nearest one to any other."""

from dataclasses import dataclass
from typing import Any

import cv2  # noqa: F401  before PyAV, see sinks/window.py
import numpy as np
from av import VideoFormat
from numpy.typing import NDArray

Plane = NDArray[Any]
"""One plane of a picture: [H, W] or, for packed RGB, [H, W, C]; uint8, or uint16 above 8 bits."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """What compositing must know of a pixel format."""

    name: str
    depth: int
    planes: int
    channels: int
    """Interleaved channels of plane 0: 1 for planar formats, 3 or 4 for packed RGB."""
    shift_x: int
    """log2 of the horizontal chroma subsampling."""
    shift_y: int
    rgb: bool
    alpha: bool

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Numpy type of one sample."""
        return np.dtype(np.uint8 if self.depth == 8 else np.uint16)

    @property
    def gray(self) -> bool:
        """Whether there is only luma."""
        return self.planes == 1 and self.channels == 1

    @property
    def rgb_order(self) -> tuple[int, int, int]:
        """Which of R, G and B each channel or plane holds: (2, 1, 0) for BGR."""
        return {"b": (2, 1, 0), "g": (1, 2, 0)}.get(self.name[0], (0, 1, 2))

    def shift(self, plane: int) -> tuple[int, int]:
        """Return (x, y) subsampling shifts of ``plane``; 0 for luma, alpha and RGB."""
        return (self.shift_x, self.shift_y) if plane in (1, 2) and not self.rgb else (0, 0)


def _planar(name: str, depth: int, sx: int, sy: int, alpha: bool = False) -> PixelFormat:
    return PixelFormat(name, depth, 4 if alpha else 3, 1, sx, sy, False, alpha)


def _formats() -> dict[str, PixelFormat]:
    found = []
    for sub, (sx, sy) in {
        "420": (1, 1),
        "422": (1, 0),
        "444": (0, 0),
        "440": (0, 1),
        "411": (2, 0),
        "410": (2, 2),
    }.items():
        found.append(_planar(f"yuv{sub}p", 8, sx, sy))
        if sub in ("420", "422", "444", "440"):
            depths: tuple[int, ...] = (10, 12) if sub == "440" else (9, 10, 12, 14, 16)
            found += [_planar(f"yuv{sub}p{d}le", d, sx, sy) for d in depths]
        if sub in ("420", "422", "444"):
            found.append(_planar(f"yuva{sub}p", 8, sx, sy, True))
            depths = (10, 16) if sub == "420" else (10, 12, 16)
            found += [_planar(f"yuva{sub}p{d}le", d, sx, sy, True) for d in depths]
    found.append(PixelFormat("gray", 8, 1, 1, 0, 0, False, False))
    found += [PixelFormat(f"gray{d}le", d, 1, 1, 0, 0, False, False) for d in (10, 12, 14, 16)]
    found.append(PixelFormat("gbrp", 8, 3, 1, 0, 0, True, False))
    found += [PixelFormat(f"gbrp{d}le", d, 3, 1, 0, 0, True, False) for d in (10, 12, 14, 16)]
    found.append(PixelFormat("gbrap", 8, 4, 1, 0, 0, True, True))
    found += [PixelFormat(f"gbrap{d}le", d, 4, 1, 0, 0, True, True) for d in (10, 12, 16)]
    for n in ("rgb24", "bgr24"):
        found.append(PixelFormat(n, 8, 1, 3, 0, 0, True, False))
    for n in ("rgba", "bgra"):
        found.append(PixelFormat(n, 8, 1, 4, 0, 0, True, True))
    formats = {f.name: f for f in found}
    # FFmpeg's old names for full range differ in nothing else; the range goes into Colour.
    return formats | {f"yuvj{sub}p": formats[f"yuv{sub}p"] for sub in ("420", "422", "444", "440")}


FORMATS = _formats()
"""The formats that are composited as they are; sources convert every other to the nearest one."""


def nearest(name: str) -> PixelFormat:
    """Return the opaque format of FORMATS that loses no colour of FFmpeg's format ``name``.

    Where there is none (float, 32 bits) it is the deepest of the same kind.
    """
    if name in FORMATS and not FORMATS[name].alpha:
        return FORMATS[name]
    side = 64
    described = VideoFormat(name, side, side)
    parts = described.components
    depth = max(c.bits for c in parts)
    rgb = described.is_rgb or described.has_palette
    chroma = next((c for c in parts if c.is_chroma), None)
    shift_x = (side // chroma.width).bit_length() - 1 if chroma else 0
    shift_y = (side // chroma.height).bit_length() - 1 if chroma else 0
    gray = not rgb and chroma is None
    fitting = [
        f
        for f in FORMATS.values()
        if f.rgb == rgb
        and not f.alpha
        and f.gray == gray
        and (f.shift_x, f.shift_y) == (shift_x, shift_y)
    ]
    return min(fitting, key=lambda f: (f.depth < depth, abs(f.depth - depth)))
