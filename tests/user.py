"""A user of the command line, with a tiny model of their own."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import graphs
import pytest
from media import make_video

from vmatte.cli import main

TINY = ("--model", "tiny", "--runtime", "onnxruntime")
"""Brightness as alpha: starts in a blink."""


class User:
    """Runs vmatte in a folder of their own; ``clip`` is a clip there, of ten frames."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.here, self.models = home / "here", home / "models"
        self.here.mkdir()
        self.models.mkdir()
        path = graphs.pphumanseg(self.models / "tiny.onnx")
        data = path.read_bytes()
        (self.models / "tiny.toml").write_text(
            f'[models.tiny]\nfamily = "pphumanseg"\nfile = "tiny.onnx"\nbytes = {len(data)}\n'
            f'sha256 = "{sha256(data).hexdigest()}"\nlicence = "MIT"\n'
        )
        self.clip = make_video(self.here / "clip.mp4")
        self.begin = self.left()
        kept = {k: v for k, v in os.environ.items() if not k.startswith("VMATTE_")}
        self.environment = {**kept, "VMATTE_MODELS": str(self.models), "VMATTE_OFFLINE": "1"}

    def left(self) -> set[str]:
        """Return all that is in the folder, hidden or not."""
        return {str(p.relative_to(self.here)) for p in self.here.rglob("*")}

    def made(self) -> set[str]:
        """Return what has come into the folder since the beginning."""
        return self.left() - self.begin

    def start(self, *words: str, **more: Any) -> "subprocess.Popen[bytes]":
        """Start vmatte in a process of its own."""
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        return subprocess.Popen(
            [sys.executable, "-m", "vmatte", *words], cwd=self.here, env=self.environment, **more
        )

    def run(self, *words: str, **more: Any) -> tuple[int, bytes, str]:
        """Run vmatte in a process of its own; return its exit code and what it printed."""
        given = more.pop("input", None)
        with self.start(*words, stdin=subprocess.PIPE, **more) as process:
            out, err = process.communicate(given, timeout=60)
        assert b"Traceback" not in err, err.decode()
        return process.returncode, out, err.decode()


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


@pytest.fixture
def call(user: User, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Run the command line within this process, which is much faster."""
    monkeypatch.chdir(user.here)
    for name in list(os.environ):
        if name.startswith("VMATTE_"):
            monkeypatch.delenv(name)
    for name, value in user.environment.items():
        if name.startswith("VMATTE_"):
            monkeypatch.setenv(name, value)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vmatte", *words])
        capfd.readouterr()
        code: Any = None
        with contextlib.suppress(SystemExit):
            try:
                main()
            except SystemExit as e:
                code = e.code
                raise
        out, err = capfd.readouterr()
        assert "Traceback" not in err, err
        return code, out, err

    return run


def lines(text: str) -> list[dict[str, Any]]:
    """Parse every line as JSON."""
    return [json.loads(line) for line in text.splitlines()]
