"""Standard-range colours in a high-dynamic-range picture, and the reverse for models."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vmatte.colour import HLG, PQ
from vmatte.errors import UnsupportedMediaError
from vmatte.frames import Frame, Scaling

REFERENCE_WHITE = 203.0
"""cd/m2 of diffuse white, ITU-R BT.2408."""

Map = NDArray[np.floating[Any]]

_HLG_PEAK = 1000.0
"""cd/m2 of the nominal HLG display; its system gamma is then 1.2, ITU-R BT.2100."""

_TO_2020 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]], np.float32
)
"""Linear BT.709 to BT.2020 primaries, ITU-R BT.2087."""


def encode(rgb: NDArray[np.uint8], transfer: int) -> NDArray[np.uint16]:
    """Return sRGB values as R'G'B' of 16 bits in BT.2020 primaries and a PQ or HLG ``transfer``.

    White becomes diffuse white (BT.2408). rgb: [H, W, 3].
    """
    x = np.arange(256, dtype=np.float32) / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)
    nits = np.clip(linear[rgb] @ _TO_2020.T, 0, 1) * REFERENCE_WHITE
    signal = _pq(nits) if transfer == PQ else _hlg(nits)
    return np.rint(signal * 65535).astype(np.uint16)


def _pq(nits: Map) -> Map:
    """Inverse EOTF of SMPTE ST 2084."""
    y = (nits / 10000) ** 0.1593017578125
    signal: Map = ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375
    return signal


def _hlg(nits: Map) -> Map:
    """Inverse OOTF for a nominal display, then the OETF of ITU-R BT.2100 table 5."""
    display = nits / _HLG_PEAK
    luminance = display @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    scene = display * np.maximum(luminance, 1e-6)[..., None] ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    low = np.sqrt(3 * np.minimum(scene, 1 / 12))
    high = a * np.log(np.maximum(12 * scene - b, 1e-6)) + c
    signal: Map = np.where(scene <= 1 / 12, low, high)
    return signal


@cache
def tone_curve(transfer: int) -> NDArray[np.uint8]:
    """Return the [256] uint8 table that turns PQ or HLG codes into sRGB-like ones, for a model.

    Reinhard's operator with diffuse white in the middle and 1000 cd/m2 at the top: models were
    trained on pictures that look like that.
    """
    code = np.arange(256) / 255
    if transfer == PQ:
        p = code ** (1 / 78.84375)
        nits = 10000 * (np.maximum(p - 0.8359375, 0) / (18.8515625 - 18.6875 * p)) ** (
            1 / 0.1593017578125
        )
    elif transfer == HLG:
        scene = np.where(
            code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
        )
        nits = _HLG_PEAK * scene**1.2
    else:
        raise UnsupportedMediaError(f"transfer {transfer} is not PQ or HLG")
    x = nits / REFERENCE_WHITE
    top = 1000 / REFERENCE_WHITE
    mapped = np.clip(x * (1 + x / top**2) / (1 + x), 0, 1)
    srgb = np.where(mapped <= 0.0031308, mapped * 12.92, 1.055 * mapped ** (1 / 2.4) - 0.055)
    table: NDArray[np.uint8] = np.rint(srgb * 255).astype(np.uint8)
    return table


def srgb(
    frame: Frame, size: tuple[int, int] | None = None, scaling: Scaling = "bicubic"
) -> NDArray[np.uint8]:
    """Return a frame as models and screens expect it: [h, w, 3] uint8 sRGB, HDR in its range.

    size: (width, height), by default the frame's.
    """
    rgb = frame.rgb(size or (frame.width, frame.height), scaling)
    return tone_curve(frame.colour.transfer)[rgb] if frame.colour.hdr else rgb
