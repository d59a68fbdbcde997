"""Makes training sequences on the fly.

Every frame is a background layer and up to two subjects over it. The background layer is a
picture or clip with people in it (moved as a whole, teacher alpha), a room, or nobody's picture;
subjects are people cut from pictures or exact cut-outs, with their own motion and light.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training import things
from training.looks import (
    box,
    clean_foreground,
    colours,
    degrade,
    dress_dark,
    dress_plain,
    match_light,
)
from training.motion import Dice, Placement, move, ripple, sample, tilt, within
from training.pack import Item, runs

SHAPES = ((9, 16), (9, 16), (16, 9), (3, 4), (4, 3), (1, 1))  # height : width
OWN, CLIP, ROOM, EMPTY = range(4)  # kinds of background layer
KIND_CHANCES = (0.25, 0.14, 0.42, 0.19)
FURNISHED = 0.4  # of the rooms, with or without people, have things put into them
WALK, PART = 0.6, 0.65  # of those drawn over rooms come or leave; of these stay in sight in part
EXACT, TAUGHT = 3.0, 0.2  # weights of outlines

# How often pictures are drawn, by a piece of their name: a third of all people stand with hanging
# arms in street fashion, while few stretch, bend, dance or sign, and those were matted worst. A
# quarter of what is nobody is clothes spread out, from which it was learnt that a dark shoulder is
# nobody either.
SHARES = {"ccp/": 0.4, "yoga/": 5.0, "photos/": 3.0, "signers/": 3.0, "hd_": 1.5, "vikram/": 1.5}
SHARES |= {"garments/": 0.2}
REACH = 6.0  # how much more often limbs held out fully are drawn, for the same reason


@dataclass
class Batch:
    """Frames [T,B,3,H,W] and alphas [T,B,1,H,W], float32 in 0..1; kind [B] as above.

    Weights [T,B,1,H,W] say how much a pixel is to be learnt from: more at exact outlines, little
    at those that a teacher drew, who is right about where people are, but soft at their edges.
    """

    frames: Tensor
    alphas: Tensor
    weights: Tensor
    kind: Tensor


def frame_size(area: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width of about `area` pixels with the given aspect, multiples of 16."""
    unit = (area / (shape[0] * shape[1])) ** 0.5
    high, wide = (max(2, round(side * unit / 16)) * 16 for side in shape)
    return high, wide


def share(item: Item) -> float:
    """How often a picture is drawn: how far the teachers agree, times SHARES, and its limbs."""
    known = next((v for piece, v in SHARES.items() if piece in item.name), 1.0)
    return item.weight * known * (1 + REACH * item.reach)


class Maker:
    """Draws batches from the unpacked canvases, for training or for validation."""

    def __init__(
        self,
        items: list[Item],
        canvases: npt.NDArray[np.uint8],
        device: torch.device,
        held_out: bool = False,
    ) -> None:
        self.device = device
        # On a GPU all canvases fit (some 3 GB) and gathering costs nothing; on a CPU they stay
        # mapped and only the pages that are drawn are read.
        self.canvases = canvases
        self.resident = torch.from_numpy(canvases[:]).to(device) if device.type == "cuda" else None
        self.extent = torch.tensor([(i.height, i.width) for i in items], dtype=torch.float32)
        self.box = torch.tensor([i.box for i in items], dtype=torch.float32)
        self.cut = torch.tensor([i.cut for i in items])
        chosen = [(n, i) for n, i in enumerate(items) if i.held_out == held_out]

        def pick(*kinds: str) -> Tensor:
            return torch.tensor([n for n, i in chosen if i.kind in kinds], dtype=torch.long)

        self.people, self.empty = pick("person"), pick("empty")
        self.rooms, self.cutouts = pick("background", "empty"), pick("cutout")
        self.share = torch.tensor([share(i) for i in items])
        # A person who is cut off at the left, right or top cannot walk through another room.
        self.free = self.people[~self.cut[self.people][:, :3].any(1)]
        mine = {n for n, _ in chosen}
        self.clips = [torch.tensor(run) for _, run in runs(items) if run[0] in mine]

    def make(self, seed: int, batch: int, frames: int, area: int) -> Batch:
        """One batch; the same arguments always give the same batch on the same device type."""
        dice = Dice(seed, self.device)
        height, width = frame_size(area, SHAPES[int(dice.below(len(SHAPES), 1))])
        chances = torch.tensor(KIND_CHANCES)
        kind = torch.multinomial(chances, batch, True, generator=dice.generator)
        index = self.choose(dice, kind, frames)
        furnished = ((kind == ROOM) | (kind == EMPTY)) & dice.chance(FURNISHED, batch).cpu()
        rgb, alpha = self.ground(dice, index, height, width, furnished)
        drawn = outline(alpha)
        rgb = colours(dice, rgb, 0.5)
        # Everybody in a room; now and then somebody joins the people of a picture.
        joined = (kind == ROOM) | ((kind == OWN) & dice.chance(0.15, batch).cpu())
        rgb, alpha = self.add_subject(dice, rgb, alpha, joined)
        rgb, alpha = self.add_subject(dice, rgb, alpha, joined & dice.chance(0.25, batch).cpu())
        rgb = degrade(dice, rgb, alpha)
        weight = torch.where(outline(alpha), EXACT, 1.0)
        weight = torch.where(drawn, TAUGHT, weight) * rarity(alpha)
        frames, alphas, weights = (x.transpose(0, 1) for x in cuts(dice, rgb, alpha, weight))
        return Batch(frames, alphas, weights, kind)

    def choose(self, dice: Dice, kind: Tensor, frames: int) -> Tensor:
        """Items of the background layer, [B,T]."""
        batch = len(kind)
        index = torch.zeros(batch, frames, dtype=torch.long)
        own = self.draw(dice, self.people, batch)
        rooms, empty = (self.draw(dice, some, batch) for some in (self.rooms, self.empty))
        for value, choice in ((OWN, own), (ROOM, rooms), (EMPTY, empty)):
            index[kind == value] = choice[kind == value, None]
        for row in torch.nonzero(kind == CLIP).flatten().tolist():
            if not self.clips:
                kind[row], index[row] = OWN, own[row]
                continue
            clip = self.clips[int(dice.below(len(self.clips), 1))]
            # Played forwards or backwards, and there and back again when it is too short.
            start = int(dice.below(len(clip), 1))
            step = 1 if dice.number() < 0.5 else -1
            at = (start + step * torch.arange(frames)).remainder(2 * len(clip))
            index[row] = clip[torch.minimum(at, 2 * len(clip) - 1 - at)]
        return index

    def draw(self, dice: Dice, some: Tensor, count: int) -> Tensor:
        """`count` of the items `some`, by their shares."""
        return some[torch.multinomial(self.share[some], count, True, generator=dice.generator)]

    def gather(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Canvases [N,4,S,S] float 0..1 and extents [N,2] of the items `index` [N]."""
        if self.resident is not None:
            canvas = self.resident[index.to(self.device)]
        else:
            canvas = torch.from_numpy(self.canvases[index.numpy()])
        return canvas.to(self.device).float().div_(255), self.extent[index].to(self.device)

    def ground(
        self, dice: Dice, index: Tensor, height: int, width: int, furnished: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The background layer: rgb [B,T,3,H,W], alpha [B,T,1,H,W]; it fills the frame.

        In the sequences `furnished` [B] something stands in it.
        """
        batch, frames = index.shape
        extent = self.extent[index[:, 0]].to(self.device)
        cover = torch.maximum(height / extent[:, 0], width / extent[:, 1])
        # Mostly a little larger than the frame, now and then much, or smaller (then folded).
        scale = cover * torch.exp(dice.uniform(-0.1, 0.5, batch))
        room_y, room_x = (scale * extent[:, 0] - height) / 2, (scale * extent[:, 1] - width) / 2
        x = width / 2 + room_x * dice.uniform(-1, 1, batch)
        y = height / 2 + room_y * dice.uniform(-1, 1, batch)
        mirror = dice.chance(0.5, batch) * 2.0 - 1
        # Cameras are pointed at heads: in most sequences the subject's top and middle are seen.
        box = self.box[index[:, 0]].to(self.device)
        framed = dice.chance(0.75, batch) & (box[:, 3] > 0)
        middle = (box[:, 0] + box[:, 2] - extent[:, 1]) / 2 * scale * mirror
        top = (box[:, 1] - extent[:, 0] / 2) * scale
        x = torch.where(framed, within(x, 0.15 * width - middle, 0.85 * width - middle), x)
        y = torch.where(framed, within(y, -0.05 * height - top, 0.5 * height - top), y)
        place = Placement(
            within(x, width / 2 - room_x, width / 2 + room_x)[:, None].repeat(1, frames),
            within(y, height / 2 - room_y, height / 2 + room_y)[:, None].repeat(1, frames),
            scale[:, None].repeat(1, frames),
            tilt(dice, batch, 0.06)[:, None].repeat(1, frames),
            mirror[:, None].repeat(1, frames),
        )
        place = move(dice, place, width, height, dice.chance(0.6, batch))
        bend = ripple(dice, batch, frames, height, width)
        flat = Placement(*(f.reshape(-1, 1) for f in vars(place).values()))
        source, extents = self.gather(index.flatten())
        drawn, _ = sample(source, extents, flat, bend.flatten(0, 1)[:, None], fold=True)
        drawn = drawn.view(batch, frames, 4, height, width)
        rgb, alpha = drawn[:, :, :3], drawn[:, :, 3:]
        for rows in (torch.nonzero(furnished).flatten(), torch.nonzero(furnished)[::2].flatten()):
            if len(rows):
                texture = self.gather(self.draw(dice, self.rooms, len(rows)))
                rgb[rows] = things.furnish(dice, rgb[rows], *texture, place.of(rows), bend[rows])
        return rgb, alpha

    def add_subject(
        self, dice: Dice, rgb: Tensor, alpha: Tensor, which: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Draws somebody over the sequences `which` [B]; alpha is the union."""
        rows = torch.nonzero(which).flatten()
        count, frames, height, width = len(rows), rgb.shape[1], rgb.shape[3], rgb.shape[4]
        if not count:
            return rgb, alpha
        index = self.somebody(dice, count)
        source, extent = self.gather(index)
        source = torch.cat((clean_foreground(source), source[:, 3:]), 1)
        place = self.stand(dice, index, extent, frames, height, width)
        bend = ripple(dice, count, frames, height, width)
        drawn, inside = sample(source, extent, place, bend, fold=False)
        subject, matte = drawn[:, :, :3], drawn[:, :, 3:]
        # Below a body that is cut off at the bottom its lowest row goes on; elsewhere nothing.
        bottom = self.cut[index, 3].to(self.device)[:, None, None, None, None]
        matte = matte * (inside | bottom)
        # Points sampled from a larger picture give outlines harder than a camera's, which measures
        # areas; the colours of the solid part go on far enough for it.
        even = box(matte.flatten(0, 1), 3).view_as(matte)
        matte = torch.lerp(matte, even, dice.uniform(0, 1, count, 1, 1, 1, 1))
        rows = rows.to(self.device)
        behind, there = rgb[rows], alpha[rows]
        subject = dress_plain(dice, dress_dark(dice, colours(dice, subject, 0.6)))
        subject = match_light(dice, subject, matte, behind)
        rgb, alpha = rgb.clone(), alpha.clone()
        rgb[rows] = torch.lerp(behind, subject, matte)
        alpha[rows] = there + matte - there * matte
        return rgb, alpha

    def somebody(self, dice: Dice, count: int) -> Tensor:
        """Items of subjects: two in five are exact cut-outs."""
        index = self.draw(dice, self.free, count)
        exact = dice.chance(0.4, count).cpu()
        if len(self.cutouts):
            index = torch.where(exact, self.draw(dice, self.cutouts, count), index)
        return index

    def stand(
        self, dice: Dice, index: Tensor, extent: Tensor, frames: int, height: int, width: int
    ) -> Placement:
        """Where subjects stand, walk, come in and leave, [N,T]."""
        count = len(index)
        box = self.box[index].to(self.device)
        high = (box[:, 3] - box[:, 1]).clamp(min=8)
        # Every second one is close to the camera: head and shoulders, as people sit at desks.
        close = dice.chance(0.5, count)
        size = torch.where(close, dice.uniform(1.1, 2.6, count), dice.uniform(0.35, 1.25, count))
        scale = height * size / high
        # Not so large that hardly anything of the picture is left to be seen as sharp.
        scale = scale.clamp(max=1.6)
        mirror = dice.chance(0.5, count) * 2.0 - 1
        off_x = (box[:, 0] + box[:, 2] - extent[:, 1]) / 2 * scale * mirror
        # One in five may stand half outside: people come into pictures piece by piece.
        aside = 0.35 + 0.35 * dice.chance(0.2, count)
        x = width * (0.5 + aside * dice.uniform(-1, 1, count)) - off_x
        low = (box[:, 3] - extent[:, 0] / 2) * scale  # of the box's foot below the centre
        cut = self.cut[index, 3].to(self.device)
        # Cut-off bodies end below the frame; whole ones stand anywhere near the ground.
        free = dice.uniform(0.6, 1.3, count)
        y = height * torch.where(cut, free.clamp(min=1.02), free) - low
        top = (box[:, 1] - extent[:, 0] / 2) * scale
        y = torch.where(close, height * dice.uniform(0.02, 0.5, count) - top, y)
        place = Placement(
            x[:, None].repeat(1, frames),
            y[:, None].repeat(1, frames),
            scale[:, None].repeat(1, frames),
            tilt(dice, count, 0.05)[:, None].repeat(1, frames),
            mirror[:, None].repeat(1, frames),
        )
        place = move(dice, place, width, height, dice.chance(0.8, count))
        # Coming in from one side, or leaving: a ramp from 1 (outside) to 0 (in place).
        time = torch.arange(frames, device=self.device)
        when = dice.uniform(-6, 0.7 * frames, count, 1)
        length = dice.uniform(2, 12, count, 1)
        ramp = 1 - ((time - when) / length).clamp(0, 1)
        ramp = torch.where(dice.chance(0.5, count, 1), ramp, 1 - ramp)
        side = dice.chance(0.5, count, 1) * 2.0 - 1
        # As far as it takes to be gone: many stop before, a shoulder or an arm still in sight.
        middle, half = x + off_x, (box[:, 2] - box[:, 0]) / 2 * scale
        gone = torch.where(side[:, 0] > 0, width - middle, middle) + half
        part = dice.uniform(0.65, 1.05, count, 1)
        part = torch.where(dice.chance(PART, count, 1), dice.uniform(0.78, 0.97, count, 1), part)
        far = gone[:, None] * part
        walks = ramp * dice.chance(WALK, count, 1)
        place.x = place.x + walks * side * far
        # People who get up or bend down on the way: the face is gone before the shoulder is.
        down = dice.uniform(-0.3, 0.6, count, 1) * dice.chance(0.5, count, 1)
        place.y = place.y + walks * down * height
        return place


def outline(alpha: Tensor) -> Tensor:
    """Where alpha [B,T,1,H,W] is partial, and two pixels around; bool."""
    partial = ((alpha > 0.03) & (alpha < 0.97)).to(alpha.dtype)
    return box(partial.flatten(0, 1), 5).view_as(alpha) > 0


def rarity(alpha: Tensor) -> Tensor:
    """Weight of each frame of alpha [B,T,1,H,W]: a shoulder at the edge counts like somebody.

    1 where people fill a fifth of the frame or nobody is there, up to 5 where little is seen.
    """
    area = alpha.mean((2, 3, 4), keepdim=True)
    return torch.where(area > 2e-3, (0.2 / area.clamp(min=2e-3)).clamp(1, 5), 1.0)


def cuts(dice: Dice, *layers: Tensor) -> list[Tensor]:
    """In an eighth of the sequences [B,T,...] another one goes on from some frame: a hard cut."""
    batch, frames = layers[0].shape[:2]
    at = dice.below(max(frames, 1), batch)
    cut = dice.chance(0.125, batch).cpu()
    now = torch.arange(frames)
    after = (cut[:, None] & (now[None] >= at[:, None])).to(layers[0].device)[:, :, None, None, None]
    return [torch.where(after, layer.roll(1, 0), layer) for layer in layers]
