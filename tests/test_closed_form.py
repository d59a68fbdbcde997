"""--refine closed-form: the edge of a still, solved."""

import sys
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import missing
from media import make_video
from PIL import Image
from user import TINY, Call, User, call, user

from vmatte import closed_form
from vmatte.closed_form import solve
from vmatte.errors import InputError, OptionError
from vmatte.frames import from_array
from vmatte.matting import Matte
from vmatte.refine import RefineOptions, refine
from vmatte.steer import SteerOptions, steered
from vmatte.testing import FunctionMatter

__all__ = ["call", "user"]


@pytest.fixture(autouse=True)
def installed() -> None:
    if find_spec("pymatting") is None:
        missing("needs pymatting: pip install 'vmatte[closed-form]'")


def hairs(width: int = 160, height: int = 120) -> tuple[Any, Any]:
    """A red disc with soft spokes before smooth blue, and its true alpha."""
    alpha = np.zeros((height, width), np.float32)
    centre = (width // 2, height // 2)
    cv2.circle(alpha, centre, height // 4, 1.0, -1, cv2.LINE_AA)
    for turn in np.linspace(0, 2 * np.pi, 24, endpoint=False):
        tip = (np.array(centre) + height * 0.38 * np.array([np.cos(turn), np.sin(turn)])).astype(
            int
        )
        cv2.line(alpha, centre, tuple(int(v) for v in tip), 1.0, 1, cv2.LINE_AA)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.7)
    behind = np.linspace(0, 60, width)[None, :, None] + np.array([20, 60, 160])
    rgb = alpha[:, :, None] * np.array([200, 50, 30]) + (1 - alpha[:, :, None]) * behind
    return rgb.round().astype(np.uint8), np.clip(alpha, 0, 1)


def small(alpha: Any, factor: int = 8) -> Any:
    h, w = alpha.shape
    return cv2.resize(alpha, (w // factor, h // factor), interpolation=cv2.INTER_AREA)


def errors(matte: Matte, rgb: Any, truth: Any) -> dict[str, float]:
    frame = from_array(rgb, "rgb24")
    seen = frame.rgb(matte.alpha.shape[1::-1])
    found = {}
    for method in ("off", "fast", "closed-form"):
        full = refine(frame, seen, matte, RefineOptions(method=method, decontaminate=False))  # type: ignore[arg-type]
        found[method] = float(np.abs(full.values() - truth).mean())
    return found


def test_it_solves_what_the_model_leaves_in_doubt() -> None:
    rgb, truth = hairs()
    found = errors(Matte(small(truth)), rgb, truth)
    assert found["closed-form"] < 0.5 * min(found["fast"], found["off"]), found


def test_a_trimap_is_solved_wherever_it_is_open(tmp_path: Any) -> None:
    """The model sees no spokes at all, and is sure of it."""
    rgb, truth = hairs()
    blind = np.zeros_like(truth)
    cv2.circle(blind, (80, 60), 28, 1.0, -1)
    trimap = np.full(truth.shape, 128, np.uint8)
    trimap[cv2.circle(np.zeros_like(truth), (80, 60), 26, 1.0, -1) > 0] = 255
    trimap[cv2.circle(np.ones_like(truth), (80, 60), 50, 0.0, -1) > 0] = 0
    cv2.imwrite(str(tmp_path / "t.png"), trimap)
    model = FunctionMatter(lambda _: small(blind), (20, 15))
    options = SteerOptions(trimap=tmp_path / "t.png")
    matter = steered(model, options, 160, 120, still=True)
    matte, _ = matter.step(cv2.resize(rgb, (20, 15)), matter.start(20, 15))
    found = errors(matte, rgb, truth)
    assert found["closed-form"] < 0.3 * found["fast"], found


def test_what_is_certain_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, truth = hairs()
    known = np.full(truth.shape, 128, np.uint8)
    known[50:70, 100:140], known[10:40, 60:100] = 255, 0
    alpha = solve(rgb, truth, Matte(small(truth), known=known), 2)
    assert alpha[50:70, 100:140].min() == 1 and alpha[10:40, 60:100].max() == 0
    with pytest.raises(InputError, match="no subject is certain"):
        solve(rgb, np.full_like(truth, 0.5) * (truth > 0.5), Matte(small(truth)), 8)
    np.testing.assert_array_equal(solve(rgb, np.zeros_like(truth), Matte(small(truth)), 8), 0)
    monkeypatch.setattr(closed_form, "LIMIT", 5000)
    with pytest.raises(InputError, match=r"spans \d+x\d+ pixels; closed-form solves at most 0.005"):
        solve(rgb, truth, Matte(small(truth)), 8)


@pytest.mark.parametrize("bad", [{"threshold": 0.5}, {"method": "slow"}])
def test_what_excludes_it(bad: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        RefineOptions(**{"method": "closed-form", **bad})


def test_from_the_command_line(user: User, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brightness is alpha: a bright disc before a dark room."""
    rgb, truth = hairs()
    room = rgb // 8
    room[truth > 0.5] = 240
    Image.fromarray(room).save(user.here / "in.png")
    words = ("--refine", "closed-form", *TINY)
    code, out, err = call("image", "in.png", "-o", "a.png", *words)
    assert (code, out) == (0, ""), err
    code, out, err = call("image", "in.png", "-o", "fast.png", *TINY)
    assert code == 0, err
    solved, fast = (np.asarray(Image.open(n))[:, :, 3].astype(int) for n in ("a.png", "fast.png"))
    assert np.abs(solved - fast).max() > 20
    code, out, err = call("run", "in.png", "-o", "alpha=m.png", *words)
    assert code == 0, err
    assert np.abs(np.asarray(Image.open("m.png")).astype(int) - solved).mean() < 2
    # Of a video it says what it is for, and writes nothing.
    make_video(user.here / "v.mp4")
    code, _, err = call("run", "v.mp4", "-o", "o.mp4", *words)
    assert code == 1 and "is for stills" in err and not (user.here / "o.mp4").exists()
    # Where it is not installed.
    monkeypatch.setitem(sys.modules, "pymatting", None)
    monkeypatch.setattr(closed_form, "find_spec", lambda name: None)
    for verb in ("run", "image"):
        code, _, err = call(verb, "in.png", "-o", "b.png", *words)
        assert code == 1 and "pip install 'vmatte[closed-form]'" in err, err
