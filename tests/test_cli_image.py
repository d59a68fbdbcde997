"""vmatte image, as a user runs it, with a tiny model of their own: alpha is brightness."""

import io
import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from user import TINY, Call, User, call, lines, user

from vmatte.matting.still import StillMatter

__all__ = ["call", "user"]

FAST = (*TINY, "--refine=off", "--no-decontaminate")


def picture(path: Path, level: int = 255, size: tuple[int, int] = (64, 48)) -> Path:
    """The left half is black, the right half ``level``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((*size[::-1], 3), np.uint8)
    pixels[:, size[0] // 2 :] = level
    Image.fromarray(pixels).save(path, quality=95)
    return path


@pytest.fixture(autouse=True)
def own_cache(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(user.home / "cache"))
    user.environment["XDG_CACHE_HOME"] = str(user.home / "cache")


@pytest.fixture
def folder(user: User) -> Path:
    for name in ("2.png", "10.jpg", "deep/er/a.webp"):
        picture(user.here / "in" / name)
    return user.here / "in"


def alpha(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "RGBA"
        return np.asarray(image)[:, :, 3]


def test_a_picture(user: User, call: Call) -> None:
    picture(user.here / "a.jpg")
    code, out, err = call("image", "a.jpg", "-o", "b.png", *FAST)
    assert (code, out) == (0, ""), err
    assert "1 done, 0 from the cache, 0 skipped, 0 failed" in err and "ran      tiny" in err
    got = alpha(user.here / "b.png")
    assert got.shape == (48, 64) and got[:, :24].max() < 9 and got[:, 40:].min() > 246
    code, _, err = call("image", "a.jpg", "-o", "b.png", *FAST)
    assert code == 1 and "OutputExistsError: a.jpg: b.png: exists already" in err
    words = ("a.jpg", "-o", "white.jpg", "-o", "alpha=m.png", "--background", "white", "--quiet")
    assert call("image", *words, *FAST) == (0, "", "")
    with Image.open("white.jpg") as image:
        assert np.asarray(image).min() > 240
    with Image.open("m.png") as image:
        assert image.mode == "L"


def test_folders_and_the_cache(user: User, call: Call, folder: Path,
                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """The second run writes the same bytes without the model."""
    steps = []
    step = StillMatter.step
    monkeypatch.setattr(
        StillMatter, "step", lambda self, *given: steps.append(1) or step(self, *given)
    )
    words = ("image", "in", "-o", "cut", "-o", "alpha=mattes", "--json", *FAST)
    code, _, err = call(*words)
    assert code == 0, err
    *pictures, summary = lines(err)
    assert [Path(p["input"]).name for p in pictures] == ["2.png", "10.jpg", "a.webp"]
    assert (summary["done"], summary["cached"], summary["model"]) == (3, 0, "tiny")
    names = ["2.png", "10.png", "deep/er/a.png"]
    first = {n: (user.here / where / n).read_bytes() for where in ("cut", "mattes") for n in names}
    assert len(steps) == 3
    assert call(*words)[0] == 1, "they exist"
    code, _, err = call(*words, "--overwrite")
    assert code == 0 and lines(err)[-1]["cached"] == 3 and len(steps) == 3
    assert "model" not in lines(err)[-1], "none was loaded"
    assert {n: (user.here / "mattes" / n).read_bytes() for n in names} == first
    # Other options, another picture: not what is kept.
    assert lines(call(*words, "--overwrite", "--feather=2")[2])[-1]["done"] == 3
    picture(folder / "2.png", 200)
    *_, summary = lines(call(*words, "--overwrite")[2])
    assert (summary["done"], summary["cached"]) == (1, 2)
    assert lines(call(*words, "--overwrite", "--no-cache")[2])[-1]["done"] == 3
    (user.here / "mattes/2.png").unlink()
    *_, summary = lines(call(*words, "--skip-existing")[2])
    assert (summary["skipped"], summary["cached"]) == (2, 1)


def test_what_was_told_is_told_again(user: User, call: Call) -> None:
    picture(user.here / "in/black.png", 0)
    for state in ("done", "cached"):
        code, _, err = call("image", "in", "-o", "cut", "--json", "--overwrite", *FAST)
        first = lines(err)[0]
        assert code == 0 and first["state"] == state
        assert first["notes"] == ["nothing was found in it"]


def test_what_is_certain(user: User, call: Call, folder: Path) -> None:
    """Boxes in shares fit every picture; what fits only one is the others' failure."""
    picture(folder / "wide.png", size=(96, 48))
    words = ("image", "in", "-o", "cut", "--overwrite", "--cache", *FAST)
    assert call(*words, "--keep=0,0,0.25,1", "--drop=0.75,0,0.25,1")[0] == 0
    for name, width in (("2.png", 64), ("wide.png", 96)):
        got = alpha(user.here / "cut" / name)
        assert got[:, : width // 4].min() == 255 and got[:, -width // 4 :].max() == 0
        assert got[:, width * 5 // 16 : width * 7 // 16].max() < 9
    trimap = np.full((48, 64), 128, np.uint8)
    trimap[:24] = 255
    Image.fromarray(trimap).save("t.png")
    code, _, err = call(*words, "--trimap=t.png", "--fill-holes")
    assert code == 1 and "3 done" in err and "1 failed" in err
    assert "in/wide.png: t.png: is 64x48, but the frame is 96x48" in err
    assert alpha(user.here / "cut/2.png")[:24].min() == 255
    # The same name, another trimap: not what is kept.
    Image.fromarray(255 - trimap).save("t.png")
    assert call(*words, "--trimap=t.png", "--fill-holes")[0] == 1
    assert alpha(user.here / "cut/2.png")[:24].max() == 0
    # A plate of another room.
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    Image.fromarray(noise).save("room.png")
    gray = np.full((48, 64, 3), 80, np.uint8)
    gray[:, 32:] = 255
    Image.fromarray(gray).save("gray.png")
    code, _, err = call("image", "gray.png", "-o", "x.png", "--plate=room.png", *FAST)
    assert code == 1 and "gray.png: room.png: the picture's background does not look" in err


def test_a_bad_file_is_reported_and_the_others_go_on(user: User, call: Call, folder: Path) -> None:
    (folder / "3.jpg").write_bytes(b"no picture")
    whole = (folder / "10.jpg").read_bytes()
    (folder / "4.jpg").write_bytes(whole[: len(whole) // 2])
    picture(folder / "2.jpg", 220)
    code, _, err = call("image", "in", "-o", "cut", *FAST)
    assert code == 1
    assert "UnsupportedMediaError: in/3.jpg: not a picture" in err
    assert "DamagedMediaError: in/4.jpg: damaged" in err
    assert "would be written to cut/2.png, as in/2." in err
    assert "3 done, 0 from the cache, 0 skipped, 3 failed" in err
    # Nothing half-written, nothing of the failed ones.
    left = {p.name for p in (user.here / "cut").rglob("*") if p.is_file()}
    assert left == {"2.png", "10.png", "a.png"}


def test_results_above_the_pictures(user: User, call: Call, folder: Path) -> None:
    code, _, err = call("image", "in", "-o", ".", *FAST)
    assert code == 0 and (user.here / "deep/er/a.png").exists(), err


def test_a_pipe(user: User) -> None:
    data = picture(user.home / "p.png").read_bytes()
    code, out, err = user.run("image", "-", "-o", "-", *FAST, input=data)
    assert code == 0, err
    assert np.asarray(Image.open(io.BytesIO(out)))[:, :, 3].shape == (48, 64)
    words = ("--format=webp", "--background=red", "--quiet")
    code, out, err = user.run("image", "-", "-o", "-", *words, *FAST, input=data)
    assert (code, err) == (0, "") and out[8:12] == b"WEBP"
    # Nothing is transparent: as for files in a folder.
    code, out, err = user.run("image", "-", "-o", "-", "--background=red", *FAST, input=data)
    assert code == 0 and out[:2] == b"\xff\xd8", err
    code, out, err = user.run("image", "-", "-o", "-", *FAST, input=b"")
    assert (code, out) == (1, b"") and err.startswith("UnsupportedMediaError: -: not a picture")


def test_a_watched_folder(user: User) -> None:
    picture(user.here / "in/1.png")
    words = ("image", "in", "-o", "in/cut", "--watch", "--json", *FAST)
    with user.start(*words) as process:
        assert process.stderr is not None
        try:
            first = json.loads(process.stderr.readline())
            assert (first["input"], first["state"]) == ("in/1.png", "done"), first
            assert (user.here / "in/cut/1.png").exists()
            picture(user.here / "in/new/2.png", 220)
            second = json.loads(process.stderr.readline())
            # Results of ours, below the folder, are not taken for new pictures.
            assert (second["input"], second["state"]) == ("in/new/2.png", "done"), second
            time.sleep(2.5)
            # Half of a picture is an error, until the rest is there; what changes is done again.
            whole = picture(user.home / "b.jpg").read_bytes()
            (user.here / "in/3.jpg").write_bytes(whole[: len(whole) // 2])
            assert json.loads(process.stderr.readline())["state"] == "failed"
            (user.here / "in/3.jpg").write_bytes(whole)
            assert json.loads(process.stderr.readline())["state"] == "done"
            picture(user.here / "in/1.png", 200)
            again = json.loads(process.stderr.readline())
            assert (again["input"], again["state"]) == ("in/1.png", "done"), again
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    (summary,) = lines(err.decode())
    assert (summary["done"], summary["failed"]) == (4, 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.jpg", "-o", "x.png"), "InputNotFoundError: none.jpg: no such file"),
        (("empty", "-o", "x"), "InputError: empty: a folder without pictures"),
        (("in", "-o", "x.png"), "OptionError: output x.png is one file"),
        (("in", "-o", "in/deep/.."), "OptionError: output in/deep/.. is the pictures' own folder"),
        (("in", "-o", "x", "--trimap=none.png"), "InputNotFoundError: none.png: no such file"),
        (("in", "-o", "-"), "OptionError: standard output takes one picture"),
        (("in/2.png", "-o", "x.jpg"), "UnsupportedOutputError: x.jpg: JPEG has no transparency"),
        (("in/2.png", "-o", "x.pdf"), "UnsupportedOutputError: x.pdf: vmatte cannot write .pdf"),
        (("in/2.png", "-o", "x.png", "--format=webp"), "OptionError: output x.png is PNG"),
        (("in/2.png", "-o", "x.png", "--background=none.jpg"), "InputError: background"),
        (("in/2.png", "-o", "x.png", "--id-photo=moon"), "OptionError: no ID photo is called"),
        (("in/2.png", "-o", "a", "-o", "alpha=a"), "OptionError: two outputs have the same name"),
        (("in/2.png", "-o", "x.png", "--watch"), "OptionError: --watch needs folders"),
    ],
)
def test_what_cannot_be(
    user: User, call: Call, folder: Path, words: tuple[str, ...], message: str
) -> None:
    (user.here / "empty").mkdir()
    code, out, err = call("image", *words, *FAST)
    assert (code, out) == (1, "") and err.startswith(message), err
    assert user.made() - {"in", "empty"} == {
        f"in/{n}" for n in ("2.png", "10.jpg", "deep", "deep/er", "deep/er/a.webp")
    }


def test_a_licence_is_asked_for(user: User, call: Call) -> None:
    picture(user.here / "a.png")
    record = user.models / "tiny.toml"
    record.write_text(record.read_text() + "non_commercial = true\n")
    code, _, err = call("image", "a.png", "-o", "b.png", *FAST)
    assert code == 1 and "add --accept-licence" in err
    assert call("image", "a.png", "-o", "b.png", "--accept-licence", *FAST)[0] == 0
    code, _, err = call("image", "a.png", "-o", "c.png", *FAST)
    assert code == 1, "it is remembered nowhere"
    assert call("image", "--crop=x", "a.png", "-o", "c.png")[0] == 2
