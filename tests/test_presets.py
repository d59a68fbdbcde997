"""Options saved under a name: --preset, --save-preset and vmatte presets."""

import stat
import sys
import tomllib
from pathlib import Path

import pytest
from media import decode, ffprobe
from user import TINY, Call, User, call, user

from vmatte.errors import OptionError
from vmatte.presets import load_presets, presets_file, save_preset

__all__ = ["call", "user"]


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch, user: User, call: Call, tmp_path: Path) -> Path:
    monkeypatch.setenv("VMATTE_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config" / "presets.toml"


def _codec(path: Path) -> str:
    return str(ffprobe(path)["streams"][0]["codec_name"])


def test_what_is_saved_is_used_again_and_the_command_line_wins(
    call: Call, user: User, own: Path
) -> None:
    code, _, err = call(
        "run", "clip.mp4", "-o", "a.mkv", *TINY, "--codec", "ffv1", "--no-sound", "--background",
        "#102030", "--save-preset", "plain",
    )  # fmt: skip
    assert code == 0, err
    assert f"saved as preset plain in {own}" in err
    assert tomllib.loads(own.read_text())["plain"] == {
        "output": ["a.mkv"], "model": "tiny", "runtime": "onnxruntime", "codec": "ffv1",
        "sound": False, "background": "#102030",
    }  # fmt: skip
    assert call("run", "clip.mp4", "-o", "b.mkv", "--preset", "plain")[0] == 0
    assert _codec(user.here / "b.mkv") == "ffv1"
    first, again = (decode(user.here / name)[0].to_ndarray() for name in ("a.mkv", "b.mkv"))
    assert (first == again).all()
    assert call("run", "clip.mp4", "-o", "c.mkv", "--preset", "plain", "--codec", "h264")[0] == 0
    assert _codec(user.here / "c.mkv") == "h264"
    # The name of the output, too, is an option.
    assert call("run", "clip.mp4", "--preset", "plain", "--overwrite")[0] == 0


def test_a_preset_can_be_built_upon(call: Call) -> None:
    save_preset("one", {"background": "blur:9", "model": "tiny", "runtime": "onnxruntime"})
    code, _, err = call(
        "run", "clip.mp4", "-o", "null:", "--preset", "one", "--model", "rvm", "--model", "tiny",
        "--feather", "1", "--save-preset", "two",
    )  # fmt: skip
    assert code == 0, err
    assert load_presets()["two"] == {
        "background": "blur:9", "model": "tiny", "runtime": "onnxruntime", "output": ["null:"],
        "feather": "1",
    }  # fmt: skip


def test_only_the_owner_can_read_them(own: Path) -> None:
    save_preset("a", {"input": "rtsp://me:secret@host/"})
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    assert [p.name for p in own.parent.iterdir()] == ["presets.toml"]


def test_list_show_and_delete(call: Call) -> None:
    assert "no presets yet" in call("presets", "list")[1]
    odd = 'käse "x" \\ [y] \x7f'
    save_preset("meeting", {"background": odd, "output": ["virtualcam:", "a.mp4"], "mirror": True})
    save_preset("door", {"input": "rtsp://me:s3cret@host/1"})
    assert load_presets()["meeting"]["background"] == odd
    _, out, _ = call("presets", "list")
    assert out.splitlines()[0].startswith("door: input=rtsp://***@host/1")
    assert "s3cret" not in out + call("presets", "show", "door")[1]
    assert (
        'output = ["virtualcam:", "a.mp4"]\nmirror = true\n'
        in call("presets", "show", "meeting")[1]
    )
    assert call("presets", "delete", "door")[0] == 0
    assert list(load_presets()) == ["meeting"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("presets", "show", "gone"), "no preset is named 'gone'; there are: good"),
        (("presets", "delete", "gone"), "no preset is named"),
        (("run", "clip.mp4", "-o", "null:", "--preset", "holiday"), "no preset is named"),
        (("run", "clip.mp4", "-o", "null:", *TINY, "--save-preset", "a/b"), "cannot be named"),
        (("run", "clip.mp4", "-o", "null:", "--preset", "bad"), "colour is no option of vmatte"),
    ],
)
def test_what_cannot_be_is_told(call: Call, words: tuple[str, ...], message: str) -> None:
    save_preset("good", {})
    if "bad" in words:
        save_preset("bad", {"colour": "red"})
    code, _, err = call(*words)
    assert code == 1
    assert err.startswith("OptionError: ")
    assert message in err


def test_a_value_that_is_no_such_thing_is_a_usage_error(call: Call) -> None:
    save_preset("bad", {"codec": "betamax"})
    code, _, err = call("run", "clip.mp4", "-o", "null:", "--preset", "bad")
    assert code == 2
    assert "'betamax' is not one of" in err


@pytest.mark.parametrize("text", ["a = [", "a = 1", "[a]\nb = {c = 1}", "[a]\nb = [1]", "\xff"])
def test_a_file_that_is_broken_is_told(own: Path, call: Call, text: str) -> None:
    own.parent.mkdir()
    own.write_bytes(text.encode("latin-1"))
    code, _, err = call("presets", "list")
    assert code == 1
    assert "repair or remove it" in err
    with pytest.raises(OptionError):
        save_preset("new", {})
    assert own.read_bytes() == text.encode("latin-1")


def test_where_they_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VMATTE_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    if sys.platform.startswith("linux"):
        assert presets_file() == tmp_path / "vmatte" / "presets.toml"


def test_an_encoders_own_preset_is_taken_too(call: Call, user: User) -> None:
    sizes = []
    for name in ("ultrafast", "slow"):
        line = ("run", "clip.mp4", "-o", f"{name}.mp4", *TINY, "--codec", "h264")
        assert call(*line, "--preset", name)[0] == 0
        sizes.append((user.here / f"{name}.mp4").stat().st_size)
    assert sizes[0] > sizes[1]
    code, _, err = call("run", "clip.mp4", "-o", "no.mp4", *TINY, "--save-preset", "ultrafast")
    assert code == 1 and "'ultrafast' is an encoder's own preset" in err
