"""Runs the jobs, a few at a time, in processes that each hold a loaded model."""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmatte.server.errors import Problem
from vmatte.server.metrics import Metrics
from vmatte.server.options import ServeOptions
from vmatte.server.process import Process
from vmatte.server.store import ENDED, Job, State, Store

log = logging.getLogger("vmatte.server")

_SWEEP = 30.0
"""Seconds between two looks for jobs that have been kept long enough."""

_IDLE = 300.0
"""Seconds after which a process without work is ended, and its memory free."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a job is. total, left (seconds): None where the file does not tell."""

    frames: int = 0
    total: int | None = None
    fps: float = 0.0
    left: float | None = None


class Runner:
    """Takes the jobs that wait, the oldest first, a few at a time."""

    def __init__(
        self, store: Store, options: ServeOptions, metrics: Metrics, used: Callable[[], int]
    ) -> None:
        """Run the jobs of ``store``; used: tells the bytes that the service's folder holds."""
        self._store, self._options, self._metrics, self._used = store, options, metrics, used
        self._wake = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancelled: set[str] = set()
        self._idle: list[Process] = []
        self.progress: dict[str, Progress] = {}

    def wake(self) -> None:
        """Look for jobs that wait."""
        self._wake.set()

    async def run(self) -> None:
        """Run jobs until cancelled; those under way then wait for the next start."""
        sweeper = asyncio.create_task(self._sweep())
        try:
            while True:
                self._wake.clear()
                while len(self._tasks) < self._options.jobs:
                    job = self._store.next()
                    if job is None:
                        break
                    self._start(job)
                self._gauge()
                await self._wake.wait()
        finally:
            sweeper.cancel()
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(sweeper, *self._tasks.values(), return_exceptions=True)
            for process in self._idle:
                await process.end()

    def _start(self, job: Job) -> None:
        job.state = "running"
        self._store.save(job)
        self.progress[job.id] = Progress()
        task = asyncio.create_task(self._work(job))
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._ended(job.id))

    def _ended(self, id: str) -> None:
        self._tasks.pop(id, None)
        self._cancelled.discard(id)
        self.progress.pop(id, None)
        self.wake()

    def _gauge(self) -> None:
        self._metrics.waiting.set(self._store.count("queued"))
        self._metrics.running.set(len(self._tasks))

    async def cancel(self, job: Job) -> None:
        """Stop a job, waiting or under way; its files are gone when this returns."""
        task = self._tasks.get(job.id)
        if task is not None:
            self._cancelled.add(job.id)
            task.cancel()
            await asyncio.wait([task])
            return
        self._close(job, "cancelled")

    def _close(self, job: Job, state: State) -> None:
        """Note the end of a job; only results stay."""
        job.state = state
        folder = self._store.folder(job.id)
        for path in list(folder.iterdir()) if folder.is_dir() else []:
            if path.name == "out" and state == "done":
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        self._store.save(job)
        self._metrics.jobs.labels(state).inc()

    async def _work(self, job: Job) -> None:
        """Run one job to its end, whatever that is."""
        part = self._store.folder(job.id) / f"part-{time.time_ns()}"
        try:
            async with asyncio.timeout(self._options.job_seconds):
                done = await self._in_process(job, part)
            job.results, job.stats = done["results"], done["stats"]
            out = self._store.folder(job.id) / "out"
            shutil.rmtree(out, ignore_errors=True)
            # The only way in which results appear.
            part.rename(out)
            self._close(job, "done")
        except asyncio.CancelledError:
            if job.id in self._cancelled:
                self._close(job, "cancelled")
            else:
                shutil.rmtree(part, ignore_errors=True)
                job.state = "queued"
                self._store.save(job)
            raise
        except TimeoutError:
            seconds = self._options.job_seconds
            self._fail(job, Problem(408, "slow", f"not done after {seconds:g} s, the limit"))
        except Problem as e:
            self._fail(job, e)
        except Exception:
            log.exception("job %s", job.id)
            self._fail(job, Problem(500, "internal", "something went wrong; see the server's log"))

    def _fail(self, job: Job, problem: Problem) -> None:
        job.error = problem.document()
        self._close(job, "failed")

    async def _in_process(self, job: Job, part: Path) -> dict[str, Any]:
        """Run the job in a worker process; return what it did. Raises Problem."""
        part.mkdir(mode=0o700)
        folder = self._store.folder(job.id)
        order = {
            **job.wanted,
            "name": job.name or "the video",
            "folder": str(folder),
            "part": str(part),
            "log": str(folder / "log"),
            "video_pixels": self._options.video_pixels,
            "image_pixels": self._options.image_pixels,
            "duration": self._options.duration,
        }
        process, done = await self._process(), None
        try:
            async with aclosing(process.events(order)) as events:
                async for event in events:
                    if "done" in event:
                        done = event["done"]
                        break
                    self._heed(job, event)
            if done is None:
                raise self._crashed(job, await process.end(), folder / "log")
            return dict(done)
        finally:
            if done is None:
                # Whatever it stumbled over may have left a mark on it.
                await process.end()
            else:
                process.idle_since = time.monotonic()
                self._idle.append(process)

    async def _process(self) -> Process:
        """Return a process without work, one that has a model where there is one."""
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            await process.end()
        return await Process.start()

    def _heed(self, job: Job, event: dict[str, Any]) -> None:
        """Note progress. Raises Problem where the job failed, or the disk is full."""
        if "error" in event:
            error = event["error"]
            raise Problem(error["status"], error["kind"], error["detail"])
        progress = Progress(**event)
        last = self.progress.get(job.id, Progress()).frames
        self._metrics.frames.labels("video").inc(max(0, progress.frames - last))
        self.progress[job.id] = progress
        if self._used() > self._options.quota:
            raise Problem(
                507,
                "quota",
                f"the service's folder holds {self._options.quota} bytes, "
                "the most it may; delete finished jobs, and start this one again",
            )

    def _crashed(self, job: Job, code: int, log_file: Path) -> Problem:
        words = log_file.read_bytes()[-4000:] if log_file.exists() else b""
        text = words.decode("utf-8", "replace").strip()
        log.warning("job %s: its process ended with %s: %s", job.id, code, text)
        return Problem(
            500,
            "crashed",
            f"the process that read this video ended suddenly ({code}); the file may be damaged, "
            "or memory short",
        )

    async def _sweep(self) -> None:
        """Remove what has been kept long enough, and end processes that nobody needs."""
        while True:
            now = time.monotonic()
            stale = [p for p in self._idle if now - p.idle_since > _IDLE]
            # All at once: a job may take another while one is being ended.
            self._idle = [p for p in self._idle if p not in stale]
            for process in stale:
                await process.end()
            for job in self._store.ended_before(time.time() - self._options.keep):
                self._store.remove(job.id)
            await asyncio.sleep(min(_SWEEP, self._options.keep))


def ended(job: Job) -> bool:
    """Tell whether nothing more will happen to a job."""
    return job.state in ENDED
