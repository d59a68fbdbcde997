"""Paths of camera and subject over time, and sampling of pictures along them.

A placement maps output pixels to pixels of a source picture: where the picture's centre lies in
the output (x, y, pixels), how large it is drawn (scale), its turn (radians) and whether it is
mirrored. All are float32 [B,T].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


@dataclass
class Placement:
    """Where a picture is drawn in each frame; all fields [B,T]."""

    x: Tensor
    y: Tensor
    scale: Tensor
    turn: Tensor
    mirror: Tensor  # +1 or -1

    def of(self, rows: Tensor) -> Placement:
        """Those of the sequences `rows` [N]."""
        return Placement(*(field[rows] for field in vars(self).values()))


class Dice:
    """Random numbers on the CPU from one seed, moved to the device (small tensors only).

    The same seed gives the same sequences on every device.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.device = device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator).to(self.device) * (high - low) + low

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator).to(self.device)

    def chance(self, p: float, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator).to(self.device) < p

    def below(self, bound: int, *shape: int) -> Tensor:
        return torch.randint(bound, shape, generator=self.generator)

    def number(self) -> float:
        return float(torch.rand(1, generator=self.generator))


def clock(dice: Dice, batch: int, frames: int) -> Tensor:
    """Time [B,T] in frames, with pauses: a third of the sequences stand still for a while."""
    step = torch.ones(batch, frames, device=dice.device)
    start = dice.uniform(0, frames, batch, 1)
    length = dice.uniform(0, frames, batch, 1) * dice.chance(0.33, batch, 1)
    now = torch.arange(frames, device=dice.device)
    step[(now >= start) & (now < start + length)] = 0
    time = step.cumsum(1)
    return time - time[:, :1]


def wander(dice: Dice, time: Tensor, speed: Tensor) -> Tensor:
    """A path [B,T] starting near 0: drift, one swing and a little shake, all times `speed` [B]."""
    batch, frames = time.shape
    drift = dice.normal(batch, 1) * time
    swing = dice.normal(batch, 1) * 4 * torch.sin(dice.uniform(0.1, 0.7, batch, 1) * time)
    moving = torch.cat((torch.zeros_like(time[:, :1]), time.diff(dim=1)), 1)
    shake = dice.normal(batch, frames) * 0.5 * moving * dice.chance(0.5, batch, 1)
    return (drift + swing + shake) * speed[:, None]


def within(value: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """`value` brought between `low` and the larger of both bounds, [N]."""
    return torch.minimum(torch.maximum(value, low), torch.maximum(low, high))


def tilt(dice: Dice, count: int, spread: float) -> Tensor:
    """Turns, radians [N]: mostly about upright, one in eight far, for limbs in all directions."""
    return dice.normal(count) * torch.where(dice.chance(0.12, count), 0.6, spread)


def move(dice: Dice, place: Placement, width: int, height: int, moving: Tensor) -> Placement:
    """Sets a placement in motion; `moving` [B] bool says which sequences move at all.

    Speeds are fractions of the picture per frame: mostly slow, now and then quick.
    """
    batch, frames = place.x.shape
    time = clock(dice, batch, frames)
    speed = 0.006 * torch.exp(dice.normal(batch)) * moving
    return Placement(
        place.x + wander(dice, time, speed) * width,
        place.y + wander(dice, time, speed * 0.6) * height,
        place.scale * torch.exp(wander(dice, time, speed * 0.4).clamp(-0.5, 0.5)),
        place.turn + wander(dice, time, speed * 0.3).clamp(-0.4, 0.4),
        place.mirror,
    )


def ripple(dice: Dice, batch: int, frames: int, height: int, width: int) -> Tensor:
    """Smooth changing bends, pixels [B,T,2,H,W]: stands for limbs and cloth that move.

    Half of the sequences have none.
    """
    size = dice.uniform(0, 0.05, batch, 1, 1, 1, 1) * dice.chance(0.5, batch, 1, 1, 1, 1)
    time = torch.arange(frames, device=dice.device)[None, :, None, None, None]
    phase = dice.uniform(0, 6.3, batch, 1, 2, 4, 4)
    coarse = torch.sin(dice.uniform(0.1, 0.5, batch, 1, 1, 1, 1) * time + phase) * size * width
    # Smooth where it matters and cheap: cubic to an eighth of the size, linear from there.
    smooth = F.interpolate(
        coarse.flatten(0, 1), (height // 8, width // 8), mode="bicubic", align_corners=True
    )
    smooth = F.interpolate(smooth, (height, width), mode="bilinear", align_corners=True)
    return smooth.view(batch, frames, 2, height, width)


def sample(
    source: Tensor, extent: Tensor, place: Placement, bend: Tensor, fold: bool
) -> tuple[Tensor, Tensor]:
    """Draws pictures [N,C,S,S] float, content top left in `extent` [N,2] (height, width).

    `place` is [N,T] (N = B, or N = B*T with T = 1), `bend` [N,T,2,H,W] pixels. Outside its
    content a picture is folded back (mirrored) or, without `fold`, its border goes on.
    Returns frames [N,T,C,H,W] and bool [N,T,1,H,W] that says where real content is.
    """
    count, frames, _, height, width = bend.shape
    rows = torch.arange(height, device=source.device).view(1, 1, -1, 1) + 0.5
    columns = torch.arange(width, device=source.device).view(1, 1, 1, -1) + 0.5

    def wide(x: Tensor) -> Tensor:
        return x[:, :, None, None]

    dx = (columns + bend[:, :, 0] - wide(place.x)) / wide(place.scale)
    dy = (rows + bend[:, :, 1] - wide(place.y)) / wide(place.scale)
    cos, sin = wide(torch.cos(place.turn)), wide(torch.sin(place.turn))
    high, broad = extent[:, 0].view(-1, 1, 1, 1), extent[:, 1].view(-1, 1, 1, 1)
    u = (cos * dx + sin * dy) * wide(place.mirror) + broad / 2
    v = cos * dy - sin * dx + high / 2
    inside = (u >= 0) & (u <= broad) & (v >= 0) & (v <= high)
    if fold:
        u = broad - (broad - u.remainder(2 * broad)).abs()
        v = high - (high - v.remainder(2 * high)).abs()
    # Half a pixel inside, so that nothing outside the content is ever mixed in.
    u, v = (torch.minimum(c.clamp(min=0.5), e - 0.5) for c, e in ((u, broad), (v, high)))
    size = source.shape[-1]
    grid = torch.stack((u, v), -1) * (2 / size) - 1
    drawn = F.grid_sample(
        source, grid.view(count, frames * height, width, 2).to(source.dtype), align_corners=False
    )
    drawn = drawn.view(count, -1, frames, height, width).transpose(1, 2)
    return drawn, inside[:, :, None]
