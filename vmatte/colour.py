"""Colour descriptions: what the numbers of a picture mean."""

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2  # noqa: F401  before PyAV, see sinks/window.py
import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

LIMITED, FULL = 1, 2
"""AVColorRange: 16..235 and 0..255 (scaled to the bit depth)."""


UNSPECIFIED = 2
"""The code point for 'not said' of matrix, primaries and transfer (ITU-T H.273)."""


BT709, BT601, BT2020 = 1, 5, 9


PQ, HLG = 16, 18


_LUMA = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""(Kr, Kb) by matrix code point, ITU-T H.273 table 4."""


UNSUPPORTED = {
    8: "YCgCo",
    10: "BT.2020 with constant luminance",
    11: "SMPTE ST 2085",
    13: "chromaticity-derived with constant luminance",
    14: "ICtCp",
}
"""Matrix code points whose YUV is not linear in R'G'B', or not of luma and two differences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """Colour description: code points of ITU-T H.273, range as AVColorRange (0 unspecified)."""

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    range: int = 0

    @classmethod
    def of(cls, frame: VideoFrame) -> "Colour":
        """Read the description that a decoder left on ``frame``."""
        old_full = frame.format.name.startswith("yuvj")
        return cls(
            matrix=int(frame.colorspace),
            primaries=int(frame.color_primaries),
            transfer=int(frame.color_trc),
            range=FULL if old_full else int(frame.color_range),
        )

    @property
    def hdr(self) -> bool:
        """Whether the transfer is PQ or HLG (ITU-R BT.2100)."""
        return self.transfer in (PQ, HLG)

    def resolved(self, width: int, height: int, *, rgb: bool) -> "Colour":
        """Fill in what the stream left open, as players do: BT.709 from 1280x720 on, else BT.601.

        Only conversions use the result; the tags written to the output stay as they were read.
        """
        hd = width >= 1280 or height > 576
        known = self.matrix in _LUMA
        guess = BT2020 if self.hdr or self.primaries == BT2020 else BT709 if hd else BT601
        return replace(
            self,
            matrix=self.matrix if known else guess,
            range=self.range or (FULL if rgb else LIMITED),
        )

    @lru_cache(maxsize=32)  # noqa: B019  (a value, not an object: nothing is kept alive by it)
    def rgb_to_yuv(self, depth: int) -> NDArray[np.float32]:
        """Return the 3x4 affine matrix from RGB in 0..1 to Y'CbCr code values of ``depth`` bits.

        ITU-T H.273 section 8.3, for a resolved description.
        """
        kr, kb = _LUMA[self.matrix]
        kg = 1 - kr - kb
        y = np.array([kr, kg, kb])
        cb = (np.array([0, 0, 1]) - y) / (2 * (1 - kb))
        cr = (np.array([1, 0, 0]) - y) / (2 * (1 - kr))
        scale = float(1 << (depth - 8))
        top = float((1 << depth) - 1)
        if self.range == FULL:
            gains, offsets = (top, top, top), (0.0, 128 * scale, 128 * scale)
        else:
            gains, offsets = (
                (219 * scale, 224 * scale, 224 * scale),
                (16 * scale, 128 * scale, 128 * scale),
            )
        rows = [g * r for g, r in zip(gains, (y, cb, cr), strict=True)]
        return np.column_stack([np.stack(rows), np.array(offsets)]).astype(np.float32)
