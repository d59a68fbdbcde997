"""Results kept from run to run, so that the same picture is never matted twice."""

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

import platformdirs

LIMIT = 2 << 30
"""Bytes kept, unless said otherwise."""

_TRIM = 0.9
"""Share of the limit that is left after a clearing: else every new result would clear."""


class Cache:
    """Files by the hash of all that they depend on; the least recently used go first.

    A folder of files, so that several runs may share it; what cannot be read or written is as if it
    were not there. Safe to use from several threads.
    """

    def __init__(self, folder: Path | None = None, limit: int = LIMIT) -> None:
        """Keep at most ``limit`` bytes in ``folder``, the user's cache folder by default."""
        own = platformdirs.user_cache_path("vmatte", appauthor=False)
        self.folder = folder or own / "images"
        self.limit = limit
        self._added = limit  # more than any: the first result looks at what is there

    def find(self, key: str) -> bytes | None:
        """Return what was kept under ``key``, None where nothing was."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        # A killed machine may leave half a file; the hash in front tells.
        digest, body = data[:32], data[32:]
        return body if hashlib.sha256(body).digest() == digest else None

    def keep(self, key: str, data: bytes) -> None:
        """Keep ``data``; where the disk refuses, it is not kept."""
        path = self._path(key)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{secrets.token_hex(4)}")
            try:
                draft.write_bytes(hashlib.sha256(data).digest() + data)
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
            self._added += len(data)
            # Looking at every file costs; a tenth of the limit may be over for a while.
            if self._added > self.limit * (1 - _TRIM):
                self._added = 0
                self._clear()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:]

    def _clear(self) -> None:
        found = []
        for path in self.folder.glob("??/*"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                found.append((stat.st_mtime_ns, stat.st_size, path))
        total = sum(size for _, size, _ in found)
        if total <= self.limit:
            return
        for _, size, path in sorted(found):
            if total <= self.limit * _TRIM:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size
