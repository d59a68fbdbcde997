"""A tiny run from coloured blobs to an ONNX file: pack, train, stop, resume, export, infer."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

if importlib.util.find_spec("torch") is None and os.environ.get("VMATTE_REQUIRE_ALL") != "1":
    pytest.skip("PyTorch is not installed (it is needed only to train)", allow_module_level=True)

import torch

# The recipes are no part of the package, so they are found beside the tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training import export, pack, things, train
from training.cores import Cores
from training.looks import dress_dark, dress_plain
from training.losses import matting_loss, temporal
from training.motion import Dice, Placement, move, sample
from training.network import EIGHTH, MattingNet
from training.optimiser import Optimisers, orthogonal
from training.sequences import EXACT, TAUGHT, Maker, rarity

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def blob(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of smooth noise with a red body in it, and the body's alpha."""
    rgb = cv2.resize(rng.random((4, 5, 3)).astype(np.float32), (width, height)) * 0.7
    alpha = np.zeros((height, width), np.float32)
    x, y = rng.uniform(0.3, 0.7) * width, height * 0.9
    axes = (int(width * 0.2), int(height * 0.6))
    cv2.ellipse(alpha, (int(x), int(y)), axes, 0, 0, 360, 1.0, -1)
    alpha = cv2.GaussianBlur(alpha, (5, 5), 1)
    rgb = rgb * (1 - alpha[..., None]) + np.array([0.95, 0.15, 0.1]) * alpha[..., None]
    return (rgb * 255).astype(np.uint8), (alpha * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of blobs, made the way real ones are: folders of pictures and labels, then pack."""
    root = tmp_path_factory.mktemp("training")
    data, labels = root / "data", root / "labels"
    rng = np.random.default_rng(5)
    rows = []

    def write(path: Path, picture: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        order = [2, 1, 0, 3][: picture.shape[2]] if picture.ndim == 3 else None
        assert cv2.imwrite(str(path), picture if order is None else picture[..., order])

    for number in range(40):
        name = f"people/{number:02}.png"
        rgb, alpha = blob(rng, 96, 80)
        write(data / name, rgb)
        write(labels / name, alpha)
        agree = 0.95 if number else 0.2  # the first one is to be dropped
        rows.append({"path": name, "kind": "people", "area": 0.3, "agree": agree})
        rgba = np.dstack(blob(rng, 90, 60))
        write(data / f"cutouts/{number:02}.png", rgba)
        room = cv2.resize(rng.integers(0, 180, (5, 6, 3), np.uint8), (96, 80))
        write(data / f"backgrounds/{number:02}.png", room)
        write(data / f"no_person/{number:02}.png", room[:, ::-1])
        rows.append(
            {"path": f"no_person/{number:02}.png", "kind": "no_person", "area": 0.0, "agree": 1.0}
        )
    clip = [blob(np.random.default_rng(9), 80, 96) for _ in range(6)]
    (labels / "clips").mkdir()
    frames, alphas = (np.stack(side) for side in zip(*clip, strict=True))
    np.savez(labels / "clips/walk.npz", frames=frames, alpha=alphas)
    rows.append({"path": "clips/walk.mp4", "kind": "clips", "area": 0.3, "agree": 0.9})
    (data / "SOURCES.tsv").write_text(
        "path\tlicence\twhat\ntrain/people/02.png\tCC BY-NC-SA 4.0\tperson\n"
    )
    (labels / "labels.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    tested = pack.TESTED.split(",")[0]
    write(data / f"cutouts/{tested}", rgba)
    out = root / "pack.npz"
    pack.main(["--data", str(data), "--labels", str(labels), "--out", str(out), "--size", "96"])
    return out


def options(packed: Path, out: Path, *more: str) -> list[str]:
    small = ["--frames", "8", "--area", "4096", "--no-bf16", "--device", "cpu", "--threads", "1"]
    checks = ["--check-batches", "1", "--log-every", "1000"]
    return ["--pack", str(packed), "--out", str(out), *small, *checks, *more]


def run(packed: Path, out: Path, *more: str) -> train.Trainer:
    return train.run(train.parser().parse_args(options(packed, out, *more)))


def test_pack_keeps_what_it_should(packed: Path, tmp_path: Path) -> None:
    items, canvases = pack.unpack(packed, tmp_path)
    names = {i.name for i in items}
    assert "people/00.png" not in names, "teachers disagree"
    assert "people/02.png" not in names, "non-commercial"
    assert not names & set(pack.TESTED.split(",")), "subjects of the test folder"
    assert {i.kind for i in items} == set(pack.KINDS)
    assert any(i.held_out for i in items)
    assert not all(i.held_out for i in items)
    person = next(n for n, i in enumerate(items) if i.name == "people/03.png")
    original = pack.read(packed.parent / "labels/people/03.png")
    stored = canvases[person, 3, :96, :80]
    assert np.abs(stored.astype(int) - original).mean() < 3
    assert items[person].cut[3], "the body leaves at the bottom"
    again, same = pack.unpack(packed, tmp_path)
    assert again == items
    assert np.array_equal(same[person], canvases[person])


def test_limbs_held_out_are_known() -> None:
    body = np.zeros((100, 90), np.uint8)
    body[10:90, 30:60] = 255
    box = (0, 10, 90, 90)
    assert pack.limbs(body, (30, 10, 60, 90), (False,) * 4) == 0
    body[20:30] = 255
    assert pack.limbs(body, box, (False,) * 4) == 1.0, "two arms as long as the body is wide"
    one_cut = (True, False, False, False)
    assert pack.limbs(body, box, one_cut) == pytest.approx(0.5), "nothing known beyond the border"


def test_sequences_are_repeatable_and_in_range(packed: Path, tmp_path: Path) -> None:
    items, canvases = pack.unpack(packed, tmp_path)
    maker = Maker(items, canvases, torch.device("cpu"))
    one, two, other = (maker.make(seed, 4, 5, 64 * 64) for seed in (3, 3, 4))
    assert torch.equal(one.frames, two.frames)
    assert torch.equal(one.alphas, two.alphas)
    assert one.frames.shape != other.frames.shape or not torch.equal(one.frames, other.frames)
    for seed in range(12):
        batch = maker.make(seed, 4, 3, 64 * 64)
        for values in (batch.frames, batch.alphas):
            assert torch.isfinite(values).all()
            assert 0 <= float(values.min()) <= float(values.max()) <= 1


def test_outlines_weigh_by_who_drew_them(packed: Path, tmp_path: Path) -> None:
    items, canvases = pack.unpack(packed, tmp_path)
    maker = Maker(items, canvases, torch.device("cpu"))
    seen: set[float] = set()
    for seed in range(6):
        batch = maker.make(seed, 4, 2, 64 * 64)
        weights = batch.weights / rarity(batch.alphas)
        seen |= {round(w, 3) for w in weights.unique().tolist()}
        partial = (batch.alphas > 0.05) & (batch.alphas < 0.95)
        assert not (partial & (weights == 1)).any()
    assert seen == {TAUGHT, 1.0, EXACT}


def test_little_of_somebody_counts_like_somebody() -> None:
    alpha = torch.zeros(1, 4, 1, 20, 20)
    for frame, rows in enumerate((0, 1, 2, 10)):
        alpha[0, frame, 0, :rows] = 1
    assert rarity(alpha).flatten().tolist() == pytest.approx([1, 4, 2, 1])


def test_some_wear_black() -> None:
    subject = torch.tensor([0.2, 0.8]).view(1, 1, 1, 1, 2).repeat(400, 1, 3, 1, 1)
    dressed = dress_dark(Dice(3, torch.device("cpu")), subject)
    cloth, face = dressed[:, 0, 0, 0].T
    dark = cloth < 0.19
    assert 0.2 < float(dark.float().mean()) < 0.3
    assert torch.equal(dressed[~dark], subject[~dark])
    assert bool((cloth / 0.2 < face / 0.8)[dark].all()), "cloth turns black before a face does"
    assert float(cloth.min()) < 0.03 and float(face.min()) > 0.5


def test_plain_clothes_leave_faces() -> None:
    skin, shirt = torch.tensor([0.7, 0.5, 0.4]), torch.tensor([0.3, 0.5, 0.8])
    subject = torch.cat(
        (skin.view(3, 1, 1).repeat(1, 8, 8), shirt.view(3, 1, 1).repeat(1, 8, 8)), 1
    )
    subject = subject.repeat(400, 1, 1, 1, 1)
    subject[..., 8:, ::2] *= 0.5
    dressed = dress_plain(Dice(3, torch.device("cpu")), subject)
    assert torch.allclose(dressed[..., :4, :], subject[..., :4, :], atol=1e-3)
    cloth, was = dressed[:, 0, :, 12:], subject[:, 0, :, 12:]
    changed = (cloth - was).abs().amax((1, 2, 3)) > 1e-3
    assert 0.28 < float(changed.float().mean()) < 0.38
    folds = (cloth.std((1, 2, 3)) / cloth.mean((1, 2, 3)))[changed]
    assert float(folds.mean()) < float(was.std() / was.mean())
    assert 0.5 < float((cloth[changed].mean((1, 2, 3)) < 0.12).float().mean()) < 0.8


def test_things_stay_where_they_are_in_a_moving_room() -> None:
    dice, size = Dice(5, torch.device("cpu")), 64
    across, down = torch.meshgrid(*2 * [(torch.arange(size) + 0.5) / size], indexing="xy")
    room = torch.stack((across, down)).repeat(8, 1, 1, 1)
    extent = torch.full((8, 2), float(size))
    middle, one = torch.full((8, 6), size / 2), torch.ones(8, 6)
    camera = move(dice, Placement(middle, middle, one, 0 * one, one), size, size, one[:, 0] > 0)
    drawn, _ = sample(room, extent, camera, torch.zeros(8, 6, 2, size, size), fold=False)
    thing = things.put(dice, camera, extent, size, size)
    held = 0
    for row in range(8):
        x, y = thing.x[row].floor().long(), thing.y[row].floor().long()
        if min(x.min(), y.min()) < 2 or max(x.max(), y.max()) > size - 3:
            continue
        below = torch.stack([drawn[row, t, :, y[t], x[t]] for t in range(6)])
        assert float((below.amax(0) - below.amin(0)).max()) < 2.5 / size
        held += float((camera.x[row] - middle[row]).abs().max()) > 3
    assert held, "no camera moved"


def test_things_are_nobody(packed: Path, tmp_path: Path) -> None:
    items, canvases = pack.unpack(packed, tmp_path)
    maker = Maker(items, canvases, torch.device("cpu"))
    index = maker.empty[torch.arange(8) % len(maker.empty), None].repeat(1, 3)
    drawn = []
    for every in (False, True):
        rooms = torch.full((8,), every)
        rgb, alpha = maker.ground(Dice(4, torch.device("cpu")), index, 64, 64, rooms)
        assert float(alpha.max()) == 0
        assert 0 <= float(rgb.min()) <= float(rgb.max()) <= 1
        drawn.append(rgb)
    other = ((drawn[0] - drawn[1]).abs().amax(2) > 0.02).float().mean((1, 2, 3))
    assert float(other.median()) > 0.02, "something stands in most rooms"
    assert float(other.max()) < 0.9, "and never instead of them"


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
