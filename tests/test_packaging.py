"""What ships: the wheel and the source archive hold what they must and nothing else."""

import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest

import vmatte

ROOT = Path(__file__).parents[1]


def _build(target: str, folder: Path) -> Path:
    # In place of pip, whose isolated build would need a network.
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(_build("wheel", tmp_path_factory.mktemp("wheel"))) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def test_wheel_holds_every_module_and_bundled_file(wheel: zipfile.ZipFile) -> None:
    held = set(wheel.namelist())
    here = [p for top in ("vmatte", "models") for p in (ROOT / top).rglob("*") if p.is_file()]
    names = [p.relative_to(ROOT).as_posix() for p in here if "__pycache__" not in p.parts]
    expected = {re.sub("^models/", "vmatte/bundled/", n) for n in names}
    assert {"vmatte/py.typed", "vmatte/bundled/registry.toml"} <= expected
    assert expected <= held, f"missing: {sorted(expected - held)}"


def test_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {n.split("/")[0] for n in wheel.namelist()}
    assert tops == {"vmatte", f"vmatte-{vmatte.__version__}.dist-info"}
    assert not [n for n in wheel.namelist() if "__pycache__" in n or n.endswith(".pyc")]


def test_registry_in_the_wheel_is_the_one_in_the_tree(wheel: zipfile.ZipFile) -> None:
    shipped = wheel.read("vmatte/bundled/registry.toml")
    assert shipped == (ROOT / "models/registry.toml").read_bytes()
    tomllib.loads(shipped.decode())


def test_every_file_that_is_said_to_be_bundled_is(wheel: zipfile.ZipFile) -> None:
    held = set(wheel.namelist())
    models = tomllib.loads(wheel.read("vmatte/bundled/registry.toml").decode())["models"]
    for name, record in models.items():
        if any(source["kind"] == "bundled" for source in record.get("sources", [])):
            assert f"vmatte/bundled/{record['file']}" in held, name


def test_version_and_licence(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert metadata["Version"] == vmatte.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    (licence,) = (n for n in wheel.namelist() if n.endswith("/LICENSE"))
    assert b"Apache License" in wheel.read(licence)
    points = next(n for n in wheel.namelist() if n.endswith("entry_points.txt"))
    assert b"vmatte = vmatte.cli:main" in wheel.read(points)


def test_copyleft_and_training_packages_are_extras(metadata: Message) -> None:
    needed = [n for n in metadata.get_all("Requires-Dist", []) if "extra ==" not in n]
    for name in ("pyvirtualcam", "torch", "pytest"):
        assert not [n for n in needed if n.startswith(name)]


def test_source_archive_can_be_built_from(tmp_path: Path) -> None:
    with tarfile.open(_build("sdist", tmp_path)) as archive:
        names = {n.split("/", 1)[1] for n in archive.getnames() if "/" in n}
    assert {"pyproject.toml", "LICENSE", "README.md", "models/registry.toml",
            "vmatte/py.typed", "tests/conftest.py"} <= names  # fmt: skip
    assert not [n for n in names if n.startswith(("training/", "benchmarks/", ".ci/", "out/"))]
