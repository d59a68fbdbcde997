"""What light, lens, sensor and codec do to frames, as tensor operations.

Frames are [B,T,3,H,W] float in 0..1, alphas [B,T,1,H,W]; parameters are drawn per sequence, so
that a sequence keeps its looks, and noise per frame.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from training.motion import Dice

# Luma quantisation table of the JPEG standard (ITU-T T.81, annex K.1).
JPEG_LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
# RGB -> YCbCr of JFIF (BT.601, full range).
YCBCR = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)


def per_sequence(dice: Dice, batch: int, low: float, high: float, chance: float) -> Tensor:
    """A value per sequence [B,1,1,1,1], 0 where the effect is not drawn."""
    on = dice.chance(chance, batch, 1, 1, 1, 1)
    return dice.uniform(low, high, batch, 1, 1, 1, 1) * on


def box(x: Tensor, size: int) -> Tensor:
    """Mean over size x size pixels, borders repeated; x [N,C,H,W].

    Sums of shifted slices: on CPUs several times faster than avg_pool2d with stride 1.
    """
    pad = size // 2
    x = F.pad(x, (pad, pad, pad, pad), mode="replicate")
    for axis in (2, 3):
        length = x.shape[axis] - size + 1
        total = x.narrow(axis, 0, length).clone()
        for shift in range(1, size):
            total += x.narrow(axis, shift, length)
        x = total
    return x / size**2


def clean_foreground(source: Tensor) -> Tensor:
    """Pictures [N,4,S,S] -> foreground colours [N,3,S,S] without the old background's light.

    Where alpha is partial the colour is taken from the solid part nearby, at a quarter of the
    size, because that is smooth anyway.
    """
    rgb, alpha = source[:, :3], source[:, 3:]
    solid = (alpha > 0.95).to(rgb.dtype)
    near = box(F.avg_pool2d(torch.cat((rgb * solid, solid), 1), 4), 3)
    spread = near + 0.01 * box(near, 7)
    estimate = spread[:, :3] / (spread[:, 3:] + 1e-5)
    estimate = torch.cat((estimate, (spread[:, 3:] * 1e3).clamp(0, 1)), 1)
    estimate = F.interpolate(estimate, scale_factor=4.0, mode="bilinear", align_corners=False)
    return torch.lerp(rgb, estimate[:, :3], estimate[:, 3:] * (1 - solid))


def colours(dice: Dice, frames: Tensor, strength: float = 1.0) -> Tensor:
    """Exposure, white balance, gamma, contrast and saturation, one draw per sequence."""
    batch = frames.shape[0]
    gain = torch.exp(dice.normal(batch, 1, 1, 1, 1) * 0.2 * strength)
    balance = torch.exp(dice.normal(batch, 1, 3, 1, 1) * 0.07 * strength)
    gamma = torch.exp(dice.normal(batch, 1, 1, 1, 1) * 0.2 * strength)
    saturation = 1 + dice.normal(batch, 1, 1, 1, 1) * 0.25 * strength
    contrast = 1 + dice.normal(batch, 1, 1, 1, 1) * 0.15 * strength
    gray = frames.mean(2, keepdim=True)
    frames = gray + (frames - gray) * saturation.clamp(0, 2)
    frames = (frames - 0.5) * contrast.clamp(0.5, 1.6) + 0.5
    return (frames * gain * balance).clamp(1e-4, 1).pow(gamma)


def match_light(dice: Dice, subject: Tensor, alpha: Tensor, background: Tensor) -> Tensor:
    """Moves the subject's mean colour part of the way to the background's, [B,T,3,H,W]."""
    batch = subject.shape[0]
    # In a fifth up to all of the way: clothes of the colour of the wall.
    most = torch.where(dice.chance(0.2, batch, 1, 1, 1, 1), 1.0, 0.6)
    amount = dice.uniform(0, 1, batch, 1, 1, 1, 1) * most
    weight = alpha.sum((1, 3, 4), keepdim=True) + 1e-3
    ours = (subject * alpha).sum((1, 3, 4), keepdim=True) / weight
    theirs = background.mean((1, 3, 4), keepdim=True)
    gain = ((theirs + 0.05) / (ours + 0.05)).clamp(0.35, 2.0)
    return (subject * torch.pow(gain, amount)).clamp(0, 1)


def dress_dark(dice: Dice, subject: Tensor) -> Tensor:
    """A quarter of the subjects in black: before dark things the shape is all that tells them.

    Colours fall the more the darker they are, as cloth turns black before a face does.
    """
    batch = subject.shape[0]
    power = 1 + per_sequence(dice, batch, 0.3, 1.5, 0.25)
    return subject.clamp(1e-4, 1).pow(power)


def dress_plain(dice: Dice, subject: Tensor) -> Tensor:
    """A third of the subjects in one colour, most of them in black: little but a shape is left.

    What has the colour of skin, red over green over blue, stays as it is.
    """
    rows = torch.nonzero(dice.chance(0.33, subject.shape[0])).flatten()
    if not len(rows):
        return subject
    some = subject[rows]
    red, green, blue = some.flatten(0, 1).split(1, 1)
    skin = ((red - green - 0.03) * 12).clamp(0, 1) * ((green - blue + 0.02) * 12).clamp(0, 1)
    cloth = 1 - box(skin, 5).view(*some.shape[:2], 1, *some.shape[3:])
    black = dice.chance(0.65, len(rows), 1, 1, 1, 1)
    tone = torch.where(black, 0.12, 1.0) * dice.uniform(0.05, 0.9, len(rows), 1, 1, 1, 1)
    tone = tone * torch.exp(dice.normal(len(rows), 1, 3, 1, 1) * torch.where(black, 0.1, 0.4))
    # Folds are seen, more or less.
    light = some.mean(2, keepdim=True)
    folds = light / (light.mean((1, 3, 4), keepdim=True) + 0.02) - 1
    plain = tone * (1 + dice.uniform(0, 0.6, len(rows), 1, 1, 1, 1) * folds.clamp(-1, 2))
    subject = subject.clone()
    subject[rows] = torch.lerp(some, plain.clamp(0, 1), cloth)
    return subject


def back_light(dice: Dice, frames: Tensor, alpha: Tensor) -> Tensor:
    """A tenth of the sequences: the subject darker, what is behind brighter."""
    batch = frames.shape[0]
    dim = per_sequence(dice, batch, 0.3, 0.65, 0.1)
    flare = 1 + dim * 0.8
    return (frames * torch.lerp(flare, 1 - dim, alpha)).clamp(0, 1)


def flicker(dice: Dice, frames: Tensor) -> Tensor:
    """Exposure that changes over time in a fifth of the sequences."""
    batch, count = frames.shape[:2]
    size = per_sequence(dice, batch, 0, 0.25, 0.2)
    time = torch.arange(count, device=frames.device).view(1, -1, 1, 1, 1)
    phase = dice.uniform(0, 6.3, batch, 1, 1, 1, 1)
    return frames * (1 + size * torch.sin(dice.uniform(0.1, 2, batch, 1, 1, 1, 1) * time + phase))


def soften(dice: Dice, frames: Tensor) -> Tensor:
    """Out of focus or upscaled: mixes the frames with 3x3 or 7x7 means of themselves."""
    batch = frames.shape[0]
    frames = frames.clone()
    for size, chance in ((3, 0.35), (7, 0.07)):
        rows = torch.nonzero(dice.chance(chance, batch)).flatten()
        if len(rows):
            some = frames[rows]
            blurred = box(some.flatten(0, 1), size).view_as(some)
            frames[rows] = torch.lerp(some, blurred, dice.uniform(0.2, 1, len(rows), 1, 1, 1, 1))
    return frames


def sharpen(dice: Dice, frames: Tensor) -> Tensor:
    """What cameras do, in a third of the sequences, and what the small pictures here have lost."""
    rows = torch.nonzero(dice.chance(0.33, frames.shape[0])).flatten()
    if not len(rows):
        return frames
    some = frames[rows]
    detail = some - box(some.flatten(0, 1), 3).view_as(some)
    frames = frames.clone()
    frames[rows] = some + detail * dice.uniform(0.3, 1.2, len(rows), 1, 1, 1, 1)
    return frames


def darken_and_noise(dice: Dice, frames: Tensor) -> Tensor:
    """Dark scenes and sensor noise: grows with light, fine and coarse grain."""
    batch, count, _, height, width = frames.shape
    dark = per_sequence(dice, batch, 0.3, 0.7, 0.07)
    frames = frames * (1 - dark)
    rows = torch.nonzero(dice.chance(0.6, batch)).flatten()
    if not len(rows):
        return frames
    some = frames[rows]
    # Large fields of noise are drawn where they are used, from a seed that the dice give.
    device = frames.device
    generator = torch.Generator(device).manual_seed(int(dice.below(2**31, 1)))
    grain = torch.randn(some.shape, generator=generator, device=device)
    half = len(rows) // 2  # every second noisy sequence has coarse grain as well
    shape = (half * count, 3, math.ceil(height / 3), math.ceil(width / 3))
    if half:
        coarse = torch.randn(shape, generator=generator, device=device)
        coarse = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
        grain[:half] = grain[:half] * 0.5 + coarse.view_as(grain[:half])
    size = dice.uniform(0.0, 0.05, len(rows), 1, 1, 1, 1) * (1 - dark[rows] * 0.5)
    frames[rows] = torch.addcmul(some, grain.mul_(size), some * 0.7 + 0.3)
    return frames


def dct_matrix(device: torch.device) -> Tensor:
    """Orthonormal DCT-II of 8 points, [8,8]."""
    k = torch.arange(8.0, device=device)
    matrix = torch.cos(math.pi * (2 * k[None] + 1) * k[:, None] / 16) / 2
    matrix[0] /= math.sqrt(2)
    return matrix


def compress(dice: Dice, frames: Tensor) -> Tensor:
    """Block quantisation in the DCT domain as JPEG does, in two fifths of the sequences."""
    batch = frames.shape[0]
    chosen = dice.chance(0.4, batch)
    if not bool(chosen.any()):
        return frames
    some = frames[chosen]
    count, steps, _, height, width = some.shape
    matrix = torch.tensor(YCBCR, device=frames.device)
    y = torch.einsum("ij,btjhw->btihw", matrix, some * 255)
    blocks = y.reshape(count, steps, 3, height // 8, 8, width // 8, 8).transpose(4, 5)
    dct = dct_matrix(frames.device)
    table = torch.tensor(JPEG_LUMA, dtype=torch.float32, device=frames.device).view(8, 8)
    chroma = torch.tensor((1.0, 1.7, 1.7), device=frames.device).view(3, 1, 1, 1, 1)
    strength = torch.exp(dice.uniform(math.log(0.15), math.log(1.8), count, 1, 1, 1, 1, 1, 1))
    quantum = table * chroma * strength
    levels = torch.round(dct @ blocks @ dct.T / quantum) * quantum
    y = (dct.T @ levels @ dct).transpose(4, 5).reshape(some.shape)
    back = torch.linalg.inv(matrix)
    out = frames.clone()
    out[chosen] = torch.einsum("ij,btjhw->btihw", back, y) / 255
    return out


def degrade(dice: Dice, frames: Tensor, alpha: Tensor) -> Tensor:
    """Everything in the order in which it happens to light; result rounded to 8 bits."""
    frames = back_light(dice, colours(dice, frames, 0.7), alpha)
    frames = soften(dice, sharpen(dice, flicker(dice, frames)))
    frames = compress(dice, darken_and_noise(dice, frames).clamp(0, 1))
    return torch.round(frames.clamp(0, 1) * 255) / 255
