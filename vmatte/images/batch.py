"""Many pictures through one model: reading and writing beside inference."""

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vmatte.allocator import give_back
from vmatte.closed_form import expect_pymatting
from vmatte.errors import (
    InputError,
    InputNotFoundError,
    OutputExistsError,
    VmatteError,
    writing,
)
from vmatte.images.cache import Cache
from vmatte.images.cut import ImageOptions, infer, read_bytes, show
from vmatte.images.files import Target, Task
from vmatte.images.keys import basis, keys_of
from vmatte.images.picture import Picture, encode, read_picture
from vmatte.job import compositor_of
from vmatte.matting import Engine, Matte, Matter, build_matter, expect_licence
from vmatte.registry import Progress, ensure_model, load_registry
from vmatte.sinks.file import commit, temporary_for
from vmatte.steer import steered

_NOTES = "-notes"
"""Behind the key of the first output: what the user was told."""

_TIDY = 50
"""Pictures between two times that free memory goes back to the system: sizes differ, and holes that
fit none of the next ones would add up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one picture. state: done, cached, skipped (was there already) or failed."""

    task: Task
    state: str
    error: VmatteError | None = None
    notes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Summary:
    """What became of all pictures. engine: None where no model was needed."""

    done: int = 0
    cached: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0
    engine: Engine | None = None

    def add(self, result: Result) -> None:
        """Count one."""
        setattr(self, result.state, getattr(self, result.state) + 1)


@dataclass(frozen=True, slots=True)
class _Read:
    """A picture on its way: what the cache knows it by, and what the model shall see."""

    task: Task
    keys: tuple[str, ...]
    picture: Picture
    rgb: NDArray[np.uint8]
    matter: Matter[Any]


class Batch:
    """Cuts out pictures. ``results`` yields what became of each; ``stop`` ends it early."""

    def __init__(
        self,
        targets: Sequence[Target],
        options: ImageOptions,
        *,
        cache: Cache | None = None,
        overwrite: bool = False,
        skip_existing: bool = False,
        fetching: Progress | None = None,
        matter: Matter[Any] | None = None,
    ) -> None:
        """Look the model up, and check that it may be used; it is loaded when it is needed.

        matter: the same, loaded already; it stays open.
        Raises ModelError, InputError where there is no such background, InputNotFoundError.
        """
        self.summary = Summary()
        self._targets, self._options, self._cache = targets, options, cache
        self._overwrite, self._skip = overwrite, skip_existing
        registry = load_registry()
        self._record = registry.get(options.model or registry.default)
        expect_licence(self._record, options.matter)
        self._fetching = fetching
        if options.refine.method == "closed-form":
            expect_pymatting()
        # Told once, not for every picture.
        steer = options.steer
        for path in (steer.scribbles, steer.trimap, steer.plate):
            if path is not None and not path.exists():
                raise InputNotFoundError(f"{path}: no such file; check the path")
        compositor_of("composite", options.background, options.fit)
        self._matter, self._lent = matter, matter is not None
        self._loading = threading.Lock()
        self._basis = "" if cache is None else basis(self._record, options)
        self._taken: dict[Path, str] = {}
        self._bad: set[str] = set()
        self._stopped = False

    def stop(self) -> None:
        """Take no more pictures; those begun are finished."""
        self._stopped = True

    @property
    def stopped(self) -> bool:
        """Whether it was stopped."""
        return self._stopped

    def results(self, tasks: Iterable[Task | None]) -> Iterator[Result]:
        """Yield what became of each task, in order; None among them: finish what was begun.

        Raises ModelError, EngineError where the model cannot be used at all.
        """
        begin = time.perf_counter()
        workers = min(4, os.cpu_count() or 1)
        pool = ThreadPoolExecutor(workers, thread_name_prefix="vmatte-image")
        try:
            for count, result in enumerate(self._flow(iter(tasks), pool, workers), 1):
                self._count(result)
                if count % _TIDY == 0:
                    give_back()
                self.summary.seconds = time.perf_counter() - begin
                yield result
        finally:
            pool.shutdown(cancel_futures=True)
            self.summary.seconds = time.perf_counter() - begin
            if self._matter is not None:
                self.summary.engine = self._matter.engine
                if not self._lent:
                    self._matter.close()
                    self._matter = None

    def _count(self, result: Result) -> None:
        name = result.task.name
        if name in self._bad:
            # In a watched folder: it was still being written when it was read before.
            self._bad.discard(name)
            self.summary.failed -= 1
        if result.state == "failed":
            self._bad.add(name)
        self.summary.add(result)

    def _flow(
        self, tasks: Iterator[Task | None], pool: ThreadPoolExecutor, ahead: int
    ) -> Iterator[Result]:
        """Read ``ahead`` pictures before inference, and leave as many to be written behind it."""
        reading: deque[Future[_Read | Result]] = deque()
        writing: deque[Future[Result]] = deque()

        def advance() -> Iterator[Result]:
            read = reading.popleft().result()
            if isinstance(read, Result):
                # In order: whoever waits for a result is not overtaken by it.
                writing.append(_done(read))
            else:
                try:
                    matte = infer(read.matter, read.rgb)
                except InputError as e:  # of the picture, beside its plate
                    writing.append(_done(_failed(read.task, e)))
                else:
                    writing.append(pool.submit(self._finish, read, matte))
            while len(writing) > ahead:
                yield writing.popleft().result()

        for task in tasks:
            if self._stopped:
                break
            if task is not None:
                reading.append(pool.submit(self._read, task))
            while len(reading) > (ahead if task is not None else 0):
                yield from advance()
            if task is None:
                yield from (f.result() for f in _drain(writing))
        while reading:
            yield from advance()
        yield from (f.result() for f in _drain(writing))

    def _load(self) -> Matter[Any]:
        with self._loading:
            if self._matter is None:
                options = self._options.matter
                accept = options.accept_licence
                path = ensure_model(self._record, self._fetching, accept_licence=accept)
                self._matter = build_matter(self._record, path, options)
            return self._matter

    def _read(self, task: Task) -> _Read | Result:
        found = self._find(task)
        if isinstance(found, Result):
            return found
        keys, picture = found
        # A model that cannot be loaded is no fault of the picture: it ends the whole batch.
        matter, size = self._load(), (picture.frame.width, picture.frame.height)
        rgb = picture.rgb(matter.working_size(*size))
        try:
            told = steered(matter, self._options.steer, *size, still=True)
        except VmatteError as e:
            return _failed(task, e)
        return _Read(task, keys, picture, rgb, told)

    def _find(self, task: Task) -> tuple[tuple[str, ...], Picture] | Result:
        """Return the picture, or what became of it where nothing is left to do."""
        try:
            for path in task.outputs:
                other = self._taken.setdefault(path, task.name) if path else task.name
                if other != task.name:
                    raise OutputExistsError(
                        f"{task.name}: would be written to {path}, as {other} is; rename one"
                    )
            files = [p for p in task.outputs if p is not None]
            if self._skip and not task.again and files and all(p.exists() for p in files):
                return Result(task=task, state="skipped")
            for path in files:
                if path.exists() and not self._overwrite and not self._skip:
                    raise OutputExistsError(
                        f"{path}: exists already; use --overwrite, --skip-existing or another name"
                    )
            data = sys.stdin.buffer.read() if task.source is None else read_bytes(task.source)
            keys = () if self._cache is None else keys_of(data, self._targets, self._basis)
            if self._cache is not None:
                kept = [k for k in map(self._cache.find, keys) if k is not None]
                if len(kept) == len(keys):
                    self._write(task, kept)
                    told = self._cache.find(keys[0] + _NOTES)
                    notes = () if told is None else tuple(json.loads(told))
                    return Result(task=task, state="cached", notes=notes)
            return keys, read_picture(data, task.name)
        except VmatteError as e:
            return _failed(task, e)

    def _finish(self, read: _Read, matte: Matte) -> Result:
        try:
            kinds = [t.kind for t in self._targets]
            shown = show(read.picture, read.rgb, matte, kinds, self._options)
            files = []
            for target, image in zip(self._targets, shown, strict=True):
                assert target.format is not None
                quality = self._options.quality
                files.append(encode(image.frame, image.tags, target.format, quality))
            self._write(read.task, files)
            notes = tuple(dict.fromkeys(n for s in shown for n in s.notes))
            if self._cache is not None:
                if notes:
                    self._cache.keep(read.keys[0] + _NOTES, json.dumps(notes).encode())
                for key, data in zip(read.keys, files, strict=True):
                    self._cache.keep(key, data)
            return Result(task=read.task, state="done", notes=notes)
        except VmatteError as e:
            return _failed(read.task, e)

    def _write(self, task: Task, files: Sequence[bytes]) -> None:
        for path, data in zip(task.outputs, files, strict=True):
            if path is None:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
                continue
            overwrite = self._overwrite or self._skip
            with writing(str(path)):
                path.parent.mkdir(parents=True, exist_ok=True)
            temporary = temporary_for(path, overwrite)
            try:
                with writing(str(path)):
                    temporary.write_bytes(data)
                    commit(temporary, path, overwrite)
            finally:
                temporary.unlink(missing_ok=True)


def _drain(futures: "deque[Future[Result]]") -> "Iterator[Future[Result]]":
    while futures:
        yield futures.popleft()


def _failed(task: Task, error: VmatteError) -> Result:
    return Result(task=task, state="failed", error=error)


def _done(result: Result) -> "Future[Result]":
    future: Future[Result] = Future()
    future.set_result(result)
    return future
