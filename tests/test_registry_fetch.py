"""Fetching models over http from a real server that misbehaves in the ways real ones do."""

import errno
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from file_server import FileServer, serving

from vmatte.errors import DownloadError, HashMismatchError, ModelUnavailableError
from vmatte.registry import ModelRecord, Places, Store, fetch
from vmatte.registry.places import bundled_dir
from vmatte.registry.records import Bundled, Https

CONTENT = random.Random(7).randbytes(3_000_000)
SIZE = len(CONTENT)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(CONTENT) as state:
        yield state


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(fetch, "WAITS", (0.0, 0.0, 0.0))
    return make_store(tmp_path / "cache")


def make_store(cache: Path, offline: bool = False) -> Store:
    return Store(Places(bundled=bundled_dir(), own=cache, cache=cache, offline=offline))


def record(*urls: str, size: int | None = SIZE, **more: object) -> ModelRecord:
    return ModelRecord(
        name="tiny",
        family="u2net",
        file="tiny.onnx",
        sha256=sha256(CONTENT).hexdigest(),
        bytes=size,
        licence="MIT",
        sources=tuple(Https(url) for url in urls),
        **more,  # type: ignore[arg-type]
    )


def left(store: Store) -> set[str]:
    """Return the names of what is in the cache, but for locks and notes."""
    names = {p.name for p in store.places.cache.iterdir()}
    return names - {"tiny.onnx.lock", ".verified"}


@pytest.mark.parametrize("size", [SIZE, None])
def test_whole_file(server: FileServer, store: Store, size: int | None) -> None:
    seen: list[tuple[int, int | None]] = []
    inodes = set()

    def watch(done: int, total: int | None) -> None:
        seen.append((done, total))
        inodes.add((store.places.cache / "tiny.onnx.part").stat().st_ino)
        assert not (store.places.cache / "tiny.onnx").exists()

    path = store.ensure(record(server.url, size=size), watch)
    assert path.read_bytes() == CONTENT
    assert inodes == {path.stat().st_ino}, "renamed, not written twice"
    assert left(store) == {"tiny.onnx"}
    assert seen[0] == (0, SIZE) and seen[-1] == (SIZE, SIZE) and len(seen) > 5
    assert seen == sorted(seen)
    assert store.ensure(record(server.url, size=size)) == path
    assert len(server.requests) == 1, "what is here is not fetched again"


def test_broken_connection_is_resumed(server: FileServer, store: Store) -> None:
    server.breaks = [1_000_000, 500_000]
    seen: list[int] = []
    path = store.ensure(record(server.url), lambda done, total: seen.append(done))
    assert path.read_bytes() == CONTENT
    assert server.requests == [None, "bytes=1000000-", "bytes=1500000-"]
    assert server.sent == SIZE, "no byte twice"
    assert seen == sorted(seen)
    assert left(store) == {"tiny.onnx"}


def test_next_run_resumes(
    server: FileServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "WAITS", ())
    server.breaks = [700_000]
    with pytest.raises(DownloadError, match="700000 bytes are kept and the next run goes on"):
        store.ensure(record(server.url))
    assert left(store) == {"tiny.onnx.part", "tiny.onnx.part.json"}
    assert store.find(record(server.url)) is None, "a part is not a model"
    server.statuses = [403]
    with pytest.raises(DownloadError, match="403 Forbidden"):
        store.ensure(record(server.url))
    assert store.ensure(record(server.url)).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=700000-", "bytes=700000-"] and server.sent == SIZE


@pytest.mark.parametrize("change", ["etag", "no etag", "no ranges", "other bytes", "too long"])
def test_part_that_cannot_be_resumed_starts_again(
    server: FileServer, store: Store, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(fetch, "WAITS", (0.0,))
    part = store.places.cache / "tiny.onnx.part"
    server.etag = None if change == "no etag" else '"one"'
    server.breaks = [700_000, 0]
    with pytest.raises(DownloadError):
        store.ensure(record(server.url))
    if change == "etag":
        server.etag = '"two"'
    elif change == "no ranges":
        server.ranges = False
    elif change == "other bytes":
        part.write_bytes(bytes(700_000))
    elif change == "too long":
        part.write_bytes(CONTENT + b"x")
    assert store.ensure(record(server.url)).read_bytes() == CONTENT
    assert left(store) == {"tiny.onnx"}


@pytest.mark.parametrize("broken", [[], [1_000_000] * 30])
def test_wrong_content_leaves_nothing(server: FileServer, store: Store, broken: list[int]) -> None:
    server.content = CONTENT[:-1] + b"x"
    server.breaks = broken
    with pytest.raises(HashMismatchError, match=f"expected {record().sha256}; nothing was kept"):
        store.ensure(record(server.url, server.url))
    assert left(store) == set()
    assert len(server.requests) <= 6, "another source is not tried, nor this one for ever"


@pytest.mark.parametrize("content", [b"<html>log in</html>", CONTENT + b"x"])
def test_wrong_size_is_refused_before_the_body(
    server: FileServer, store: Store, content: bytes
) -> None:
    server.content = content
    with pytest.raises(HashMismatchError, match=f"got {len(content)} bytes, expected {SIZE}"):
        store.ensure(record(server.url))
    assert left(store) == set()


def test_absent_file_is_not_tried_again(server: FileServer, store: Store) -> None:
    server.statuses = [404]
    with pytest.raises(DownloadError, match="answered 404 Not Found") as e:
        store.ensure(record(server.url))
    assert "vmatte models import FILE" in str(e.value)
    assert len(server.requests) == 1
    assert left(store) == set()


def test_next_source_takes_over(server: FileServer, store: Store) -> None:
    server.statuses = [403]
    assert store.ensure(record(server.url, server.url)).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_busy_server_is_waited_for(
    server: FileServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "WAITS", (0.01, 0.02, 0.04))
    waited: list[float] = []
    monkeypatch.setattr(fetch.time, "sleep", waited.append)
    server.statuses = [503, 429, 500]
    assert store.ensure(record(server.url)).read_bytes() == CONTENT
    assert [w for w in waited if w in fetch.WAITS] == [0.01, 0.02, 0.04]
    (store.places.cache / "tiny.onnx").unlink()
    server.statuses = [503] * 9
    with pytest.raises(DownloadError, match="503 Service Unavailable; tried 4 times"):
        store.ensure(record(server.url))


def test_headway_starts_the_count_again(
    server: FileServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "WAITS", (0.0,))
    monkeypatch.setattr(fetch, "HEADWAY", 100_000)
    server.breaks = [400_000] * 7
    assert store.ensure(record(server.url)).read_bytes() == CONTENT
    assert server.sent == SIZE


def test_silent_server_is_given_up(
    server: FileServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "WAITS", ())
    monkeypatch.setattr(fetch, "TIMEOUT", 0.1)
    server.wait = 0.5
    with pytest.raises(DownloadError, match="timed out"):
        store.ensure(record(server.url))


def test_nobody_answers(server: FileServer, store: Store) -> None:
    url = "http://user:secret@127.0.0.1:9/tiny.onnx"
    with pytest.raises(DownloadError, match=r"tried 4 times") as e:
        store.ensure(record(url))
    assert "secret" not in str(e.value) and "HTTPS_PROXY" in str(e.value)


@pytest.fixture(params=["space", "file size"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder that takes 1 MB: a file system of that size, or a limit on this process."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        wanted = request.param == "space"
        mounted = wanted and not subprocess.run(mount, capture_output=True).returncode
    except FileNotFoundError:
        mounted = False
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:  # mounting is for root; what is to be seen is the same
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    yield folder
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_full_disk_leaves_nothing(server: FileServer, small_disk: Path) -> None:
    store = make_store(small_disk)
    with pytest.raises(DownloadError, match=r"the disk is full .* VMATTE_MODELS"):
        store.ensure(record(server.url, server.url, size=None))
    assert left(store) == set()
    assert len(server.requests) == 1, "another source would not help"


def test_lack_of_space_is_seen_beforehand(
    server: FileServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda p: type("U", (), {"free": SIZE - 1}))
    with pytest.raises(DownloadError, match=f"{SIZE} bytes are needed, {SIZE - 1} are free"):
        store.ensure(record(server.url))
    assert not server.requests


def test_folder_that_cannot_be_written(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match=r"cannot be written: .*set VMATTE_MODELS") as e:
        make_store(tmp_path / "file" / "cache").ensure(record(server.url))
    assert isinstance(e.value.__cause__, OSError)
    assert e.value.__cause__.errno == errno.ENOTDIR


def test_offline_asks_nobody(server: FileServer, tmp_path: Path) -> None:
    store = make_store(tmp_path / "cache", offline=True)
    with pytest.raises(ModelUnavailableError, match="the network is switched off") as e:
        store.ensure(record(server.url))
    assert "VMATTE_OFFLINE_DIR" in str(e.value) and "no such folder" in str(e.value)
    assert not server.requests


def test_non_commercial_model_wants_a_yes(server: FileServer, store: Store) -> None:
    wanted = record(server.url, non_commercial=True)
    with pytest.raises(ModelUnavailableError, match="--accept-licence"):
        store.ensure(wanted)
    assert not server.requests
    path = store.ensure(wanted, accept_licence=True)
    assert store.ensure(wanted) == path


def test_damaged_download_is_replaced_on_request(server: FileServer, store: Store) -> None:
    path = store.ensure(record(server.url))
    path.write_bytes(CONTENT[:1000])
    with pytest.raises(HashMismatchError, match="vmatte models pull tiny"):
        store.ensure(record(server.url))
    assert store.ensure(record(server.url), replace=True).read_bytes() == CONTENT


def test_bundled_file_needs_no_download(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(CONTENT)
    places = make_store(tmp_path / "cache").places
    store = Store(replace(places, bundled=tmp_path))
    bundled = replace(record(server.url), sources=(Bundled(), Https(server.url)))
    assert store.ensure(bundled) == tmp_path / "tiny.onnx"
    assert store.ensure(record(server.url)).parent == tmp_path / "cache"


FETCH = """
import sys
from pathlib import Path
from test_registry_fetch import make_store, record
print(make_store(Path(sys.argv[2])).ensure(record(sys.argv[1])))
"""


def test_two_processes_fetch_once(server: FileServer, tmp_path: Path) -> None:
    server.wait = 1.0
    command = [sys.executable, "-c", FETCH, server.url, str(tmp_path / "cache")]
    here = Path(__file__).parent
    runs = [subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    said = [run.communicate(timeout=60)[0].strip() for run in runs]
    assert said == [str(tmp_path / "cache" / "tiny.onnx")] * 2
    assert len(server.requests) == 1
