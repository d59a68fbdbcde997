"""Things that are nobody: vessels, boxes, lamps, heaps, made of round shapes and torn-out texture.

Pictures of rooms hold few things as close to the camera as people are, and so whatever stands at
the bottom of a picture in the shape of a head on shoulders was taken for somebody.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.looks import colours
from training.motion import Dice, Placement, sample

PARTS = 3


def outlines(dice: Dice, extent: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Mattes and shades [N,1,S,S] of things in the middle of canvases with `extent` [N,2].

    A thing is up to three superellipses above each other, each with its own width, height,
    squareness and taper; it reaches about half the shorter side of the picture to each side.
    """
    count = len(extent)
    half = extent.amin(1).view(-1, 1, 1, 1) / 2
    at = torch.arange(size, device=extent.device) + 0.5
    x = (at.view(1, 1, 1, -1) - extent[:, 1].view(-1, 1, 1, 1) / 2) / half
    y = (at.view(1, 1, -1, 1) - extent[:, 0].view(-1, 1, 1, 1) / 2) / half
    matte = torch.zeros(count, 1, size, size, device=extent.device)
    shade = torch.ones_like(matte)
    top = dice.uniform(-0.9, -0.3, count, 1, 1, 1)
    for number in range(PARTS):
        wide = dice.uniform(0.15, 0.85, count, 1, 1, 1)
        high = dice.uniform(0.15, 0.6, count, 1, 1, 1)
        power = torch.exp(dice.uniform(0.4, 2.3, count, 1, 1, 1))
        taper = dice.uniform(-0.5, 0.5, count, 1, 1, 1)
        aside = dice.uniform(-0.15, 0.15, count, 1, 1, 1)
        there = dice.chance(0.7, count, 1, 1, 1) if number else torch.ones_like(wide) > 0
        v = (y - top - high) / high
        u = (x - aside) / (wide * (1 + taper * v.clamp(-1, 1)))
        far = (u.abs().pow(power) + v.abs().pow(power)).clamp(min=1e-6).pow(1 / power)
        # One pixel and a half from nothing to all, as pictures of this size have it.
        part = ((1 - far) * (wide + high) / 2 * half / 1.5 + 0.5).clamp(0, 1) * there
        light = dice.uniform(-0.4, 0.4, count, 1, 1, 1)
        round_ = 1 + light * u.clamp(-1, 1) - dice.uniform(0, 0.4, count, 1, 1, 1) * u.square()
        shade = torch.lerp(shade, round_.clamp(0.2, 1.5), part)
        matte = torch.maximum(matte, part)
        top = top + there * high * dice.uniform(1.2, 2, count, 1, 1, 1)
    return matte, shade


def make(dice: Dice, source: Tensor, extent: Tensor) -> Tensor:
    """Pictures of rooms [N,4,S,S] -> things of their texture, alpha where the thing is.

    Every second one in a colour between skin, clay, wood and paper, most of them plainer than
    the room, and light from one side.
    """
    count, _, size, _ = source.shape
    matte, shade = outlines(dice, extent, size)
    rgb = colours(dice, source[:, None, :3])[:, 0]
    mean = (rgb * matte).sum((2, 3), keepdim=True) / (matte.sum((2, 3), keepdim=True) + 1e-3)
    rgb = torch.lerp(rgb, mean, dice.uniform(0, 0.9, count, 1, 1, 1))
    red = dice.uniform(0.25, 0.95, count, 1, 1, 1)
    green = red * dice.uniform(0.5, 0.95, count, 1, 1, 1)
    blue = green * dice.uniform(0.5, 1, count, 1, 1, 1)
    gain = (torch.cat((red, green, blue), 1) + 0.02) / (mean + 0.02)
    rgb = torch.where(dice.chance(0.5, count, 1, 1, 1), rgb * gain, rgb)
    return torch.cat(((rgb * shade).clamp(0, 1), matte), 1)


def put(dice: Dice, room: Placement, extent: Tensor, width: int, height: int) -> Placement:
    """Where things stand that move with a room: `room` [N,T], `extent` [N,2] of the things."""
    count = len(extent)
    x = width * dice.uniform(0, 1, count)
    # Half of them at the bottom edge, where people are.
    low = dice.chance(0.5, count)
    y = height * torch.where(low, dice.uniform(0.8, 1.1, count), dice.uniform(0.1, 1, count))
    size = height * torch.exp(dice.uniform(-2.0, 0.0, count)) / extent.amin(1)
    # The same place of the room in every frame: turned, grown and moved with it.
    dx, dy = (x - room.x[:, 0]) / room.scale[:, 0], (y - room.y[:, 0]) / room.scale[:, 0]
    turn = room.turn[:, 0]
    across = torch.cos(turn) * dx + torch.sin(turn) * dy
    down = torch.cos(turn) * dy - torch.sin(turn) * dx
    cos, sin = torch.cos(room.turn), torch.sin(room.turn)
    lean = dice.normal(count) * 0.1
    return Placement(
        room.x + room.scale * (cos * across[:, None] - sin * down[:, None]),
        room.y + room.scale * (sin * across[:, None] + cos * down[:, None]),
        room.scale / room.scale[:, :1] * size[:, None],
        room.turn - turn[:, None] + lean[:, None],
        room.mirror,
    )


def furnish(
    dice: Dice, rgb: Tensor, source: Tensor, extent: Tensor, room: Placement, bend: Tensor
) -> Tensor:
    """Frames [N,T,3,H,W] of rooms that moved along `room`, with something standing in each.

    `source` [N,4,S,S], `extent` [N,2]: other rooms, for texture; `bend` as in `sample`.
    """
    place = put(dice, room, extent, rgb.shape[4], rgb.shape[3])
    drawn, inside = sample(make(dice, source, extent), extent, place, bend, fold=False)
    return torch.lerp(rgb, drawn[:, :, :3], drawn[:, :, 3:] * inside)
