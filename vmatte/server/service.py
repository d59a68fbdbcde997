"""What all requests of a service share."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from starlette.requests import HTTPConnection

from vmatte.images.cache import Cache
from vmatte.server.errors import Problem
from vmatte.server.metrics import Metrics
from vmatte.server.models import Models
from vmatte.server.options import ServeOptions
from vmatte.server.runner import Runner
from vmatte.server.store import Store

_UPLOADS = 16
"""Videos that may come at once."""


_CACHE = 1 << 30
"""Bytes of results kept for pictures that come again."""


class Places:
    """A number of places; who comes when all are taken is asked to come again."""

    def __init__(self, number: int, what: str, metrics: Metrics, retry: int = 2) -> None:
        """Offer ``number`` places for ``what``."""
        self._number, self._what, self._metrics, self._retry = number, what, metrics, retry
        self.taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for as long as the block runs. Raises Problem."""
        if self.taken >= self._number:
            self._metrics.refused.labels(self._what).inc()
            raise Problem(
                429,
                "busy",
                f"{self._number} {self._what} are under way, the most there may be; try again "
                f"in {self._retry} s",
                retry=self._retry,
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class Service:
    """The parts of a running service."""

    def __init__(self, options: ServeOptions) -> None:
        """Open the folder. Raises WriteError, OptionError where another service has it."""
        self.options = options
        self.metrics = Metrics()
        self.models = Models(options.models)
        self.store = Store(options.folder)
        self.scratch = options.folder / "tmp"
        # Nobody else has the folder: what lies there was left by a crash.
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(mode=0o700)
        self.runner = Runner(self.store, options, self.metrics, self.used)
        limit = min(_CACHE, options.quota // 10)
        self.cache = Cache(options.folder / "cache", limit)
        self.pictures = Places(options.workers + options.waiting, "pictures", self.metrics)
        self.uploads = Places(_UPLOADS, "uploads of videos", self.metrics, 10)
        self.live = Places(options.live, "live connections", self.metrics, 10)
        self.pool = ThreadPoolExecutor(options.workers, thread_name_prefix="vmatte-picture")
        self.live_pool = ThreadPoolExecutor(
            max(1, min(options.live, 8)), thread_name_prefix="vmatte-live"
        )
        self.closing = asyncio.Event()
        self._used: tuple[float, int] = (0.0, 0)

    def used(self) -> int:
        """Return the bytes that jobs and uploads fill, as of at most a second ago."""
        now = time.monotonic()
        if now - self._used[0] > 1 or not self._used[0]:
            self._used = (now, size_of(self.options.folder / "jobs") + size_of(self.scratch))
        return self._used[1]

    def room(self, more: int) -> None:
        """Raise Problem where an upload of ``more`` bytes so far does not fit."""
        if max(self.used(), more) > self.options.quota:
            raise Problem(
                507,
                "quota",
                f"the service's folder holds {self.options.quota} bytes, the most it may; delete "
                "finished jobs, or wait until they go",
                retry=600,
            )

    def close(self) -> None:
        """Let go of all; requests have ended."""
        self.pool.shutdown(cancel_futures=True)
        self.live_pool.shutdown(cancel_futures=True)
        self.models.close()
        self.store.close()
        shutil.rmtree(self.scratch, ignore_errors=True)


def size_of(folder: Path) -> int:
    """Return the bytes of all files under ``folder``."""
    total = 0
    for path in folder.rglob("*"):
        try:
            stat = path.lstat()
        except OSError:
            continue  # It has just gone.
        total += stat.st_blocks * 512 if hasattr(stat, "st_blocks") else stat.st_size
    return total


def service_of(request: HTTPConnection) -> Service:
    """Return the service that a request came to."""
    return cast(Service, request.app.state.service)
