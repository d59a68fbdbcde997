"""The benchmark suite of the repository: goals, regressions, peers, and one small real run."""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media import make_video

from benchmarks import peers
from benchmarks.goals import RECIPE, REPLAY, goals
from benchmarks.regression import MARGINS, regressions
from benchmarks.suite import command
from vmatte.report import spread
from vmatte.sources import open_source

ROOT = Path(__file__).parents[1]


def row(size: str, variant: str, fps: float, cpu: float = 10, **more: Any) -> dict[str, Any]:
    """Return a row as the suite writes it, of three rounds around ``fps``; a transcode has 100."""
    runs = [{"fps": fps * f, "cpu_ms": cpu, "peak_mb": 300.0} for f in (0.98, 1.0, 1.02)]
    shares = {"share": spread([fps / 100]), "cpu_share": spread([cpu / 10])}
    peak = {"peak_mb": spread([300.0])}
    return {"size": size, "variant": variant, "runs": runs, **shares, **peak, **more}


@pytest.fixture
def results() -> dict[str, Any]:
    """Results that reach some goals."""
    model = {"model": "vmatte", "precision": "fp32", "error": {"mad": 15.0}}
    return {
        "machine": "m",
        "default_runtime": "onnxruntime",
        "rows": [
            row("1080p", "transcode", 100),
            row("1080p", "vmatte, onnxruntime", 70, **model),
            row("4k", "transcode", 100),
            row("4k", "vmatte, onnxruntime", 40, **model),
            row("1080p", RECIPE, 5),
            row("1080p", "rvm_shared, onnxruntime", 20.5, **model),
            row("1080p", "rvm_shared, openvino", 99, **model),
            row("1080p", REPLAY, 60, cpu=12, model="replay"),
            {"size": "1080p", "variant": "u2net, onnxruntime", "failed": "ModelError: broken"},
        ],
        "start": {"first_frame_s": spread([0.9, 1.0, 1.3]), "import_ms": spread([81.0])},
    }


def test_the_command_names_no_place_of_this_machine() -> None:
    words = ["--rembg", "/home/me/rembg/bin/python", "--rounds", "2"]
    shown = "python -m benchmarks.suite --rembg REMBG/bin/python --rounds 2"
    assert command(words, words[1]) == shown
    assert command([f"--rembg={words[1]}"], words[1]).endswith("--rembg=REMBG/bin/python")
    assert command(["--rounds", "2"], None) == "python -m benchmarks.suite --rounds 2"


def test_goals_by_hand(results: dict[str, Any]) -> None:
    found = {g["goal"]: g for g in goals(results)}
    assert len(found) == 13, "each has words of its own"
    reached = [g["reached"] for g in goals(results)]
    unknown = "unknown: {} was not run at 1080p".format
    assert reached == [
        "yes",  # .7 of .6
        "no",  # .4 of .5
        "yes",  # 20.5 / 5 of 4
        unknown("rvm_shared, onnxruntime, ratio .25"),
        "unknown: no bf16 units: fp32 ran",
        unknown("rvm_shared, openvino, ratio .25"),
        unknown("u2net, onnxruntime, not stabilised"),
        unknown("u2net, openvino, not stabilised"),
        "yes",  # 1.2 of 1.25
        "yes",
        "no",
        "yes",
        "yes",
    ]
    first = goals(results)[0]
    assert (first["want"], first["median"], first["range"]) == (">= 0.6", "0.70", "0.70 .. 0.70")


def test_a_regression_is_found(results: dict[str, Any]) -> None:
    assert regressions(results, copy.deepcopy(results)) == ([], [])
    for key, factor, what in (
        ("share", 1 - MARGINS["speed"], "fps over transcode"),
        ("cpu_share", 1 + MARGINS["cpu"], "CPU time over transcode"),
        ("peak_mb", 1 + MARGINS["memory"], "peak MB"),
        ("error", 1 + MARGINS["error"], "MAD"),
    ):
        for slack, expected in ((1 - factor) * 0.1, 0), ((factor - 1) * 0.1, 1):
            doctored = json.loads(json.dumps(results))
            part = doctored["rows"][1][key]
            for name in part:
                part[name] *= factor + slack
            found, notes = regressions(results, doctored)
            assert len(found) == expected and not notes, (key, slack)
            assert not found or found[0].startswith(f"1080p vmatte, onnxruntime: {what} ")
    # Better is no regression, and what serves as the measure is none either.
    better = copy.deepcopy(results)
    better["rows"][1]["share"]["median"] *= 2
    better["rows"][4]["share"]["median"] /= 2
    assert regressions(results, better) == ([], [])
    # What is gone, and another machine, are told.
    gone = copy.deepcopy(results)
    del gone["rows"][1]
    gone["machine"] = "n"
    found, notes = regressions(results, gone)
    assert not found and notes == [
        "machine differs: m, now n",
        "1080p vmatte, onnxruntime: was measured, and is not now",
    ]


def test_the_recipe_mattes(shared: Callable[[str], Path], tmp_path: Path) -> None:
    model = str(shared("weights/rvm_mobilenetv3_int8w.onnx"))
    clip, target = make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    measured = peers.recipe(str(clip), str(target), "ultrafast", 0.01, model)
    assert 6 <= measured["frames"] <= 10 and measured["fps"] > 0
    source = open_source(str(target))
    frames = list(source)
    source.close()
    assert len(frames) == measured["frames"]
    # Nobody is in it: all is background.
    assert np.abs(frames[3].rgb((96, 64)) - [120.0, 255, 155]).mean() < 12


def test_replayed_mattes_are_those_recorded(tmp_path: Path) -> None:
    """Without the network the same is written, sooner."""
    clip = str(ROOT / "samples" / "astronaut.mp4")
    recorded = str(tmp_path / "r.npz")
    peers.keep(clip, recorded, 6)
    given = (str(tmp_path / "replayed.mp4"), "ultrafast", 0.01)
    again = peers.replay(clip, *given, recorded)
    assert again["model"] == "replay" and again["frames"] == 6
    assert np.load(recorded)["alpha"].shape == (6, *again["working_size"][::-1])
    assert again["stages_ms"]["infer"] < 0.2 * again["stages_ms"]["encode"]
    source = open_source(str(tmp_path / "replayed.mp4"))
    shown = next(iter(source)).rgb((40, 40))
    source.close()
    assert np.abs(shown[1, 1] - [0.0, 177, 64]).max() < 12, "green at the edge"
    assert shown[10:35, 10:30].std() > 30, "somebody in the middle"


def test_a_small_run_of_everything(shared: Callable[[str], Path], tmp_path: Path) -> None:
    """Real, against results that nobody reaches: it ends with 1, and says where."""
    folder = shared("gt").parent
    old = {"rows": [row("480p", "vmatte, onnxruntime", 1e6, model="vmatte")]}
    (tmp_path / "old.json").write_text(json.dumps(old))
    words = ["--shared", str(folder), "--clip", str(ROOT / "samples" / "astronaut.mp4")]
    words += ["--models", "vmatte", "--sizes", "480p", "--rounds", "1", "--seconds", "0.01"]
    words += ["--frames", "1", "-o", "out", "--baseline", "old.json"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.suite", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "WORSE: 480p vmatte, onnxruntime: fps over transcode 10000.000 -> " in done.stdout
    assert "left out: rembg's loop: no interpreter was given with --rembg" in done.stdout
    found = json.loads((tmp_path / "out/suite.json").read_text())
    by_name = {r["variant"]: r for r in found["rows"]}
    assert not [r for r in found["rows"] if "failed" in r]
    assert {"decode", "transcode", "vmatte, onnxruntime", REPLAY} <= set(by_name)
    assert 0 < by_name["vmatte, onnxruntime"]["error"]["mad"] < 100
    assert by_name[REPLAY]["cpu_ms"]["median"] < by_name["vmatte, onnxruntime"]["cpu_ms"]["median"]
    assert found["commit"] and found["command"].startswith("python -m benchmarks.suite --shared")
    text = (tmp_path / "out/suite.md").read_text()
    assert "| import vmatte, ms | <= 80 |" in text and "| 480p | vmatte, onnxruntime |" in text
    assert (tmp_path / "out/suite.svg").read_text().startswith("<svg")
