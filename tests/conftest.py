"""What every test has: no leaks, no error logs, and clear skips that CI does not allow."""

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REQUIRE_ALL = os.environ.get("VMATTE_REQUIRE_ALL") == "1"
SHARED = Path(os.environ.get("VMATTE_SHARED", Path(__file__).parents[2] / "shared"))


def missing(reason: str) -> None:
    """Skip, or fail where nothing may be missing."""
    if REQUIRE_ALL:
        pytest.fail(f"VMATTE_REQUIRE_ALL=1, but {reason}")
    pytest.skip(reason)


# A shell that starts the tests in the background has them ignore Ctrl-C, and what they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def shared() -> Callable[[str], Path]:
    """Return a path in the maintainers' folder of real clips and weights."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            # CI runs beside the folder; on a user's machine it does not exist at all.
            missing(f"needs the maintainers' test data: {name}")
        return path

    return find


def _descriptors() -> set[str]:
    found = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            target = str(fd.readlink())
        except OSError:
            continue
        if target.startswith("/") and not target.startswith(("/dev/", "/proc/")):
            found.add(target)
    return found


def _children() -> set[str]:
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return set(path.read_text().split()) if path.exists() else set()


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test that leaks a thread, a process or an open file, or logs an error."""
    linux = Path("/proc/self/fd").exists()
    threads = set(threading.enumerate())
    files, children = (_descriptors(), _children()) if linux else (set(), set())
    yield
    deadline = time.monotonic() + 3
    while True:
        left = [t.name for t in set(threading.enumerate()) - threads if t.is_alive()]
        opened = (_descriptors() - files) if linux else set()
        # Shared libraries stay mapped, and pytest's own captures come and go.
        opened = {f for f in opened if ".so" not in f and "(deleted)" not in f}
        spawned = (_children() - children) if linux else set()
        if not (left or opened or spawned) or time.monotonic() > deadline:
            break
        gc.collect()
        time.sleep(0.02)
    assert not left, f"threads leaked: {left}"
    assert not opened, f"files left open: {sorted(opened)}"
    assert not spawned, f"processes leaked: {sorted(spawned)}"
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert not errors, f"errors were logged: {errors}"
