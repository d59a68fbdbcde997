"""A user of vmatte models: folders, packages and a pip configuration of their own."""

import os
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

CONTENT = bytes(range(256)) * 8000
SHA256 = sha256(CONTENT).hexdigest()
MEMBER = "tinymodel/tiny.onnx"
SOURCE = f'{{ kind = "wheel", requirement = "vmatte-test-tinymodel==1.0", member = "{MEMBER}" }}'


class User:
    """A user with models, packages and a pip configuration of their own."""

    def __init__(self, home: Path) -> None:
        self.models, self.packages, self.here = (home / n for n in ("models", "packages", "here"))
        for folder in (self.models, self.packages, self.here):
            folder.mkdir()
        config = home / "pip.conf"
        config.write_text(f"[global]\nno-index = true\nfind-links = {self.packages}\n")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "VMATTE_"))}
        self.environment = {
            **kept,
            "PIP_CONFIG_FILE": str(config),
            "VMATTE_MODELS": str(self.models),
        }

    def register(self, source: str = SOURCE, *, hashed: str = SHA256, more: str = "") -> None:
        text = f"""[models.tiny]
            family = "u2net"\nfile = "tiny.onnx"\nbytes = {len(CONTENT)}
            sha256 = "{hashed}"\nlicence = "MIT"\nsources = [{source}]\n{more}\n"""
        (self.models / "tiny.toml").write_text(text)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "vmatte", "models", *words]
        return subprocess.Popen(command, cwd=self.here, env=self.environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip

    def run(self, *words: str) -> tuple[int, str, str]:
        with self.start(*words) as process:
            out, err = process.communicate(timeout=120)
        assert "Traceback" not in err, err
        return process.returncode, out, err

    def left(self) -> set[str]:
        names = {p.name for p in self.models.iterdir()}
        return names - {"tiny.toml", "tiny.onnx.lock", ".verified"}

    def make_wheel(self, member: str = MEMBER, content: bytes = CONTENT) -> Path:
        info = "vmatte_test_tinymodel-1.0.dist-info"
        path = self.packages / "vmatte_test_tinymodel-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr(member, content)
            wheel.writestr("tinymodel/__init__.py", "raise SystemExit('imported')")
            wheel.writestr(
                f"{info}/METADATA",
                "Metadata-Version: 2.1\nName: vmatte-test-tinymodel\nVersion: 1.0\n"
                "Requires-Python: <3.9\nRequires-Dist: vmatte-test-there-is-none\n",
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        return path
