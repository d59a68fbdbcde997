"""Losses on mattes. All take logits or alphas [T,B,1,H,W] and return scalars (float32)."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from training.network import to_alpha

LEVELS = 4  # of the Laplacian pyramid; sides are multiples of 16


def halved(x: Tensor) -> Tensor:
    """Binomial 5x5 (1 4 6 4 1), every second pixel; [N,1,H,W], even -> [N,1,H/2,W/2].

    Shifted slices: convolutions of one channel are slow on CPUs, their gradients more so.
    """
    x = F.pad(x, (2, 2, 2, 2), mode="reflect")
    x = sum_of_taps([x[..., n : x.shape[3] - 4 + n : 2] for n in range(5)])
    return sum_of_taps([x[..., n : x.shape[2] - 4 + n : 2, :] for n in range(5)])


def sum_of_taps(x: list[Tensor]) -> Tensor:
    return (x[0] + x[4]) / 16 + (x[1] + x[3]) / 4 + x[2] * 0.375


def laplacian(error: Tensor, weight: Tensor) -> Tensor:
    """L1 over a Laplacian pyramid, coarser levels weighted by their scale; both [N,1,H,W].

    The pyramid is linear, so that of the difference is the difference of the pyramids
    (Hou and Liu, arXiv 1909.09725, eq. 3; there 5 levels, weights 2^level).
    """
    total = error.new_zeros(())
    for level in range(LEVELS):
        small = halved(error)
        back = F.interpolate(small, error.shape[-2:], mode="bilinear", align_corners=False)
        total = total + 2**level * (weight * (error - back).abs()).mean()
        error, weight = small, halved(weight)
    return total / LEVELS


def temporal(alpha: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Difference of the changes from frame to frame, as dtSSD measures it, but robust.

    The squared error alone (RVM, arXiv 2108.11515, section 5) hardly sees small flicker.
    """
    if alpha.shape[0] < 2:
        return alpha.new_zeros(())
    change = (alpha[1:] - alpha[:-1]) - (target[1:] - target[:-1])
    return (weight[1:] * (change.abs() + 2 * change.square())).mean()


def coarse_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of a head [N,1,h,w] with the area mean of the matte [N,1,H,W]."""
    height, width = logits.shape[-2:]
    small = F.adaptive_avg_pool2d(target, (height, width))
    return F.binary_cross_entropy_with_logits(logits.float(), small)


def matting_loss(
    logits: Tensor, coarse: tuple[Tensor, ...], target: Tensor, weight: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum, and its parts for the log; `weight` is that of each pixel."""
    logits = logits.float()
    alpha = to_alpha(logits)
    flat, true = (alpha - target).flatten(0, 1), target.flatten(0, 1)
    parts = {
        "l1": (weight * (alpha - target).abs()).mean(),
        # Cross entropy keeps a slope where a wrong pixel is saturated and L1 has none.
        "bce": 0.2 * F.binary_cross_entropy_with_logits(logits, target, weight),
        "lap": 0.5 * laplacian(flat, weight.flatten(0, 1)),
        "time": temporal(alpha, target, weight),
        "coarse": 0.1 * sum((coarse_loss(c, true) for c in coarse), alpha.new_zeros(())),
    }
    total = torch.stack(list(parts.values())).sum()
    return total, {name: float(part.detach()) for name, part in parts.items()}
