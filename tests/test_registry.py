"""The registry's records, finding and checking files, and importing them."""

import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from vmatte.errors import (
    HashMismatchError,
    ModelError,
    ModelUnavailableError,
    OptionError,
    UnknownModelError,
)
from vmatte.registry import ModelRecord, Places, Store, find_places, load_registry
from vmatte.registry import store as store_module
from vmatte.registry.hashing import hash_file
from vmatte.registry.importing import import_model
from vmatte.registry.places import bundled_dir
from vmatte.registry.records import Bundled, Https, read_toml

CONTENT = bytes(range(256)) * 40
RECORD = ModelRecord(
    name="tiny",
    family="u2net",
    file="tiny.onnx",
    sha256=sha256(CONTENT).hexdigest(),
    bytes=len(CONTENT),
    licence="MIT",
)
GOOD = """
[families.f]
recurrent = true
params = { size = [3, 4], mean = 1.5 }
[models.m]
family = "f"
file = "m.onnx"
bytes = 10
sha256 = "%s"
licence = "MIT"
params = { size = [5, 6] }
sources = [{ kind = "https", url = "https://example.org/m.onnx" },
           { kind = "wheel", requirement = "a-b==1.0", member = "a/b.onnx" }, { kind = "bundled" }]
""" % ("0" * 64)  # fmt: skip


@pytest.fixture
def places(tmp_path: Path) -> Places:
    for folder in ("own", "cache", "given"):
        (tmp_path / folder).mkdir()
    return Places(
        bundled=bundled_dir(),
        own=tmp_path / "own",
        cache=tmp_path / "cache",
        offline_dir=tmp_path / "given",
    )


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "r.toml"
    path.write_text(text)
    return path


def test_shipped_registry_is_complete() -> None:
    registry = load_registry()
    records = [registry.get(name) for name in registry.names()]
    assert registry.default in registry.names()
    assert registry.get("rvm").name == "rvm_mobilenetv3"
    assert registry.get("rvm").params == {"state_channels": [16, 20, 40, 64]}
    assert registry.get("rvm_resnet50").params == {"state_channels": [16, 32, 64, 128]}
    assert len({r.file for r in records}) == len({r.sha256 for r in records}) == len(records)
    for record in records:
        assert record.licence and record.description
        if record.licence.startswith("GPL"):
            assert Bundled() not in record.sources, "GPL weights are not shipped"
            assert not (bundled_dir() / record.file).exists()
        if not record.sources:
            assert "import" in record.description
        for source in record.sources:
            if isinstance(source, Https):
                hosts = ("github.com", "huggingface.co", "media.githubusercontent.com")
                assert urlsplit(source.url).scheme == "https"
                assert urlsplit(source.url).hostname in hosts, "no package registry's host"


@pytest.mark.parametrize("name", ["mediapipe_selfie", "mediapipe_selfie_landscape"])
def test_import_only_records_fit_the_published_files(
    name: str, shared: Callable[[str], Path], places: Places
) -> None:
    record = load_registry(places).get(name)
    file = shared(f"weights/{record.file}")
    assert import_model(file, load_registry(places), Store(places)) == record
    assert Store(places).verify(record) == places.own / record.file


def test_record_takes_from_its_family(tmp_path: Path) -> None:
    record = read_toml(write(tmp_path, GOOD)).models["m"]
    assert record.recurrent and not record.people_only
    assert record.params == {"size": [5, 6], "mean": 1.5}
    assert [type(s).__name__ for s in record.sources] == ["Https", "Wheel", "Bundled"]
    assert len({record, record}) == 1


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('family = "f"', 'family = "g"', "models.m.family is 'g', expected one of: f"),
        ('file = "m.onnx"', 'file = "../m.onnx"', "models.m.file"),
        ('file = "m.onnx"', "", "models.m has no 'file'"),
        ("bytes = 10", "bytes = true", "models.m.bytes is True, expected a whole number"),
        ("bytes = 10", "bytes = 0", "expected a positive number"),
        ("bytes = 10", "byte = 10", "unknown key 'byte'"),
        ("0" * 64, "0" * 63, "expected 64 lower-case hex digits"),
        ("a-b==1.0", "--index-url=x", "expected NAME==VERSION"),
        ("https://", "file://", "expected https://"),
        ('"bundled"', '"ftp"', "models.m.sources[2].kind is 'ftp'"),
        ('licence = "MIT"', "licence = 3", "models.m.licence is 3, expected a string"),
        ("[models.m]", '[models."m m"]', "cannot name a model"),
        ("[families.f]", 'default = "x"\n[families.f]', "default = 'x'"),
        ("[families.f]", "[families.f", "cannot be read as TOML"),
        ("[families.f]", "models = 3\n[families.f]", "cannot be read as TOML"),
    ],
)
def test_wrong_record_is_named(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ModelError) as e:
        read_toml(path)
    assert expected in str(e.value) and str(path) in str(e.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("u2nt", "did you mean u2net"),
        ("RVM", "did you mean rvm"),
        ("zzzzzz", "there are vmatte, rvm_mobilenetv3, "),
        ("folder/u2net", "vmatte models import folder/u2net"),
        ("mine.onnx", "vmatte models import mine.onnx"),
    ],
)
def test_unknown_name_gets_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UnknownModelError, match=hint) as e:
        load_registry().get(name)
    assert isinstance(e.value, LookupError)


def test_own_record_may_not_take_a_name(places: Places) -> None:
    text = GOOD.replace("[models.m]", "[models.u2net]")
    (places.own / "x.toml").write_text(text)
    with pytest.raises(ModelError, match=r"x\.toml.*'u2net' is taken by vmatte"):
        load_registry(places)
    (places.own / "x.toml").write_text(GOOD)
    (places.own / "y.toml").write_text(GOOD)
    with pytest.raises(ModelError, match=r"y\.toml.*'m' is taken by .*x\.toml"):
        load_registry(places)


def test_places_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMATTE_MODELS", str(tmp_path / "m"))
    monkeypatch.setenv("VMATTE_OFFLINE_DIR", str(tmp_path / "o"))
    monkeypatch.setenv("VMATTE_OFFLINE", "1")
    found = find_places()
    assert found.own == found.cache == tmp_path / "m"
    assert found.offline_dir == tmp_path / "o" and found.offline
    assert not find_places(offline=False).offline
    assert find_places(models_dir=tmp_path).cache == tmp_path
    monkeypatch.setenv("VMATTE_OFFLINE", "maybe")
    with pytest.raises(OptionError, match="VMATTE_OFFLINE is 'maybe'"):
        find_places()


@pytest.mark.parametrize("place", ["own", "cache", "given"])
def test_file_is_found_and_used_where_it_lies(places: Places, tmp_path: Path, place: str) -> None:
    store = Store(places)
    assert store.find(RECORD) is None
    path = tmp_path / place / RECORD.file
    path.write_bytes(CONTENT)
    assert store.find(RECORD) == store.ensure(RECORD) == store.verify(RECORD) == path


def test_file_is_hashed_once_until_it_changes(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    monkeypatch.setattr(store_module, "hash_file", lambda p: hashed.append(p) or hash_file(p))
    path = places.cache / RECORD.file
    path.write_bytes(CONTENT)
    Store(places).find(RECORD)
    Store(places).find(RECORD)
    assert len(hashed) == 1
    Store(places).verify(RECORD)
    assert len(hashed) == 2
    os.utime(path, ns=(0, 5))
    Store(places).find(RECORD)
    assert len(hashed) == 3
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(HashMismatchError, match=f"got sha256 .* expected {RECORD.sha256}"):
        Store(places).find(RECORD)


@pytest.mark.parametrize("place", ["cache", "given"])
def test_damaged_file_is_refused(places: Places, tmp_path: Path, place: str) -> None:
    (tmp_path / place / RECORD.file).write_bytes(CONTENT[:-1])
    with pytest.raises(HashMismatchError, match=f"got {len(CONTENT) - 1} bytes, expected"):
        Store(places).ensure(RECORD)


def test_only_our_own_download_may_be_replaced(places: Places, tmp_path: Path) -> None:
    (tmp_path / "given" / RECORD.file).write_bytes(CONTENT[:-1])
    with pytest.raises(HashMismatchError, match="vmatte models verify tiny"):
        Store(places).ensure(RECORD, replace=True)


def test_absent_model_says_where_and_what_to_do(places: Places, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="no download of it is known") as e:
        Store(places).ensure(RECORD)
    for folder in ("own", "cache", "given"):
        assert str(tmp_path / folder) in str(e.value)
    assert isinstance(e.value, FileNotFoundError)


def test_importing_the_package_is_light() -> None:
    code = "import sys, vmatte.registry; print({'httpx', 'onnx', 'rich', 'numpy'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
