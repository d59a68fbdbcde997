"""Fetching a file over https: resumed, retried, hashed on the way, and only whole files kept."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vmatte import __version__
from vmatte.errors import DownloadError, HashMismatchError, mask
from vmatte.registry.hashing import CHUNK, Progress, expect_sha256, expect_size

if TYPE_CHECKING:
    import httpx

WAITS = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each new try; after as many failures without headway we give up."""
TIMEOUT = 30.0
"""Seconds without a byte until a try counts as failed."""
HEADWAY = 1 << 20
"""Bytes that must have been added for the count of failures to start again."""

_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_NOT_KEPT = "nothing was kept; get the file elsewhere and use: vmatte models import FILE"


class _BrokenError(Exception):
    """A try that failed and may be repeated."""


def download(
    url: str, target: Path, size: int | None, sha256: str, progress: Progress | None = None
) -> None:
    """Fetch ``url`` to ``target``.

    While under way it is ``target`` + .part, which the next call resumes if the server still has
    the same file. size: in bytes, None where unknown. Raises DownloadError where the server cannot
    be had, HashMismatchError where it sends something else, and OSError where the disk refuses.
    """
    part = _Part(target, url)
    failures = best = 0
    restarted = False
    with _client() as client:
        while True:
            try:
                resumed, got = _try(client, url, part, size, progress)
                if resumed and got != sha256 and not restarted:
                    # What was here before may be at fault; a fresh start tells.
                    part.delete()
                    restarted = True
                    continue
                expect_sha256(f"{target.name} from {mask(url)}", got, sha256, _NOT_KEPT)
                break
            except _BrokenError as e:
                have = part.size()
                if have >= best + HEADWAY:
                    failures, best = 0, have
                failures += 1
                if failures > len(WAITS):
                    raise DownloadError(
                        f"{mask(url)}: {mask(str(e))}; tried {failures} times"
                        + (
                            f", {have} bytes are kept and the next run goes on there"
                            if have
                            else ""
                        )
                    ) from e
                time.sleep(WAITS[failures - 1])
            except (HashMismatchError, OSError) as e:
                # The disk is full, or the file is the wrong one: leave nothing. DownloadError is
                # an OSError too, but says nothing against the bytes that we have.
                if not isinstance(e, DownloadError):
                    part.delete()
                raise
    part.path.replace(target)
    part.delete()


class _Part:
    """An unfinished file and a note of what it is a part of."""

    def __init__(self, target: Path, url: str) -> None:
        self.path = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")
        self._url = url

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self) -> str | None:
        """Return the server's mark (ETag or date) of the file that this is a part of."""
        try:
            note = json.loads(self._note.read_text())
            return str(note["validator"]) if note["url"] == self._url else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self, validator: str | None) -> None:
        self.delete()
        if validator is not None:
            self._note.write_text(json.dumps({"url": self._url, "validator": validator}))

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def _client() -> "httpx.Client":
    import httpx

    try:
        return httpx.Client(
            follow_redirects=True,
            timeout=TIMEOUT,
            # Compressed bodies have neither the file's size nor its offsets.
            headers={"accept-encoding": "identity", "user-agent": f"vmatte/{__version__}"},
        )
    except (OSError, ValueError, ImportError) as e:
        raise DownloadError(
            f"cannot set up https ({mask(str(e))}); check SSL_CERT_FILE and the proxy variables"
        ) from e


def _try(
    client: "httpx.Client", url: str, part: _Part, size: int | None, progress: Progress | None
) -> tuple[bool, str]:
    """Fetch what is missing; return whether an earlier part was used, and the whole's SHA-256."""
    import httpx

    have, validator = part.size(), part.validator()
    headers = {}
    if have and validator is not None:
        headers = {"range": f"bytes={have}-", "if-range": validator}
    try:
        with client.stream("GET", url, headers=headers) as response:
            return _receive(response, part, have, size, progress)
    except httpx.TransportError as e:
        if "CERTIFICATE_VERIFY_FAILED" in str(e):
            raise DownloadError(
                f"{mask(url)}: {e}; behind a proxy with its own certificate set SSL_CERT_FILE to it"
            ) from e
        raise _BrokenError(str(e) or type(e).__name__) from e
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        raise DownloadError(f"{mask(url)}: {mask(str(e))}") from e


def _receive(
    response: "httpx.Response", part: _Part, have: int, size: int | None, progress: Progress | None
) -> tuple[bool, str]:
    status, url = response.status_code, mask(str(response.request.url).partition("?")[0])
    if status == 416:  # the part is longer than the file
        part.delete()
        raise _BrokenError("the server cannot go on where we stopped")
    if status in _TRY_AGAIN:
        raise _BrokenError(f"the server answered {status} {response.reason_phrase}")
    resumed = status == 206 and response.headers.get("content-range", "").startswith(
        f"bytes {have}-"
    )
    if status != 200 and not resumed:
        raise DownloadError(
            f"{url}: the server answered {status} {response.reason_phrase}, expected the file"
        )
    if not resumed:
        have = 0
        part.begin(_validator(response))
    length = response.headers.get("content-length", "")
    total = have + int(length) if length.isdecimal() else size
    if total is not None:
        kind = response.headers.get("content-type", "no type")
        expect_size(f"{url} ({kind})", total, size, f"a login page or proxy? {_NOT_KEPT}")
    digest = hashlib.sha256()
    with part.path.open("r+b" if resumed else "wb") as file:
        if resumed:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        if progress:
            progress(have, total)
        for chunk in response.iter_raw():
            file.write(chunk)
            digest.update(chunk)
            have += len(chunk)
            if size is not None and have > size:
                expect_size(url, have, size, _NOT_KEPT)
            if progress:
                progress(have, total)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and have < total:
        raise _BrokenError(f"the server ended after {have} of {total} bytes")
    return resumed, digest.hexdigest()


def _validator(response: "httpx.Response") -> str | None:
    etag: str = response.headers.get("etag", "")
    # Weak marks do not promise equal bytes.
    if etag and not etag.startswith("W/"):
        return etag
    modified: str | None = response.headers.get("last-modified")
    return modified
