"""SHA-256 of files, and the error for a file that is another one."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from vmatte.errors import HashMismatchError

Progress = Callable[[int, int | None], None]
"""Called with the bytes done so far and the bytes in all, None where unknown."""

CHUNK = 1 << 18  # bytes


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_hashed(source: IO[bytes], target: Path) -> str:
    """Write what is left of ``source`` to the new file ``target``; return its SHA-256."""
    digest = hashlib.sha256()
    with target.open("wb") as file:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def expect_size(what: str, got: int, expected: int | None, advice: str) -> None:
    """Raise HashMismatchError where both sizes, in bytes, are known and differ."""
    if expected is not None and got != expected:
        raise HashMismatchError(f"{what}: got {got} bytes, expected {expected}; {advice}")


def expect_sha256(what: str, got: str, expected: str, advice: str) -> None:
    """Raise HashMismatchError where the hashes differ."""
    if got != expected:
        raise HashMismatchError(f"{what}: got sha256 {got}, expected {expected}; {advice}")
