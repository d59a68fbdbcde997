"""Results kept from run to run."""

import os
from pathlib import Path

from vmatte.images import Cache, ImageOptions
from vmatte.images.keys import basis
from vmatte.registry import load_registry


def test_the_cache_forgets_what_was_used_longest_ago(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c", limit=10_000)
    keys = [f"{n:064x}" for n in range(256, 1536, 256)]
    for n, key in enumerate(keys[:4]):
        cache.keep(key, bytes([n]) * 2000)
        _age(cache, keys[: n + 1])
    assert all(cache.find(k) is not None for k in keys[:4])
    # The first is used again; the second is then the oldest.
    _age(cache, keys[:4])
    assert cache.find(keys[0]) == bytes(2000)
    cache.keep(keys[4], bytes(3000))
    assert cache.find(keys[1]) is None
    assert cache.find(keys[0]) is not None and cache.find(keys[4]) == bytes(3000)
    total = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert total <= 10_000


def _age(cache: Cache, keys: list[str]) -> None:
    """Let some time pass: each file is older than those after it."""
    for n, key in enumerate(keys):
        path = cache.folder / key[:2] / key[2:]
        if path.exists():
            os.utime(path, ns=(n * 10**9, n * 10**9))


def test_the_cache_does_not_trust_what_is_there(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=10_000)
    key = "ab" * 32
    assert cache.find(key) is None
    cache.keep(key, b"result")
    (path,) = (p for p in tmp_path.rglob("*") if p.is_file())
    path.write_bytes(path.read_bytes()[:-1])
    assert cache.find(key) is None
    cache.keep(key, b"result")
    assert cache.find(key) == b"result"
    # A folder that cannot be: nothing is kept, and nothing fails.
    (tmp_path / "f").write_text("")
    blocked = Cache(tmp_path / "f" / "g")
    blocked.keep(key, b"x")
    assert blocked.find(key) is None


def test_a_folder_behind_is_part_of_what_a_result_depends_on(tmp_path: Path) -> None:
    """A clip as a folder of images: another one there, another result."""
    record = load_registry().get(load_registry().default)
    behind = tmp_path / "behind"
    behind.mkdir()
    options = ImageOptions(background=str(behind))
    (behind / "0.png").write_bytes(b"one")
    known = basis(record, options)
    assert basis(record, options) == known
    (behind / "1.png").write_bytes(b"two")
    more = basis(record, options)
    (behind / "1.png").write_bytes(b"three")
    assert len({known, more, basis(record, options)}) == 3
