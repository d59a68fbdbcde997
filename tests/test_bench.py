"""Measuring speed: the command, its results, what a failing variant does."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from media import make_video
from user import Call, User, call, user

from vmatte import isolated
from vmatte.bench.clips import make_clips
from vmatte.bench.run import BARE, BenchOptions, Variant, measure, runtimes
from vmatte.bench.watch import LEAST, until
from vmatte.errors import OptionError, UnknownModelError, VmatteError
from vmatte.runtimes import load_runtime
from vmatte.sources import open_source

__all__ = ["call", "user"]

SHORT = ("--rounds", "1", "--seconds", "0.01", "--runtime", "onnxruntime")


def is_spread(value: dict[str, float]) -> bool:
    return 0 < value["least"] <= value["median"] <= value["greatest"]


def test_a_run(user: User, call: Call) -> None:
    """The bundled model on a small clip of its own size; the results, the page, the words."""
    code, out, err = call("bench", "clip.mp4", "--models", "vmatte", *SHORT, "-o", "r.json")
    assert code == 0, err
    assert "fps" in out and "vmatte, onnxruntime" in out and "first frame after" in out
    results = json.loads((user.here / "r.json").read_text())
    origin = {"schema", "date", "machine", "system", "load", "versions", "command"}
    given = {"material", "preset", "rounds", "seconds", "default_runtime"}
    assert set(results) == origin | given | {"rows", "start"}
    assert results["schema"] == 1 and results["material"] == "clip.mp4"
    assert results["command"].startswith("vmatte bench clip.mp4 --models vmatte")
    assert [r["variant"] for r in results["rows"]] == ["decode", "transcode", "vmatte, onnxruntime"]
    for row in results["rows"]:
        assert row["size"] == "96x64" and LEAST <= row["frames"] <= 10
        for key in ("fps", "cpu_ms", "peak_mb", "share", "cpu_share"):
            assert is_spread(row[key]), key
        assert len(row["runs"]) == 1
    decode, transcode, matted = results["rows"]
    assert transcode["share"]["median"] == transcode["cpu_share"]["median"] == 1
    share = matted["fps"]["median"] / transcode["fps"]["median"]
    assert matted["share"]["median"] == pytest.approx(share)
    assert (matted["model"], matted["runtime"], matted["precision"]) == (
        "vmatte", "onnxruntime", "fp32")  # fmt: skip
    assert matted["working_size"] == [96, 64]
    assert {"decode", "scale", "infer", "refine", "composite", "encode"} <= set(matted["stages_ms"])
    assert matted["cpu_ms"]["median"] > decode["cpu_ms"]["median"]
    start = results["start"]
    assert start["model"] == "vmatte" and is_spread(start["first_frame_s"])
    assert is_spread(start["import_ms"])
    assert user.made() == {"r.json"}, "nothing else is left"


def test_a_drawn_clip_and_a_page(user: User, call: Call) -> None:
    words = ("bench", "--models", "tiny", "--sizes", "480p", *SHORT)
    code, out, err = call(*words, "-o", "r.html", "--json")
    assert code == 0, err
    results = json.loads(out)
    assert results["material"] == "drawn" and {r["size"] for r in results["rows"]} == {"480p"}
    page = (user.here / "r.html").read_text()
    assert page.count("<circle") == 3 and page.count("<tr>") == 4
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    code, _, err = call(*words, "-o", "r.html")
    assert code == 1 and err.startswith("OutputExistsError")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.mp4",), "InputNotFoundError: none.mp4: no such file"),
        (("bad.mp4",), "DamagedMediaError: bad.mp4: "),
        (("bad.mp4", "--sizes", "480p"), "DamagedMediaError: bad.mp4: "),
        (("--models", "moon"), "UnknownModelError: no model is called 'moon'"),
        (("--models", "u2net"), "ModelUnavailableError: u2net: "),
        (("--sizes", "8k"), "OptionError: size '8k' is unknown; expected some of 480p"),
        (("--rounds", "0"), "OptionError: rounds is 0"),
        (("--seconds", "nan"), "OptionError: seconds is nan"),
        (("-o", "r.pdf"), "UnsupportedOutputError: r.pdf: name it .json"),
    ],
)
def test_what_cannot_be(user: User, call: Call, words: tuple[str, ...], message: str) -> None:
    (user.here / "bad.mp4").write_bytes(b"not a video" * 99)
    code, out, err = call("bench", *words)
    assert code == 1 and out == ""
    assert err.replace("running  making clips\n", "").startswith(message), err


def test_sizes_are_covered(tmp_path: Path) -> None:
    """A portrait clip stays one; nothing is stretched; it is as long as a run wants it."""
    material = make_video(tmp_path / "in.mp4", size=(64, 100))
    clips = make_clips(str(material), ("480p",), tmp_path)
    source = open_source(str(clips["480p"]))
    assert source.info.size == (480, 854)
    pts = [frame.pts for frame in source]
    source.close()
    assert len(pts) >= 1600 and pts == sorted(set(pts))
    assert [p.name for p in tmp_path.glob("*.mp4")].count("480p.once.mp4") == 0


def test_the_first_runtime_is_the_one_auto_takes(user: User) -> None:
    auto = load_runtime(user.models / "tiny.onnx")
    first = load_runtime(user.models / "tiny.onnx", next(iter(runtimes().values())))
    assert (auto.name, auto.provider) == (first.name, first.provider)
    auto.close()
    first.close()
    assert list(runtimes(("onnxruntime",))) == ["onnxruntime"]


def failing(**_: Any) -> None:
    """What a variant's function may be."""
    raise OptionError("not with me")


def printing(text: str) -> str:
    """Chat, as libraries do."""
    print("chat")
    return text.upper()


def crash() -> None:
    """End without a word."""
    raise SystemExit(3)


def test_a_variant_that_fails_is_a_row(tmp_path: Path) -> None:
    """Told, not tried again, and the others go on."""
    clip = make_video(tmp_path / "in.mp4")
    here = {"PYTHONPATH": ":".join([str(Path(__file__).parent), *sys.path])}
    bad = Variant(name="bad", function="test_bench:failing", environment=here)
    told: list[str] = []
    options = BenchOptions(rounds=2, seconds=0.01)
    rows = measure((*BARE, bad), {"tiny": clip}, options, tmp_path, told.append)
    assert rows[2] == {
        "size": "tiny",
        "variant": "bad",
        "failed": "OptionError: bad: not with me",
    }
    assert len(told) == 5 and [len(r["runs"]) for r in rows[:2]] == [2, 2]


def test_a_function_in_a_process_of_its_own() -> None:
    here = {"PYTHONPATH": ":".join([str(Path(__file__).parent), *sys.path])}
    given: Any = {"name": "x", "environment": here}
    assert isolated.call("test_bench:printing", {"text": "hello"}, **given) == "HELLO"
    with pytest.raises(UnknownModelError, match="x: no model is called"):
        isolated.call("vmatte.matting:load_matter", {"name": "moon"}, **given)
    with pytest.raises(VmatteError, match="x: its process failed"):
        isolated.call("test_bench:crash", {}, **given)
    with pytest.raises(VmatteError, match=r"x: its process failed: .*no attribute 'moon'"):
        isolated.call("test_bench:moon", {}, **given)


def test_runs_end_in_time_but_not_too_soon() -> None:
    assert len(list(until(range(99), 0))) == LEAST
    assert len(list(until(range(99), 60))) == 99
    assert list(until(range(2), 0)) == [0, 1]
