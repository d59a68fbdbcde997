"""The command line at work: what it writes, prints and returns."""

import json
import os

import av
import numpy as np
import pytest
from media import decode, make_image, make_video, times_of, y4m
from user import TINY, Call, User, call, lines, user

from vmatte import __version__
from vmatte.cli import VERBS

__all__ = ["call", "user"]

SUMMARY = {
    "event", "frames", "dropped", "skipped", "seconds", "fps", "stages", "model", "runtime",
    "provider", "precision", "threads", "scaling", "peak_memory", "composed", "interrupted",
    "outputs", "notes",
}  # fmt: skip


def test_a_run_in_a_process_of_its_own(user: User) -> None:
    code, out, err = user.run("run", "clip.mp4", "-o", "out.mp4", *TINY)
    assert (code, out) == (0, b"")
    assert user.made() == {"out.mp4"}
    assert times_of(user.here / "out.mp4") == times_of(user.clip)
    assert "frames   10 in" in err and "0 dropped, 0 skipped" in err
    assert "tiny on onnxruntime, provider cpu, precision fp32" in err
    # No bar where there is no terminal.
    assert "\r" not in err and "\x1b" not in err


def test_json(call: Call, user: User) -> None:
    code, out, err = call("run", "clip.mp4", "-o", "out.mp4", "-o", "alpha=a.mkv", *TINY, "--json")
    assert (code, out) == (0, "")
    *progress, summary = lines(err)
    assert progress
    for event in progress:
        assert event["event"] == "progress" and event["total"] == 10
        assert 0 <= event["fps"] < 1e5
    assert set(summary) == SUMMARY
    assert summary["event"] == "summary"
    assert (summary["frames"], summary["dropped"], summary["skipped"]) == (10, 0, 0)
    assert summary["outputs"] == ["out.mp4", "alpha=a.mkv"]
    assert (summary["model"], summary["runtime"]) == ("tiny", "onnxruntime")
    assert (summary["provider"], summary["precision"]) == ("cpu", "fp32")
    assert {"decode", "infer", "refine", "composite", "encode"} <= set(summary["stages"])
    assert summary["peak_memory"] > 10e6 and summary["interrupted"] is False
    assert summary["fps"] == pytest.approx(10 / summary["seconds"], rel=0.05)


def test_quiet(call: Call) -> None:
    assert call("run", "clip.mp4", "-o", "null:", *TINY, "--quiet") == (0, "", "")


def test_several_outputs(call: Call, user: User) -> None:
    names = ["out.mkv", "alpha=m/../a.mkv", "foreground=f.mov", "cut/%03d.png"]
    (user.here / "m").mkdir()
    words = [w for n in names for w in ("-o", n)]
    code, _, err = call("run", "clip.mp4", *words, "--background", "transparent", *TINY)
    assert code == 0, err
    images = {"cut", *(f"cut/{n:03}.png" for n in range(10))}
    assert user.made() == {"out.mkv", "m", "a.mkv", "f.mov"} | images
    with av.open(str(user.here / "cut/000.png")) as image:
        assert next(image.decode(video=0)).format.name == "rgba"
    alpha = decode(user.here / "a.mkv")[0].to_ndarray(format="gray")
    source = decode(user.clip)[0].to_ndarray(format="gray")
    assert np.corrcoef(alpha.ravel(), source.ravel())[0, 1] > 0.8


def test_a_still(call: Call, user: User) -> None:
    make_image(user.here / "one.png")
    code, _, err = call("run", "one.png", "-o", "two.png", "--background", "transparent", *TINY)
    assert code == 0, err
    assert user.made() - {"one.png"} == {"two.png"}


def test_standard_input_and_output(user: User) -> None:
    code, out, err = user.run("run", "-", "-o", "-", *TINY, "--json", input=y4m(5))
    assert code == 0, err
    assert lines(err)[-1]["frames"] == 5
    assert out.startswith(b"YUV4MPEG2 W96 H64") and out.count(b"FRAME\n") == 5


def test_a_reader_that_goes_away(user: User) -> None:
    make_video(user.here / "long.mp4", times=range(300))
    process = user.start("run", "long.mp4", "-o", "-", *TINY)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(30) == 1
    err = process.stderr.read().decode()
    process.stderr.close()
    assert "Traceback" not in err and "Exception ignored" not in err
    assert len(err.splitlines()) == 1 and err.startswith("WriteError: standard output")


def test_the_part_between_start_and_end(call: Call, user: User) -> None:
    code, _, err = call(
        "run", "clip.mp4", "-o", "o.mp4", "--start", "0:00.08", "--end", "0.32", "--json", *TINY
    )
    assert code == 0 and lines(err)[-1]["frames"] == 6


def test_options_reach_their_places(call: Call, user: User) -> None:
    words = ["--codec", "ffv1", "--threads", "1", "--threshold", "0.5", "--grow", "-1"]
    code, _, err = call("run", "clip.mp4", "-o", "alpha=o.mkv", *words, *TINY, "--json")
    assert code == 0 and lines(err)[-1]["threads"] == 1
    picture = decode(user.here / "o.mkv")[0]
    assert set(np.unique(picture.to_ndarray())) <= {0, 255}
    code, _, err = call("run", "clip.mp4", "-o", "b.mp4", "--bitrate", "80k",
                        "--encoder-preset", "slow", "--no-sound", *TINY)  # fmt: skip
    assert code == 0, err


def test_overwrite(call: Call, user: User) -> None:
    (user.here / "out.mp4").write_bytes(b"precious")
    code, _, err = call("run", "clip.mp4", "-o", "out.mp4", *TINY)
    assert code == 1 and err.startswith("OutputExistsError: out.mp4:")
    assert (user.here / "out.mp4").read_bytes() == b"precious"
    assert call("run", "clip.mp4", "-o", "out.mp4", "--overwrite", *TINY)[0] == 0
    assert len(decode(user.here / "out.mp4")) == 10


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help(call: Call, verb: str) -> None:
    code, out, err = call(*([verb] if verb else []), "--help")
    assert (code, err) == (0, "")
    assert "Usage: vmatte" in out
    assert max(map(len, out.splitlines())) <= 100
    # 'models' is a group: its own verbs have them.
    assert verb == "models" or "Example" in out or "Start with" in out


def test_version_and_usage(call: Call) -> None:
    assert call("--version") == (0, f"vmatte, version {__version__}\n", "")
    for words in ((), ("fly",), ("run",), ("run", "clip.mp4"), ("run", "a", "-o", "b", "--warp"),
                  ("run", "a", "-o", "b", "--runtime", "x"), ("run", "a", "-o", "b", "--rate", "0"),
                  ("run", "a", "-o", "b", "--levels", "1"), ("run", "a", "-o", "b", "--end", "x"),
                  ("run", "a", "-o", "b", "--bitrate", "k"), ("probe",),
                  ("run", "a", "-o", "b", "--threads", "-1")):  # fmt: skip
        code, _, err = call(*words)
        assert code == 2, words
        assert "Usage: vmatte" in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(call: Call, shell: str) -> None:
    code, out, err = call("completion", shell)
    assert (code, err) == (0, "")
    assert "_VMATTE_COMPLETE" in out and shell in out


def test_completion_completes(user: User) -> None:
    asked = {"_VMATTE_COMPLETE": "bash_complete", "COMP_WORDS": "vmatte pro", "COMP_CWORD": "1"}
    user.environment.update(asked)
    code, out, _ = user.run()
    assert code == 0 and out == b"plain,probe\n"


def test_probe(call: Call, user: User) -> None:
    code, out, err = call("probe", "clip.mp4", "--count")
    assert (code, err) == (0, "")
    told = dict(line.split(None, 1) for line in out.splitlines() if "  " in line)
    assert told["size"] == "96x64" and told["matrix"] == "BT.709" and told["frames"] == "10"
    code, out, _ = call("probe", "clip.mp4", "--json", "--count")
    facts = json.loads(out)
    assert (facts["frames"], facts["bits"], facts["range"]) == (10, 8, "limited")
    assert facts["variable rate"] is False and facts["damaged"] == 0
    make_video(user.here / "vfr.mp4", times=[0, 1, 2, 6, 7])
    assert json.loads(call("probe", "vfr.mp4", "--json", "--count")[1])["variable rate"] is True
    assert call("probe", "none.mp4")[0] == 1


def test_doctor(call: Call, user: User) -> None:
    code, out, err = call("doctor")
    assert (code, err) == (0, "")
    for what in ("PyAV", "OpenCV", "onnxruntime", "OpenVINO", "models"):
        assert what in out
    findings = lines(call("doctor", "--json")[1])
    assert {f["state"] for f in findings} <= {"ok", "note"}
    for finding in findings:
        assert finding["state"] == "ok" or finding["advice"]
    (user.models / "bad.toml").write_text("[models.x]\n")
    code, out, _ = call("doctor")
    assert code == 1 and "BAD   models" in out and "->" in out


def test_a_bar_on_a_terminal(user: User) -> None:
    """It is drawn on standard error; the summary follows."""
    import pty

    master, slave = pty.openpty()
    try:
        with user.start("run", "clip.mp4", "-o", "o.mp4", *TINY, stderr=slave) as process:
            process.wait(60)
        os.close(slave)
        slave = -1
        shown = b""
        try:
            while chunk := os.read(master, 65536):
                shown += chunk
        except OSError:
            pass
        assert process.returncode == 0
        assert b"matting" in shown and b"wrote    o.mp4" in shown
    finally:
        os.close(master)
        if slave >= 0:
            os.close(slave)


def test_a_model_that_is_not_here_is_told_before_anything_is_written(
    call: Call, user: User
) -> None:
    code, _, err = call("run", "clip.mp4", "-o", "out.mp4", "--model", "rvm")
    assert code == 1 and err.startswith("ModelUnavailableError:")
    assert user.made() == set()
