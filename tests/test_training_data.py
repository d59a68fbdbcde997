"""What training sees: what is packed, how sequences are drawn, what their pixels weigh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blobs import packed, torch

from training import pack, things
from training.looks import dress_dark, dress_plain
from training.motion import Dice, Placement, move, sample
from training.sequences import EXACT, TAUGHT, Maker, rarity

__all__ = ["packed"]


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
