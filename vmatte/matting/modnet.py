"""MODNet (Ke et al., "MODNet: Real-Time Trimap-Free Portrait Matting via Objective Decomposition",
AAAI 2022): per frame, portraits, at a size that follows the picture's own.

Everything but the size is numbers of StillSpec.
"""

REFERENCE = 512
"""Pixels of the shorter side, as published."""

STRIDE = 32
"""Sides are multiples of it: the network halves its picture five times."""

LONGEST = 2048
"""Pixels; ours. The published rule makes a picture of 400x16 one of 12800x512."""


def modnet_size(width: int, height: int, share: float = 1.0) -> tuple[int, int]:
    """Return (width, height) of the picture that MODNet wants for a frame of ``width x height``.

    The published rule: a picture that is smaller than 512 on both sides, or larger on both, is
    scaled so that its shorter side is 512; then both sides are cut to a multiple of 32. Ours: no
    side is under 32 or over 2048, and ``share`` of it is taken.
    """
    w, h = float(width), float(height)
    if max(w, h) < REFERENCE or min(w, h) > REFERENCE:
        scale = REFERENCE / min(w, h)
        w, h = w * scale, h * scale
    # Both sides, so that the shape stays, as far as one row of blocks allows.
    scale = min(1.0, LONGEST / max(w, h)) * share
    return _whole(w * scale), _whole(h * scale)


def _whole(side: float) -> int:
    # Rounding errors of the scaling must not cost a whole block.
    return max(STRIDE, int(side + 1e-6) // STRIDE * STRIDE)
