"""The bundled matting network: MobileNetV2, context, three ConvGRUs, plain 3x3 decoder.

Made for CPUs: only convolutions, x2 bilinear upsampling and a global mean; nothing but the
picture and the matte exists at full size (the last maps are at half size: the picture enters
them by a 2x2 convolution, the matte leaves by depth-to-space). H and W are multiples of 16.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

State = tuple[Tensor, Tensor, Tensor]

STATE_CHANNELS = (16, 24, 48)  # r1 at 1/4, r2 at 1/8, r3 at 1/16
STATE_STRIDES = (4, 8, 16)

# MobileNetV2 (arXiv 1801.04381, table 2) at width 0.5: output channels and stride. The published
# weights are those of output stride 8: the stride of the sixth entry is put back and the dilations
# behind it are dropped (dilated depthwise convolutions are slow on CPUs, in training above all).
BLOCKS = (
    *((12, 2), (12, 1), (16, 2), (16, 1), (16, 1), (32, 2), (32, 1), (32, 1), (32, 1)),
    *((48, 1), (48, 1), (48, 1), (80, 1), (80, 1), (80, 1), (160, 1)),
)
QUARTER, EIGHTH = 1, 4  # blocks after which the skip connections leave


class Inverted(nn.Module):
    """Expand x6, depthwise, project; batch norms are already folded into the biases."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = inputs * 6
        self.expand = nn.Conv2d(inputs, wide, 1)
        self.depth = nn.Conv2d(wide, wide, 3, stride, 1, groups=wide)
        self.project = nn.Conv2d(wide, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(F.relu6(self.depth(F.relu6(self.expand(x)))))
        return x + y if self.residual else y


class Encoder(nn.Module):
    """[N,3,H,W] in 0..1 -> maps of 16, 12, 16 and 256 channels at 1/2, 1/4, 1/8, 1/16."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.depth = nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.project = nn.Conv2d(16, 8, 1)
        blocks, inputs = [], 8
        for outputs, stride in BLOCKS:
            blocks.append(Inverted(inputs, outputs, stride))
            inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.local = nn.Conv2d(160, 256, 1)
        self.pooled = nn.Conv2d(160, 256, 1)
        # The published 512 -> 256 projection of concat(pooled, local), as a sum of two, so that
        # the pooled half is computed at one position only.
        self.merge_pooled = nn.Conv2d(256, 256, 1)
        self.merge_local = nn.Conv2d(256, 256, 1, bias=False)

    def forward(self, src: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        half = F.relu6(self.stem(src * 2 - 1))
        x = self.project(F.relu6(self.depth(half)))
        skips = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in (QUARTER, EIGHTH):
                skips.append(x)
        context = F.relu(self.pooled(x.mean((2, 3), keepdim=True)))
        x = self.merge_local(F.relu(self.local(x))) + self.merge_pooled(context)
        return half, skips[0], skips[1], F.relu(x)

    def fix_edges(self) -> None:
        """Stops the learning of what leads to 1/8: a quarter of a step's work, and it is learnt."""
        for part in (self.stem, self.depth, self.project, *self.blocks[: EIGHTH + 1]):
            part.requires_grad_(False)

    def convolutions(self) -> Iterator[nn.Conv2d]:
        """All convolutions with published weights before the projection, in graph order."""
        yield from (self.stem, self.depth, self.project)
        for block in self.blocks:
            assert isinstance(block, Inverted)
            yield from (block.expand, block.depth, block.project)
        yield from (self.local, self.pooled)

    def load_published(self, path: Path) -> None:
        """Takes the weights of deeplabv3_mnv2_257.onnx (Apache-2.0, ImageNet and VOC)."""
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(str(path)).graph
        arrays = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        pairs = [
            (torch.tensor(arrays[n.input[1]]), torch.tensor(arrays[n.input[2]]))
            for n in graph.node
            if n.op_type == "Conv"
        ]
        with torch.no_grad():
            ours = list(self.convolutions())
            for conv, (weight, bias) in zip(ours, pairs, strict=False):
                conv.weight.copy_(weight)
                assert conv.bias is not None
                conv.bias.copy_(bias)
            weight, bias = pairs[len(ours)]
            self.merge_pooled.weight.copy_(weight[:, :256])
            self.merge_local.weight.copy_(weight[:, 256:])
            assert self.merge_pooled.bias is not None
            self.merge_pooled.bias.copy_(bias)


class Context(nn.Module):
    """Sees further than the encoder: dense convolutions at 1/32, added to its last map.

    What is learnt about people as a whole is learnt here: dense weights are nearly free where a
    map has a hundred positions. It starts as nothing (its last convolution is zero).
    """

    def __init__(self, channels: int, width: int = 128) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, width, 3, 2, 1)
        self.look = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(3))
        self.back = nn.Conv2d(width, channels, 1)
        for conv in (self.down, *self.look):
            nn.init.kaiming_normal_(conv.weight)
            nn.init.zeros_(conv.bias)
        nn.init.zeros_(self.back.weight)
        nn.init.zeros_(self.back.bias)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.down(x))
        for look in self.look:
            y = y + F.relu(look(y))
        # To the size of x, not by 2: the map at 1/16 may have odd sides.
        y = F.interpolate(self.back(y), x.shape[-2:], mode="bilinear", align_corners=False)
        return F.relu(x + y)


class ConvGRU(nn.Module):
    """Convolutional GRU (arXiv 1511.06432): r, u = sigmoid, c = tanh, h' = h + u (c - h).

    What depends on the input alone is computed for all frames at once. The gates have their own
    convolutions because a split in the middle of the graph costs CPU runtimes a change of layout.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_input = nn.ModuleList(nn.Conv2d(channels, channels, 3, 1, 1) for _ in range(3))
        self.of_state = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False) for _ in range(3)
        )

    def forward(self, x: Tensor, state: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """X [T*B,C,h,w] with time outermost, state [B,C,h,w]; returns the same shapes."""
        inputs = [conv(x) for conv in self.of_input]
        if frames == 1:
            state = self.step(inputs, state)
            return state, state
        states = []
        for now in zip(*(i.chunk(frames) for i in inputs), strict=True):
            state = self.step(now, state)
            states.append(state)
        return torch.cat(states), state

    def step(self, inputs: Sequence[Tensor], state: Tensor) -> Tensor:
        to_reset, to_update, to_fresh = self.of_state
        reset = torch.sigmoid(inputs[0] + to_reset(state))
        update = torch.sigmoid(inputs[1] + to_update(state))
        fresh = torch.tanh(inputs[2] + to_fresh(reset * state))
        return state + update * (fresh - state)


class Level(nn.Module):
    """One scale of the decoder: half of its channels are remembered, half are not.

    What need not be remembered keeps a short way, and the GRU costs a quarter of a full one.
    """

    def __init__(self, inputs: int, channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.still = mix(inputs, channels // 2, kernel)
        self.moving = mix(inputs, channels // 2, kernel)
        self.gru = ConvGRU(channels // 2)

    def forward(self, x: Tensor, state: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        y, state = self.gru(self.moving(x), state, frames)
        return torch.cat((self.still(x), y), 1), state


def mix(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch norm (folded when exported), ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class MattingNet(nn.Module):
    """The whole network; about 1.7 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.context = Context(256)
        self.level16 = Level(256, 96, kernel=1)
        self.level8 = Level(96 + 16, 48)
        self.widen = nn.Conv2d(12, 16, 1)  # to 16: runtimes pack channels by 16
        self.level4 = Level(48 + 16, 32)
        # Added to their own inputs: most of the error is at outlines, and few filters are there.
        self.outline4 = nn.Conv2d(32, 32, 3, 1, 1)
        self.narrow = nn.Conv2d(32, 16, 1)
        self.pixels = nn.Conv2d(3, 16, 2, 2)  # a learnt space-to-depth
        self.mix2 = nn.Sequential(mix(16 + 16 + 16, 16), mix(16, 16))
        self.outline2 = nn.Conv2d(16, 16, 3, 1, 1)
        self.matte = nn.Conv2d(16, 4, 3, 1, 1)
        # Heads for training only: a coarse matte at 1/16 and 1/4 tells the deep layers at once
        # what they are for.
        self.coarse = nn.ModuleList([nn.Conv2d(96, 1, 1), nn.Conv2d(32, 1, 1)])

    def start(self, batch: int, height: int, width: int) -> State:
        """The empty state: zeros [B,C,H/stride,W/stride]."""
        where = self.matte.weight
        r1, r2, r3 = (
            torch.zeros(batch, c, height // s, width // s, device=where.device, dtype=where.dtype)
            for c, s in zip(STATE_CHANNELS, STATE_STRIDES, strict=True)
        )
        return r1, r2, r3

    def forward(
        self, src: Tensor, state: State, frames: int = 1
    ) -> tuple[Tensor, tuple[Tensor, ...], State]:
        """Logits of the matte, coarse logits, next state.

        `src` is [T*B,3,H,W] in 0..1, time outermost, `frames` = T; logits [T*B,1,H,W].
        """
        r1, r2, r3 = state
        half, quarter, eighth, deep = self.encoder(src)
        x16, r3 = self.level16(self.context(deep), r3, frames)
        x8, r2 = self.level8(torch.cat((up(x16), eighth), 1), r2, frames)
        x4, r1 = self.level4(torch.cat((up(x8), self.widen(quarter)), 1), r1, frames)
        x4 = x4 + F.relu(self.outline4(x4))
        fine = self.mix2(torch.cat((up(self.narrow(x4)), half, self.pixels(src)), 1))
        fine = F.relu(fine + self.outline2(fine))
        logits = F.pixel_shuffle(self.matte(fine), 2)
        coarse: tuple[Tensor, ...] = ()
        if self.training:
            coarse = tuple(head(x) for head, x in zip(self.coarse, (x16, x4), strict=True))
        return logits, coarse, (r1, r2, r3)


def to_alpha(logits: Tensor) -> Tensor:
    """Logits -> alpha in 0..1; stretched by 2 % so that exact 0 and 1 are reached."""
    return (torch.sigmoid(logits) * 1.02 - 0.01).clamp(0, 1)
