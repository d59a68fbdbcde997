"""A tiny run from coloured blobs to an ONNX file: pack, train, stop, resume, export, infer."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from blobs import packed, torch

from training import export, train
from training.cores import Cores
from training.losses import matting_loss, temporal
from training.network import EIGHTH, MattingNet
from training.optimiser import Optimisers, orthogonal

__all__ = ["packed"]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def options(packed: Path, out: Path, *more: str) -> list[str]:
    small = ["--frames", "8", "--area", "4096", "--no-bf16", "--device", "cpu", "--threads", "1"]
    checks = ["--check-batches", "1", "--log-every", "1000"]
    return ["--pack", str(packed), "--out", str(out), *small, *checks, *more]


def run(packed: Path, out: Path, *more: str) -> train.Trainer:
    return train.run(train.parser().parse_args(options(packed, out, *more)))


def test_what_finds_edges_can_rest(packed: Path, tmp_path: Path) -> None:
    untrained = run(packed, tmp_path / "none", "--steps", "0").net.encoder
    rested = run(packed, tmp_path / "rested", "--steps", "2", "--fix-edges").net.encoder
    ours, theirs = rested.state_dict(), untrained.state_dict()
    same = {name for name in ours if torch.equal(ours[name], theirs[name])}
    assert "stem.weight" in same and f"blocks.{EIGHTH}.depth.weight" in same
    assert f"blocks.{EIGHTH + 1}.depth.weight" not in same


def test_losses_vanish_only_for_the_truth() -> None:
    target = (torch.rand(3, 2, 1, 32, 48) > 0.5).float()
    right = (target * 2 - 1) * 20
    weight = torch.ones_like(target)
    assert float(matting_loss(right, (), target, weight)[0]) < 1e-3
    assert float(matting_loss(-right, (), target, weight)[0]) > 1
    assert float(matting_loss(-right, (), target, 0 * weight)[0]) == 0
    still = torch.rand(3, 2, 1, 32, 48)
    assert float(temporal(still, still, weight)) == 0
    assert float(temporal(still[:1], still[:1], weight[:1])) == 0


def test_threads_follow_what_is_faster() -> None:
    used: list[int] = []
    cores = Cores((2, 1), used.append)
    speed = {2: 5.0, 1: 9.0}  # somebody else has one of the two cores
    for step in range(400):
        if step == 200:
            speed[2] = 17.0
        cores.note(1.0, 1 / speed[cores.now])
    assert used[:3] == [2, 1, 1]
    assert used[-3:] == [2, 2, 2] or used[-5:].count(2) >= 4


def test_a_sequence_at_once_equals_frame_by_frame() -> None:
    torch.manual_seed(0)
    net = MattingNet().eval()
    frames = torch.rand(5, 2, 3, 32, 48)
    with torch.no_grad():
        together, _, last = net(frames.flatten(0, 1), net.start(2, 32, 48), 5)
        state, single = net.start(2, 32, 48), []
        for frame in frames:
            logits, _, state = net(frame, state)
            single.append(logits)
    assert torch.allclose(together, torch.cat(single), atol=1e-4)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(last, state, strict=True))


def test_training_learns_resumes_and_exports(packed: Path, tmp_path: Path) -> None:
    plan = ("--steps", "30", "--lr", "4e-3", "--average", "0.9")
    whole = run(packed, tmp_path / "whole", *plan)
    rows = (tmp_path / "whole/validation.jsonl").read_text().splitlines()
    trained = json.loads(rows[-1])
    untrained = run(packed, tmp_path / "none", "--steps", "0")
    assert untrained.step == 0
    before = json.loads((tmp_path / "none/validation.jsonl").read_text().splitlines()[-1])
    assert trained["mad"] < 0.7 * before["mad"]

    net = export.load(tmp_path / "whole/last.pt")
    for half, tolerance in ((False, 1e-3), (True, 3e-2)):
        path = tmp_path / f"net{half}.onnx"
        export.write(net, path, half)
        graph = export.session(path, 1)
        assert export.parity(net, graph, 48, 80) < tolerance
    assert path.stat().st_size < 0.6 * (tmp_path / "netFalse.onnx").stat().st_size
    # Exported weights are enough to train on where they ended.
    exported = ("--init", str(path), "--begin", "30", "--steps", "30")
    again = run(packed, tmp_path / "again", *exported)
    assert again.step == 30
    with pytest.raises(ValueError, match="--init"):
        run(packed, tmp_path / "nothing", "--begin", "30", "--steps", "30")
    assert export.parity(again.net.eval(), graph, 48, 80) < 1e-3
    alpha, state = export.step(graph, np.zeros((1, 3, 32, 32), np.float32), export.start(32, 32))
    assert alpha.shape == (1, 1, 32, 32)
    assert set(state) == {"r1", "r2", "r3"}
    assert whole.step == 30


def test_a_resumed_run_equals_an_unbroken_one(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = ("--steps", "6", "--check-batches", "0")
    monkeypatch.setattr(train, "validate", lambda *_: {"score": 0.0})
    whole = run(packed, tmp_path / "whole", *plan)
    clock = SimpleNamespace(now=0.0)

    def tick() -> float:
        clock.now += 10
        return clock.now

    # Ten seconds pass at every look at the clock, so that the limit falls in the middle.
    with monkeypatch.context() as patched:
        patched.setattr(train.time, "monotonic", tick)
        part = run(packed, tmp_path / "parts", *plan, "--time-limit", "1")
    assert 0 < part.step < 6
    resumed = run(packed, tmp_path / "parts", *plan)
    assert resumed.step == whole.step == 6
    ours, theirs = resumed.average.state_dict(), whole.average.state_dict()
    assert all(torch.allclose(ours[k], theirs[k], atol=1e-6) for k in ours)


@pytest.mark.parametrize("shape", [(16, 160), (96, 24)])
def test_muon_steps_are_near_orthogonal_and_descend(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    lines = torch.linalg.svdvals(orthogonal(torch.randn(shape) ** 3))
    assert float(lines.min()) > 0.5 and float(lines.max()) < 1.3

    conv = torch.nn.Conv2d(8, 16, 3)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), conv)
    both = Optimisers(net, net[0], share=0.5, decay=0.0)
    held = [[p for g in o.param_groups for p in g["params"]] for o in both.both]
    assert [len(some) for some in held] == [3, 1] and held[1][0] is conv.weight
    before = conv.weight.detach().clone()
    picture = torch.randn(2, 3, 8, 8)
    losses = []
    for _ in range(20):
        both.set_rate(0.01)
        both.zero_grad()
        loss = net(picture).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        both.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 4
    moved = (conv.weight.detach() - before).square().mean().sqrt()
    assert 0.01 < float(moved) < 0.01 * 20  # steps as large as AdamW's: some 0.2 of the rate
