"""The coordinator: which work is next, and what became of each file."""

import itertools
import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from vmatte.cluster.engine import Engine, EngineOptions
from vmatte.cluster.places import PRIVATE
from vmatte.cluster.tasks import Setup, Task, find, is_done
from vmatte.errors import OutputExistsError, VmatteError, mask

_CHUNK = 16
"""Pictures that a worker gets at once: one takes it about as long as the asking."""

_POLL = 1.0
"""Seconds between two looks at a watched folder, or more, so that looking is not all it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one file. state: done, skipped (was done already) or failed."""

    task: Task
    state: str
    seconds: float = 0.0
    error: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _File:
    """A video under way."""

    task: Task
    begin: float
    why: str | None = None
    pieces: Sequence[Any] = ()
    left: int = 0
    failed: bool = False


@dataclass(frozen=True, slots=True)
class _Unit:
    """Work for one worker: a method of Worker, and whom its result concerns."""

    method: str
    args: tuple[Any, ...]
    file: _File | None = None
    pictures: tuple[_File, ...] = ()


class Batch:
    """Mattes every file of a setup. ``results`` yields what became of each; ``stop`` ends it."""

    def __init__(
        self,
        setup: Setup,
        engine: EngineOptions,
        *,
        files: Sequence[str] | None = None,
        split: float | None = None,
        watch: bool = False,
    ) -> None:
        """Begin nothing yet. split: seconds of the parts that longer videos are divided into."""
        self._setup, self._options, self._files = setup, engine, files
        self._split, self._watch = split, watch
        self._engine: Engine | None = None
        self._queue: deque[_Unit] = deque()
        self._results: deque[Result] = deque()
        self._taken: dict[str, str] = {}
        self.stopped = False

    def stop(self) -> None:
        """Begin nothing more, and leave what is under way: it is begun anew the next time."""
        self.stopped = True

    def results(self) -> Iterator[Result]:
        """Yield what became of each file. Raises VmatteError where none can be done."""
        self._clear()
        tasks: Iterator[Task | None] = self._watched() if self._watch else iter(self._found())
        more = True
        try:
            while not self.stopped:
                if more and not self._full():
                    more = self._take(tasks)
                yield from self._drain()
                busy = self._engine is not None and self._engine.busy
                if not (busy or self._queue or more):
                    return
                while self._queue and self._engine is not None and self._engine.idle:
                    unit = self._queue.popleft()
                    if unit.file is None or not unit.file.failed:
                        self._engine.submit(unit.method, unit.args, unit)
                if self._engine is not None and self._engine.busy:
                    seconds = 0.0 if more and not self._full() else 0.5
                    for unit, result in self._engine.wait(seconds):
                        self._ended(unit, result)
                yield from self._drain()
        finally:
            if self._engine is not None:
                self._engine.close()
                self._engine = None
            self._clear()

    def _clear(self) -> None:
        """Remove what a killed run left unfinished; its finished parts stay."""
        local = self._setup.targets[0].place.local
        if local is not None:
            shutil.rmtree(local / PRIVATE / "work", ignore_errors=True)

    def _drain(self) -> Iterator[Result]:
        while self._results:
            yield self._results.popleft()

    def _full(self) -> bool:
        """Whether enough waits for the workers there are."""
        return len(self._queue) > (0 if self._engine is None else self._engine.workers)

    def _found(self) -> Iterator[Task]:
        return find(self._setup, self._files)

    def _watched(self) -> Iterator[Task | None]:
        """Yield files whose mark was the same at two looks, None after each look."""
        done: dict[str, str] = {}
        before: dict[str, str] = {}
        while True:
            begin, now = time.monotonic(), {}
            for task in find(self._setup, self._files):
                now[task.source] = task.key
                if before.get(task.source) == task.key and done.get(task.source) != task.key:
                    done[task.source] = task.key
                    yield task
            before = now
            pause = max(_POLL, 4 * (time.monotonic() - begin))
            yield None
            time.sleep(pause)

    def _take(self, tasks: Iterator[Task | None]) -> bool:
        """Queue the next files that must be done; return whether there may be more."""
        pictures: list[_File] = []
        more = False
        for task in itertools.islice(tasks, _CHUNK):
            more = True
            if task is None:
                break
            if not self._wanted(task):
                continue
            file = _File(task, time.monotonic())
            if task.picture:
                pictures.append(file)
            elif self._split:
                self._add(_Unit("divide", (task, self._split), file))
                break
            else:
                self._add(_Unit("whole", (task,), file))
                break
        if pictures:
            self._add(_Unit("pictures", ([f.task for f in pictures],), None, tuple(pictures)))
        return more

    def _wanted(self, task: Task) -> bool:
        try:
            for target, output in zip(self._setup.targets, task.outputs, strict=True):
                name = f"{target.place.root}/{output}"
                if (other := self._taken.setdefault(name, task.source)) != task.source:
                    raise OutputExistsError(
                        f"{task.source}: would be written to {target.place.show(output)}, as "
                        f"{other} is; rename one"
                    )
            if is_done(self._setup, task):
                self._results.append(Result(task=task, state="skipped"))
                return False
        except VmatteError as e:
            error = f"{type(e).__name__}: {mask(str(e))}"
            self._results.append(Result(task=task, state="failed", error=error))
            return False
        return True

    def _add(self, unit: _Unit) -> None:
        if self._engine is None:
            # Not before: a folder where all is done needs no workers.
            self._engine = Engine(self._setup, self._options)
        self._queue.append(unit)

    def _ended(self, unit: _Unit, result: dict[str, Any]) -> None:
        if unit.file is None:
            told = result.get("files", [result] * len(unit.pictures))
            for file, facts in zip(unit.pictures, told, strict=True):
                self._report(file, facts)
            return
        file, task = unit.file, unit.file.task
        if "error" in result or unit.method in ("whole", "join"):
            self._report(file, result)
        elif unit.method == "divide":
            file.pieces, file.why = result.get("pieces", ()), result.get("why")
            file.left = len(file.pieces)
            if file.left < 2:
                self._queue.appendleft(_Unit("whole", (task,), file))
            else:
                self._queue.extendleft(
                    _Unit("part", (task, piece), file) for piece in reversed(file.pieces)
                )
        else:
            file.left -= 1
            if not file.left and not file.failed:
                self._queue.appendleft(_Unit("join", (task, file.pieces), file))

    def _report(self, file: _File, facts: dict[str, Any]) -> None:
        if file.failed:
            return  # another part has told
        error = facts.pop("error", None)
        file.failed = error is not None
        if file.why:
            facts["notes"] = [*facts.get("notes", ()), f"not divided: {file.why}"]
        self._results.append(
            Result(
                task=file.task,
                state="failed" if error else "done",
                seconds=time.monotonic() - file.begin,
                error=error,
                facts=facts,
            )
        )
