"""A running service for tests: within this process, or as a user starts it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import REQUIRE_ALL, missing

if not REQUIRE_ALL:
    pytest.importorskip("fastapi", reason="needs the extra [serve]")

from vmatte.server.options import ServeOptions
from vmatte.server.run import prepared

LIMITS: dict[str, Any] = {
    "image_bytes": 4 << 20,
    "image_pixels": 4_000_000,
    "video_bytes": 8 << 20,
    "video_pixels": 4_000_000,
    "duration": 60.0,
    "upload_seconds": 60.0,
}
SMALL = (
    *("--image-bytes", "4", "--image-pixels", "4", "--video-bytes", "8", "--video-pixels", "4"),
    *("--duration", "1", "--upload-seconds", "60", "--allow-network", "127.0.0.0/8"),
)
"""The same limits, as a user gives them."""


@contextlib.contextmanager
def client_of(folder: Path, **given: Any) -> Iterator[httpx.Client]:
    """A service in a thread of this process, and a client of it; no temporary file is left."""
    options = ServeOptions(**{**LIMITS, "folder": folder, "port": 0, **given})
    with prepared(options) as (server, listener, address):
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the service did not start"
                time.sleep(0.01)
            with httpx.Client(base_url=address, timeout=120, trust_env=False) as client:
                yield client
            expect_no_litter(folder)
        finally:
            server.should_exit = True
            thread.join(20)


def expect_no_litter(folder: Path) -> None:
    """See that no temporary file stays; what is being sent may take a moment."""
    end = time.monotonic() + 5
    while list((folder / "tmp").iterdir()) and time.monotonic() < end:
        time.sleep(0.02)
    assert list((folder / "tmp").iterdir()) == []


class Server:
    """``vmatte serve`` in a process of its own."""

    def __init__(self, folder: Path, *words: str, **environment: str) -> None:
        self.folder, self._words = folder, words
        self._environment = {**os.environ, **environment}
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> "Server":
        """Start it; return when it says its address."""
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "vmatte", "serve", "--port", "0"),
                *("--folder", str(self.folder), *self._words),
            ],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            out, err = self.process.communicate(timeout=10)
            raise AssertionError(f"it did not start: {line}{out}{err}")
        self.url = found[0].rstrip("/")
        # The address is told before the first request can be answered.
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError), self.client() as client:
                client.get("/healthz").raise_for_status()
                return self
            time.sleep(0.05)
        raise AssertionError("it does not answer")

    def client(self, **more: Any) -> httpx.Client:
        """Return a client of it."""
        return httpx.Client(base_url=self.url, timeout=120, trust_env=False, **more)

    def kill(self) -> None:
        """Kill -9, and nothing else."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate(timeout=20)

    def stop(self) -> str:
        """End it as Ctrl-C does; return what it printed to standard error."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        try:
            _, err = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, err = self.process.communicate()
            raise AssertionError(f"it did not end: {err}") from None
        assert "Traceback" not in err, err
        return err


@contextlib.contextmanager
def running(folder: Path, *words: str, **environment: str) -> Iterator[Server]:
    """A service as a user starts it."""
    server = Server(folder, *words, **environment).start()
    try:
        yield server
    except BaseException:
        server.process.kill()  # type: ignore[union-attr]
        server.process.communicate()  # type: ignore[union-attr]
        raise
    server.stop()


def wait_for(client: Any, id: str, *states: str, seconds: float = 240) -> dict[str, Any]:
    """Wait until a job is in one of ``states``; return it."""
    end = time.monotonic() + seconds
    while True:
        job: dict[str, Any] = client.get(f"/api/jobs/{id}").json()
        if job["state"] in states:
            return job
        assert job["state"] not in ("failed", "cancelled", "done"), job
        assert time.monotonic() < end, job
        time.sleep(0.05)


def chromium() -> str:
    """Return Debian's Chromium, or skip."""
    path = "/usr/bin/chromium"
    if not Path(path).exists():
        missing("needs Debian's chromium")
    return path
