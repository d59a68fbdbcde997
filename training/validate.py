"""Scores on the held-out part of the pack: same making of sequences, other people and rooms."""

from __future__ import annotations

import torch
from torch import Tensor

from training.network import MattingNet, to_alpha
from training.sequences import CLIP, EMPTY, OWN, ROOM, Maker

FIRST_SEED = 777_000_000
BATCH, FRAMES = 6, 8


@torch.no_grad()
def validate(net: MattingNet, held: Maker, area: int, batches: int) -> dict[str, float]:
    """Means over `batches` fixed batches of 6 sequences of 8 frames, float32, cold start.

    mad, mse (x1e3), dtssd (x1e2), iou as in RVM's published evaluation; first: mad of the first
    frames; little: iou of frames of which people fill .4 to 12 %, far away or a shoulder at the
    edge; own, clip, room: mad by kind of sequence; nobody: mean alpha x1e3 where the target is
    empty; score: what the best checkpoint is chosen by, mad + dtssd.
    """
    net.eval()
    sums: dict[str, list[Tensor]] = {}

    def note(name: str, values: Tensor) -> None:
        if values.numel():
            sums.setdefault(name, []).append(values.float().flatten().cpu())

    for number in range(batches):
        batch = held.make(FIRST_SEED + number, BATCH, FRAMES, area)
        target = batch.alphas
        _, count, _, height, width = target.shape
        logits, _, _ = net(batch.frames.flatten(0, 1), net.start(count, height, width), FRAMES)
        alpha = to_alpha(logits).view_as(target)
        error = (alpha - target).abs().mean((2, 3, 4)) * 1e3  # [T,B]
        note("mad", error)
        note("first", error[0])
        note("mse", (alpha - target).square().mean((2, 3, 4)) * 1e3)
        change = (alpha.diff(dim=0) - target.diff(dim=0)).square().mean((2, 3, 4))
        note("dtssd", change.sqrt() * 1e2)
        filled = target.mean((2, 3, 4))
        some, little = filled > 1e-3, (filled > 4e-3) & (filled < 0.12)
        p, q = alpha > 0.5, target > 0.5
        union = (p | q).sum((2, 3, 4)).clamp(min=1)
        iou = (p & q).sum((2, 3, 4)) / union
        note("iou", iou[some])
        note("little", iou[little])
        note("nobody", alpha.mean((2, 3, 4))[~some] * 1e3)
        for name, kind in (("own", OWN), ("clip", CLIP), ("room", ROOM), ("empty", EMPTY)):
            note(name, error[:, (batch.kind == kind).to(error.device)])
    means = {name: round(float(torch.cat(v).mean()), 4) for name, v in sums.items()}
    means["score"] = round(means["mad"] + means["dtssd"], 4)
    return means
