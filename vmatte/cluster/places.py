"""Where files are read and written: folders of this machine, or anything that fsspec knows."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from vmatte.errors import EngineError, InputError, InputNotFoundError, WriteError, mask

PRIVATE = ".vmatte"
"""The folder, in an output's, of records and of work that is not finished."""

_MARKS = (
    *("size", "ETag", "etag", "LastModified", "Last-Modified", "last_modified", "mtime", "updated"),
    *("md5Hash", "created"),
)
"""What file systems tell of a file that changes when the file does."""


class Place:
    """A folder: ``root`` is a path, or a URL such as s3://bucket/folder. Files are named below it.

    Can be sent to another process.
    """

    def __init__(self, root: str) -> None:
        """Raise EngineError where fsspec, or what it needs for such a URL, is not installed."""
        self.root = root
        self.name = mask(root)
        self._connect()
        if self.local is not None:
            # A worker has a working folder of its own.
            self.root = str(self.local)

    def _connect(self) -> None:
        try:
            from fsspec.core import url_to_fs
            from fsspec.implementations.local import LocalFileSystem
        except ImportError as e:
            raise EngineError(
                "vmatte batch needs fsspec and Ray; install: pip install 'vmatte[cluster]'"
            ) from e
        try:
            self._fs, path = url_to_fs(self.root)
        except ImportError as e:
            raise EngineError(f"{self.name}: {e}; install it, on every machine") from e
        except ValueError as e:
            raise InputError(f"{self.name}: {e}; expected a path, or a URL such as s3://") from e
        self._base = str(path).rstrip("/")
        self.local = Path(path) if isinstance(self._fs, LocalFileSystem) else None

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "name": self.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.root, self.name = state["root"], state["name"]
        self._connect()

    def _at(self, file: str) -> str:
        return f"{self._base}/{file}"

    def show(self, file: str) -> str:
        """Return how messages call a file."""
        return str(self.local / file) if self.local else f"{self.name.rstrip('/')}/{file}"

    def is_file(self) -> bool:
        """Tell whether this is no folder at all, but one file. Raises InputNotFoundError."""
        with _told(self.name, InputError):
            # A web server has a page for a folder, too.
            if not self.root.endswith("/") and self._fs.isfile(self._base):
                return True
            if not self._fs.exists(self._base):
                raise InputNotFoundError(f"{self.name}: no such file or folder; check the name")
            return False

    def split(self) -> tuple["Place", str]:
        """Return the folder that this, a file, lies in, and its name there."""
        head, _, tail = self.root.rstrip("/").rpartition("/")
        return Place(head or ("/" if self.root.startswith("/") else ".")), tail

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield (name, mark) of every file below, hidden ones left out; see ``mark``."""
        with _told(self.name, InputError):
            found = self._fs.find(self._base, detail=True)
        for path, info in found.items():
            name = str(path)[len(self._base) :].strip("/")
            if not any(part.startswith(".") for part in PurePosixPath(name).parts):
                # A web server's list has names only.
                yield name, _mark(info) or self.mark(name)

    def mark(self, file: str) -> str:
        """Return what changes when the file does. Raises InputError."""
        with _told(self.show(file), InputError):
            return _mark(self._fs.info(self._at(file)))

    def size(self, file: str) -> int | None:
        """Return the bytes of a file, None where there is none."""
        with _told(self.show(file), InputError):
            try:
                return int(self._fs.info(self._at(file))["size"])
            except FileNotFoundError:
                return None

    def get(self, file: str, folder: Path) -> Path:
        """Return the file on this machine, brought into ``folder`` where it was elsewhere."""
        if self.local is not None:
            return self.local / file
        target = folder / PurePosixPath(file).name
        with _told(self.show(file), InputError):
            self._fs.get_file(self._at(file), str(target))
        return target

    def put(self, path: Path, file: str) -> None:
        """Move ``path``, of this machine, to ``file``, which is there only when whole."""
        with _told(self.show(file), WriteError):
            if self.local is None:
                # Object stores show an object when it is whole.
                self._fs.makedirs(self._at(file).rpartition("/")[0], exist_ok=True)
                self._fs.put_file(str(path), self._at(file))
                path.unlink()
                return
            target = self.local / file
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.replace(target)
            except OSError:  # another disk
                beside = target.with_name(f".{target.name}.part")
                shutil.move(path, beside)
                beside.replace(target)

    def read(self, file: str) -> bytes | None:
        """Return the contents of a small file, None where there is none."""
        with _told(self.show(file), InputError):
            try:
                content: bytes = self._fs.cat_file(self._at(file))
            except FileNotFoundError:
                return None
            return content

    def write(self, file: str, data: bytes) -> None:
        """Write a small file, at once or not at all."""
        with _told(self.show(file), WriteError):
            if self.local is None:
                self._fs.makedirs(self._at(file).rpartition("/")[0], exist_ok=True)
                self._fs.pipe_file(self._at(file), data)
                return
            target = self.local / file
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.with_name(f".{target.name}.part")
            beside.write_bytes(data)
            beside.replace(target)

    def remove(self, file: str) -> None:
        """Remove a file or a folder with all in it; nothing where there is none."""
        with _told(self.show(file), WriteError):
            if self._fs.exists(self._at(file)):
                self._fs.rm(self._at(file), recursive=True)


def _mark(info: dict[str, Any]) -> str:
    return " ".join(str(info[k]) for k in _MARKS if info.get(k) is not None)


@contextmanager
def _told(name: str, kind: type[InputError] | type[WriteError]) -> Iterator[None]:
    """Turn what the many file systems raise, each its own, into an error of ours."""
    try:
        yield
    except (InputError, WriteError, FileNotFoundError) as e:
        if isinstance(e, InputError | WriteError):
            raise
        raise InputNotFoundError(f"{name}: no such file or folder; check the name") from e
    except ImportError as e:
        raise EngineError(f"{name}: {e}; install it, on every machine") from e
    except Exception as e:
        raise kind(f"{name}: {type(e).__name__}: {mask(str(e))}") from e
