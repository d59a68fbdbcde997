"""The verb evaluate: its table, its JSON, what it loads, and the maintainers' dataset."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from discs import BrightIsSubject, make_dataset

from vmatte.cli import cli
from vmatte.errors import InputNotFoundError
from vmatte.evaluation import (
    compare,
    find_clips,
)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "data")


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Let the command line load the fake; return what it was asked for."""
    calls: list[tuple[object, ...]] = []

    def load(*args: object) -> BrightIsSubject:
        calls.append(args)
        return BrightIsSubject()

    monkeypatch.setattr("vmatte.cli.evaluate.load_matter", load)
    return calls


def run(*args: object) -> str:
    result = CliRunner().invoke(cli, ["evaluate", *map(str, args)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_table_has_a_row_a_clip_and_the_means(dataset: Path, bright: list[object]) -> None:
    lines = [line.split() for line in run(dataset).splitlines()]
    assert lines[0] == [
        "clip",
        "frames",
        "MAD",
        "MSE",
        "Grad",
        "Conn",
        "dtSSD",
        "IoU",
        "F",
        "edge",
        "F",
    ]
    rows = {line[0]: line for line in lines if line and "/" in line[0]}
    assert list(rows) == ["photos/2", "photos/10", "walk/moving", "walk/still"]
    assert rows["walk/moving"][1] == "3"
    assert rows["photos/2"][6] == "-"
    assert [line[:4] for line in lines if line and line[0] == "mean"] == [
        ["mean", "of", "2", "videos"],
        ["mean", "of", "2", "stills"],
    ]
    assert (
        " ".join(lines[-1]) == "model fake, runtime none, provider none, precision uint8, refined"
    )


def test_json_is_one_object(dataset: Path, bright: list[object]) -> None:
    got = json.loads(run(dataset, "--json", "--limit", 2, "--no-refine"))
    assert (got["model"], got["runtime"], got["precision"]) == ("fake", "none", "uint8")
    assert (got["refined"], got["limit"]) == (False, 2)
    assert [c["frames"] for c in got["clips"]] == [1, 1, 2, 2]
    assert got["means"]["videos"]["clips"] == 2
    assert got["means"]["stills"]["dtssd"] is None
    assert got["means"]["videos"]["mad"] > 0


def test_one_video_and_its_true_matte(dataset: Path, bright: list[object]) -> None:
    walk = dataset / "walk"
    got = json.loads(run(walk / "moving.mkv", "--true", walk / "alpha.mkv", "--json"))
    assert [c["name"] for c in got["clips"]] == ["moving.mkv"]


def test_finished_mattes_load_no_model(dataset: Path, bright: list[object]) -> None:
    alpha = dataset / "walk/alpha.mkv"
    got = json.loads(run(alpha, "--alpha", alpha, "--json"))
    assert bright == []
    assert got["model"] is None
    assert (got["means"]["videos"]["mad"], got["means"]["videos"]["iou"]) == (0, 1)
    assert "finished mattes" in run(alpha, "--alpha", alpha)


def test_a_dataset_is_looked_at_before_a_model_is_loaded(
    tmp_path: Path, bright: list[object]
) -> None:
    with pytest.raises(InputNotFoundError):
        run(tmp_path / "nothing")
    assert bright == []


def test_true_and_alpha_exclude_each_other(dataset: Path) -> None:
    args = ["evaluate", str(dataset), "--true", "a.mkv", "--alpha", "b.mkv"]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 2
    assert "exclude each other" in result.output


def test_the_maintainers_dataset(shared: Callable[[str], Path]) -> None:
    clips = find_clips(shared("gt"))
    assert sum(not c.still for c in clips) == 7
    assert sum(c.still for c in clips) == 15
    truth = [replace(c, video=c.alpha) for c in clips]
    for got in compare(truth, limit=2).clips:
        assert (got.means.mad, got.means.iou) == (0, 1)
        assert got.frames == (1 if got.still else 2)
