"""vmatte batch, with Ray: killed, restarted, with bad files, pictures, and workers that die."""

import importlib.util
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import missing
from media import Sound, make_image, make_video, packets_of, times_of
from user import TINY, User, user

__all__ = ["user"]


@pytest.fixture(autouse=True)
def _ray() -> None:
    if importlib.util.find_spec("ray") is None:
        missing("needs Ray: pip install 'vmatte[cluster]'")


BATCH = (*TINY, "--encoder-preset", "ultrafast", "--json", "--workers", "2", "--cpus", "0.5")
PATIENCE = 240
"""Seconds; Ray takes four to start on a quiet machine."""


def batch(user: User, *words: str) -> tuple[int, list[dict[str, Any]]]:
    with user.start("batch", *words, *BATCH) as process:
        _, err = process.communicate(timeout=PATIENCE)
    text = err.decode()
    assert "Traceback" not in text, text
    return process.returncode, [json.loads(line) for line in text.splitlines() if line[:1] == "{"]


def report(out: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    return [e for e in found if e["event"] == "file"]


def descendants(pid: int) -> list[int]:
    found = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [d for p in found for d in descendants(p)]


def titles(pid: int) -> dict[int, str]:
    """Return what each process below ``pid`` calls itself."""
    found = {}
    try:
        for child in descendants(pid):
            found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
    except OSError:
        pass  # one has just ended
    return found


def wait_for(what: Any) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.005)
    raise AssertionError("it did not come")


def test_killed_and_restarted_does_nothing_twice_and_misses_nothing(user: User) -> None:
    clips = user.here / "clips"
    (clips / "deep").mkdir(parents=True)
    names = [f"{'deep/' if i % 2 else ''}clip{i}.mp4" for i in range(20)]
    for i, name in enumerate(names):
        make_video(clips / name, times=range(5 + i), sounds=[Sound()] if i % 3 else [])
    make_image(clips / "photo.jpg", size=(64, 48))
    (clips / "bad.mp4").write_bytes(b"this is no video")
    (clips / "words.txt").write_text("nor is this")
    out = user.here / "out"

    with user.start("batch", "clips", "-o", "out", *BATCH) as process:
        wait_for(lambda: (out / "report.jsonl").exists() and len(report(out)) >= 6)
        below = descendants(process.pid)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
    wait_for(lambda: not [p for p in below if Path(f"/proc/{p}").exists()])
    first = [e["input"] for e in report(out) if e["state"] == "done"]
    assert 0 < len(first) < 21
    kept = {p: p.stat().st_mtime_ns for p in out.rglob("*.mp4") if ".vmatte" not in p.parts}

    code, events = batch(user, "clips", "-o", "out")
    assert code == 1  # of the bad one
    summary = events[-1]
    assert summary["failed"] == 1
    (failed,) = [e for e in events if e.get("state") == "failed"]
    assert failed["input"].endswith("bad.mp4") and "DamagedMediaError" in failed["error"]
    for path, when in kept.items():
        assert path.stat().st_mtime_ns == when, f"{path} was made twice"
    assert summary["skipped"] == len(kept) + (str(clips / "photo.jpg") in first)
    assert summary["done"] + summary["skipped"] == 21
    made = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    expected = {*names, "photo.jpg", "report.jsonl"}
    assert {m for m in made if not m.startswith(".vmatte")} == expected
    assert not list((out / ".vmatte").glob("work/*")) and not list(out.rglob(".*.part*"))
    for i, name in enumerate(names):
        assert len(times_of(out / name)) == 5 + i, name


def test_a_worker_killed_in_mid_part_changes_nothing(user: User) -> None:
    clip = make_video(
        user.here / "long.mp4",
        times=range(240),
        size=(320, 192),
        sounds=[Sound(seconds=10)],
        options={"g": "60"},
    )
    words = ("--model", "tiny", "--runtime", "onnxruntime", "--encoder-preset", "ultrafast")
    code, _, err = user.run("run", str(clip), "-o", "whole.mp4", *words)
    assert code == 0, err
    killed: list[int] = []
    with user.start("batch", str(clip), "-o", "out", *BATCH, "--split", "2.5") as process:

        def working() -> list[int]:
            found = [p for p, t in titles(process.pid).items() if "ray::Worker.part" in t]
            half = [*(user.here / "out" / ".vmatte" / "work").glob("*/.vmatte-*.part.mp4")]
            return found if half else []

        killed += wait_for(working)[:1]
        os.kill(killed[0], signal.SIGKILL)
        _, err_bytes = process.communicate(timeout=PATIENCE)
    events = [json.loads(x) for x in err_bytes.decode().splitlines() if x[:1] == "{"]
    assert process.returncode == 0, err_bytes.decode()
    assert events[0]["parts"] == 4 and events[0]["frames"] == 240
    parts, whole = user.here / "out" / "long.mp4", user.here / "whole.mp4"
    assert times_of(parts) == times_of(whole) and len(times_of(parts)) == 240
    assert packets_of(parts, "audio") == packets_of(whole, "audio")
    assert not list((user.here / "out" / ".vmatte").glob("work/*"))


def test_without_the_extra(user: User, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "ray.py").write_text("raise ImportError('no module named ray')")
    user.environment["PYTHONPATH"] = os.pathsep.join(
        [str(tmp_path / "hidden"), user.environment.get("PYTHONPATH", "")]
    )
    code, _, err = user.run("batch", "clip.mp4", "-o", "out", *TINY)
    assert code == 1
    assert "EngineError" in err and "pip install 'vmatte[cluster]'" in err
