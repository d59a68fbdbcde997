"""The stabiliser: less flicker, no lag, nothing carried over cuts and occlusions."""

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import vmatte.matting as matting
from vmatte.errors import OptionError
from vmatte.matting import Matte, MatterOptions, load_matter
from vmatte.matting.stabilise import StabilisedMatter
from vmatte.metrics import dtssd, mad
from vmatte.registry import load_registry
from vmatte.testing import FunctionMatter

SIZE = (192, 108)
Picture = NDArray[np.uint8]
Alpha = NDArray[np.float32]


def texture(seed: int) -> Any:
    """A picture with structure at several scales, as rooms and clothes have."""
    noise = np.random.default_rng(seed)
    w, h = 2 * SIZE[0], 2 * SIZE[1]
    sizes = [(w // n, h // n) for n in (24, 8, 3)]
    layers = [noise.uniform(0, 255, (b, a, 3)).astype(np.float32) for a, b in sizes]
    return sum(cv2.resize(x, (w, h), interpolation=cv2.INTER_CUBIC) for x in layers) / 3


def scene(n: int, speed: float = 2.0) -> tuple[Picture, Alpha]:
    """A textured disc that moves over a textured room, and its true alpha."""
    w, h = SIZE
    x = 60 + speed * n
    y, xx = np.mgrid[:h, :w].astype(np.float32)
    alpha = np.clip(30.5 - np.hypot(xx - x, y - h / 2), 0, 1).astype(np.float32)
    room = texture(1)[:h, :w] * 0.5 + 20
    shift = np.array([[1, 0, -x + 200], [0, 1, -40.0]])
    figure = cv2.warpAffine(texture(2), shift, SIZE, flags=cv2.WARP_INVERSE_MAP) * 0.5 + 110
    shift[0, 2] = 0
    figure = cv2.warpAffine(texture(2), np.array([[1, 0, x - 60], [0, 1, 0.0]]), SIZE) * 0.5 + 110
    rgb = figure * alpha[:, :, None] + room * (1 - alpha[:, :, None])
    return np.clip(rgb, 0, 255).astype(np.uint8), alpha


def told(mattes: list[Alpha]) -> FunctionMatter:
    """A matter that says ``mattes`` one after the other."""
    rest = iter(mattes)
    return FunctionMatter(lambda rgb: next(rest))


def run(pictures: list[Picture], mattes: list[Alpha]) -> list[Alpha]:
    matter = StabilisedMatter(told(mattes))
    state, found = matter.start(*pictures[0].shape[1::-1]), []
    for rgb in pictures:
        matte, state = matter.step(rgb, state)
        found.append(matte.alpha)
    return found


def flickering(truth: list[Alpha]) -> list[Alpha]:
    """What a per-frame model says: the truth, its edge and its holes trembling."""
    noise = np.random.default_rng(3)
    found = []
    for alpha in truth:
        coarse = noise.normal(0, 0.35, (9, 16)).astype(np.float32)
        doubt = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)
        soft = cv2.GaussianBlur(alpha, (0, 0), 2)
        found.append(np.clip(soft + doubt * (0.2 + 3 * soft * (1 - soft)), 0, 1))
    return found


def scores(found: list[Alpha], truth: list[Alpha]) -> tuple[float, float]:
    pairs = list(zip(found, truth, strict=True))
    change = [dtssd(p, q, g, f) for (q, f), (p, g) in pairwise(pairs)]
    return float(np.mean(change)), float(np.mean([mad(p, g) for p, g in pairs]))


def test_flicker_falls_and_errors_do_not_rise() -> None:
    pictures, truth = map(list, zip(*(scene(n) for n in range(16)), strict=True))
    raw = flickering(truth)
    before, after = scores(raw, truth), scores(run(pictures, raw), truth)
    # Measured: dtSSD falls by 30 %, MAD stays within 2 %.
    assert after[0] < 0.75 * before[0] and after[1] < 1.05 * before[1], (before, after)


def test_a_right_matte_stays_right_in_motion() -> None:
    """Averaging must follow the motion, or what moves is smeared."""
    pictures, truth = map(list, zip(*(scene(n, 3.0) for n in range(10)), strict=True))
    assert max(mad(p, g) for p, g in zip(run(pictures, truth), truth, strict=True)) < 4


@pytest.mark.parametrize("jump", [40.0, -50.0])
def test_fast_motion_leaves_nothing_behind(jump: float) -> None:
    pictures, truth = map(list, zip(*(scene(0) for _ in range(6)), strict=True))
    rgb, alpha = scene(1, jump)
    last = run([*pictures, rgb], [*truth, alpha])[-1]
    left = np.clip(last - cv2.dilate(alpha, np.ones((7, 7))), 0, 1)
    assert left.mean() * 1000 < 2, left.mean()
    assert mad(last, alpha) < 6


def test_a_cut_begins_anew() -> None:
    pictures, truth = map(list, zip(*(scene(n) for n in range(4)), strict=True))
    other = np.ascontiguousarray(255 - pictures[0][::-1])
    alpha = np.full_like(truth[0], 0.3)
    np.testing.assert_array_equal(run([*pictures, other], [*truth, alpha])[-1], alpha)


def test_evidence_wins_in_the_end() -> None:
    """A wrong first matte of a still scene is forgotten, not kept for ever."""
    rgb, alpha = scene(0)
    found = run([rgb] * 40, [1 - alpha] + [alpha] * 39)
    errors = [mad(f, alpha) for f in found]
    assert errors[1] < 0.55 * errors[0] and errors[-1] < 0.02 * errors[0]


@pytest.mark.parametrize("size", [(1, 1), (15, 40), (400, 7), (33, 301)])
def test_any_size(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0)
    rgb = noise.integers(0, 255, (size[1], size[0], 3), np.uint8)
    alpha = noise.uniform(0, 1, rgb.shape[:2]).astype(np.float32)
    for found in run([rgb] * 3, [alpha] * 3):
        assert found.shape == alpha.shape and found.dtype == np.float32
        np.testing.assert_allclose(found, alpha, atol=0.02)


def test_the_state_is_a_value() -> None:
    matter = StabilisedMatter(FunctionMatter(lambda rgb: rgb[:, :, 0].astype(np.float32) / 255))
    state = matter.start(*SIZE)
    for n in range(3):
        rgb = scene(n)[0]
        kept = pickle.dumps(state)
        matte, after = matter.step(rgb, state)
        again, _ = matter.step(rgb, pickle.loads(kept))
        np.testing.assert_array_equal(matte.alpha, again.alpha)
        assert pickle.dumps(state) == kept
        state = after
    assert state.inner == 3
    assert matter.working_size(*SIZE) == SIZE and matter.engine.model == "function"


def test_the_foreground_is_the_models_own() -> None:
    class Coloured(FunctionMatter):
        def step(self, rgb: Picture, state: int) -> tuple[Matte, int]:
            matte, state = super().step(rgb, state)
            return Matte(matte.alpha, np.full(rgb.shape, 0.25, np.float32)), state

    matter = StabilisedMatter(Coloured())
    matte, _ = matter.step(scene(0)[0], matter.start(*SIZE))
    assert matte.foreground is not None and (matte.foreground == 0.25).all()


@pytest.mark.parametrize(
    ("model", "stabilise", "worn"),
    [
        ("u2netp", "auto", True),
        ("u2netp", "off", False),
        ("rvm", "auto", False),
        ("rvm", "flow", True),
    ],
)
def test_auto_is_for_models_without_memory(
    model: str, stabilise: Any, worn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_registry().get(model).recurrent is (model == "rvm")
    monkeypatch.setattr(matting, "ensure_model", lambda *a, **k: Path("unused"))
    monkeypatch.setattr(matting, "build_matter", lambda *a: FunctionMatter())
    matter = load_matter(model, MatterOptions(stabilise=stabilise))
    assert isinstance(matter, StabilisedMatter) is worn


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(OptionError, match="auto, off, flow"):
        MatterOptions(stabilise="yes")  # type: ignore[arg-type]


def test_a_still_edge_is_kept_still_before_a_moving_room() -> None:
    """What moves a matte's edge is the subject: flow of what is behind it must not count."""
    _, alpha = scene(0)
    figure, room = texture(2)[: SIZE[1], : SIZE[0]] * 0.5 + 110, texture(1) * 0.5 + 20
    pictures = []
    for n in range(16):
        behind = room[: SIZE[1], 4 * n : 4 * n + SIZE[0]]
        mixed = figure * alpha[:, :, None] + behind * (1 - alpha[:, :, None])
        pictures.append(np.clip(mixed, 0, 255).astype(np.uint8))
    truth = [alpha] * 16
    raw = flickering(truth)
    edge = cv2.dilate(((alpha > 0) & (alpha < 1)).astype(np.uint8), np.ones((9, 9))) > 0

    def tremble(found: list[Alpha]) -> float:
        return float(np.mean([np.abs(a - b)[edge].mean() for a, b in pairwise(found[4:])]))

    # Measured: .12 of what it was; with the flow as it is and all colours compared, .29.
    assert tremble(run(pictures, raw)) < 0.2 * tremble(raw)
