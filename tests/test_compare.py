"""Comparing models: the two F-scores, the report, and the command."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from user import Call, User, call, user

from vmatte.compare.inputs import find_inputs, open_input
from vmatte.compare.views import views_of, zoom_box
from vmatte.metrics import edge_f, f_score

__all__ = ["call", "user"]


def square(left: int, size: int = 40) -> NDArray[np.float32]:
    alpha = np.zeros((100, 100), np.float32)
    alpha[30 : 30 + size, left : left + size] = 1
    return alpha


def test_f_scores_by_hand() -> None:
    empty = np.zeros((100, 100), np.float32)
    for score in (f_score, edge_f):
        assert score(empty, empty) == score(square(30), square(30)) == 1
        assert score(square(30), empty) == score(empty, square(30)) == 0
    # Half over each other: P = R = 1/2.
    assert f_score(square(30), square(50)) == pytest.approx(0.5)
    assert f_score(square(30, 20), square(30, 40)) == pytest.approx(2 * 0.25 / 1.25)
    # .8 % of the diagonal is 1.13 pixels: one pixel off is right, two are not.
    assert edge_f(square(31), square(30)) == 1
    # Off by two: the left and right sides are wrong (38 rows each), but for their ends.
    outline = 4 * 39
    off = edge_f(square(32), square(30))
    assert off == pytest.approx(1 - 2 * 38 / outline, abs=0.03)
    # The frame's own edge is no outline.
    full = np.ones((100, 100), np.float32)
    assert edge_f(full, empty) == 1


def test_the_zoom_is_where_mattes_differ() -> None:
    one = (square(30) * 255).astype(np.uint8)
    other = one.copy()
    other[66:74, 66:74] = 0
    left, top, right, bottom = zoom_box([one, other])
    assert left <= 66 and top <= 66 and right >= 70 and bottom >= 70
    assert (right - left, bottom - top) == (16, 16)
    # One that has nothing: what the other shows of its edge, not of its inside.
    left, top, right, bottom = zoom_box([one, np.zeros_like(one)])
    assert len(np.unique(one[top:bottom, left:right])) > 1
    assert zoom_box([one, one]) == zoom_box([one])
    assert zoom_box([one]) == zoom_box([one]) and zoom_box([one[:9, :9]])[2:] == (9, 9)


def test_only_what_is_shown_is_kept() -> None:
    """Many large pictures fit into memory."""
    picture = np.zeros((900, 1200, 3), np.uint8)
    cutout = np.zeros((900, 1200, 4), np.uint8)
    cutout[200:500, 300:700, 3] = 255
    for view in (views := views_of(picture, [cutout, cutout // 2])):
        assert view.whole.shape[:2] == (270, 360) and view.zoomed.shape[:2] == (150, 150)
        assert view.zoomed.base is None
    assert len(views) == 3 and views[2].zoomed[:, :, 3].max() == 127


class _Page(HTMLParser):
    """Collects what the tests look at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def count(self, tag: str) -> int:
        return sum(t == tag for t, _ in self.tags)


@pytest.fixture
def pictures(user: User) -> Path:
    """Two pictures whose brightness is their matte, with and without an error."""
    folder = user.here / "in"
    folder.mkdir()
    (user.here / "truth").mkdir()
    for n in (1, 2):
        alpha = np.zeros((96, 128), np.uint8)
        cv2.circle(alpha, (64, 48), 10 * n + 10, 255, -1)
        Image.fromarray(np.dstack([alpha] * 3)).save(folder / f"{n}.png")
        Image.fromarray(alpha).save(user.here / "truth" / f"{n}.png")
    text = (user.models / "tiny.toml").read_text()
    # Its first class is the background.
    params = 'params = { classes = ["wall", "lamp"] }'
    worse = text.replace("models.tiny", "models.worse") + f"\n{params}\n"
    (user.models / "worse.toml").write_text(worse)
    return folder


def test_a_report(user: User, pictures: Path) -> None:
    """In processes of their own, against known truth; the worse model gives the reverse."""
    words = ("in", "--truth", "truth", "--models", "tiny,worse", "--runtime", "onnxruntime",
             "--class=wall")  # fmt: skip
    code, out, err = user.run("compare", *words, "-o", "r.html", "--json")
    assert code == 0, err
    tiny, worse = json.loads(out)
    assert (tiny["model"], worse["model"]) == ("tiny", "worse")
    assert tiny["mad"] < 10 and tiny["iou"] > 0.95 and tiny["f_score"] > 0.97
    assert worse["mad"] > 900 and worse["iou"] < 0.05
    assert tiny["dtssd"] is None, "stills have none"
    assert all(0 < m[k] < 60 for m in (tiny, worse) for k in ("matte", "refine", "load"))
    assert tiny["memory"] > 20e6 and tiny["bytes"] == (user.models / "tiny.onnx").stat().st_size
    assert tiny["ran"] == "onnxruntime cpu fp32" and tiny["licence"] == "MIT"
    text = (user.here / "r.html").read_text()
    page = _Page(text)
    # Input and two models, twice, whole and enlarged.
    assert page.count("img") == 2 * 3 * 2 and page.count("svg") == 1
    assert page.count("tr") == 3 and page.count("circle") == 2
    assert "prefers-color-scheme" in text and "vmatte compare in --truth" in text
    # It needs nobody else.
    assert not re.search(r"(src|href)=\"(?!data:)", text) and "http" not in text
    code, _, err = user.run("compare", *words, "-o", "r.html")
    assert code == 1 and err.startswith("OutputExistsError")
    assert user.made() == {"in", "in/1.png", "in/2.png", "truth", "truth/1.png", "truth/2.png",
                           "r.html"}  # fmt: skip


def test_pictures_are_read_as_image_reads_them(pictures: Path) -> None:
    """One that is turned by its EXIF, of a kind that videos do not have, and CMYK."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("CMYK", (40, 24), (0, 255, 255, 0)).save(pictures / "3.jpg", exif=exif)
    Image.new("RGB", (40, 24), "blue").save(pictures / "4.avif")
    found = [path for path, _, _ in find_inputs([str(pictures)], None)]
    assert [p.name for p in found] == ["1.png", "2.png", "3.jpg", "4.avif"]
    source = open_input(found[2])
    (frame,) = source
    source.close()
    assert source.info.still and source.info.size == (24, 40)
    np.testing.assert_allclose(frame.rgb((24, 40))[5, 5], [255, 0, 0], atol=3)


def test_a_video_without_truth(user: User) -> None:
    words = ("clip.mp4", "--models", "tiny", "--limit", "3", "--runtime", "onnxruntime")
    code, out, err = user.run("compare", *words, "-o", "r.html")
    assert code == 0, err
    assert b"MAD" not in out and b"tiny" in out and "wrote    r.html" in err
    page = _Page((user.here / "r.html").read_text())
    assert page.count("img") == 4 and page.count("svg") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none", "--models", "tiny", "-o", "r.html"), "InputNotFoundError: none: no such file"),
        (("in", "--models", "tiny,tiny", "-o", "r.html"), "OptionError: --models needs different"),
        (("in", "--models", "tiny", "-o", "r.html", "--class=cat"), "OptionError: --class is for"),
        (("in", "--models", "moon", "-o", "r.html"), "UnknownModelError: no model is called"),
        (("in", "--models", "tiny", "-o", "r.pdf"), "UnsupportedOutputError: r.pdf: the report"),
        (
            ("in", "--models", "tiny", "-o", "r.html", "--truth", "in/1.png"),
            "InputNotFoundError: in",
        ),
        (("empty", "--models", "tiny", "-o", "r.html"), "InputError: empty: a folder without"),
        (("in", "--models", "rmbg", "-o", "r.html"), "ModelUnavailableError: rmbg-1.4 may not"),
        (
            ("clip.mp4", "--models", "tiny", "-o", "r.html", "--truth", "bad"),
            "InputError: tiny: bad/cl",
        ),
    ],
)
def test_what_cannot_be(
    user: User, call: Call, pictures: Path, words: tuple[str, ...], message: str
) -> None:
    (user.here / "bad").mkdir()
    (user.here / "empty").mkdir()
    Image.new("L", (32, 32)).save(user.here / "bad/clip.png")
    code, out, err = call("compare", *words)
    assert code == 1 and out == ""
    assert err.replace("running  tiny\n", "").replace("running  rmbg-1.4\n", "").startswith(message)
    assert not list(user.here.glob("*.html")) and not list(user.here.glob(".vmatte*"))


def test_a_model_that_is_missing_is_told_first(user: User, call: Call, pictures: Path) -> None:
    code, _, err = call("compare", "in", "--models", "tiny,mediapipe", "-o", "r.html")
    assert code == 1 and err.startswith("ModelUnavailableError: mediapipe_selfie")


def test_real_models(user: User, shared: Callable[[str], Path]) -> None:
    """The figures are those of evaluate."""
    source = shared("gt/lemur")
    weights = shared("weights/mediapipe_selfie_256.onnx")
    assert user.run("models", "import", str(weights))[0] == 0
    runtime = ("--runtime", "onnxruntime")
    words = (str(source), "--models", "mediapipe", *runtime, "-o", "r.html", "--json")
    code, out, err = user.run("compare", *words)
    assert code == 0, err
    (row,) = json.loads(out)
    code, out, err = user.run("evaluate", str(source), "--model", "mediapipe", *runtime, "--json")
    assert code == 0, err
    expected = json.loads(out)["means"]["stills"]
    for name in ("mad", "mse", "grad", "conn", "iou", "f_score", "edge_f"):
        assert row[name] == pytest.approx(expected[name], abs=1e-5), name
