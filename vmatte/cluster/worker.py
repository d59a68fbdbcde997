"""What one worker does with one file, in a process that holds a loaded model. Knows no Ray."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from vmatte.cluster.join import join
from vmatte.cluster.part import Part, Piece, plan
from vmatte.cluster.places import PRIVATE
from vmatte.cluster.tasks import Setup, Task, commit, limited
from vmatte.errors import VmatteError, mask
from vmatte.images import Batch, ImageOptions
from vmatte.images.files import Target as PictureTarget
from vmatte.images.files import Task as PictureTask
from vmatte.images.picture import SUFFIXES
from vmatte.job import matte
from vmatte.matting import Matter, load_matter, warmup_of
from vmatte.sources import FileSource

Facts = dict[str, Any]
"""What became of a file, or {"error": text}: plain values, so that any machine can read them."""

P = ParamSpec("P")

_SCRATCH = "vmatte-batch-"


def _told(
    method: "Callable[Concatenate[Worker, P], Facts]",
) -> "Callable[Concatenate[Worker, P], Facts]":
    """Return ``method``, with errors of ours as facts."""

    def call(self: "Worker", /, *args: P.args, **kwargs: P.kwargs) -> Facts:
        try:
            return method(self, *args, **kwargs)
        except VmatteError as e:
            return {"error": f"{type(e).__name__}: {mask(str(e))}"}

    return call


class Worker:
    """Mattes whole files, parts of them, and pictures; every method may be run again."""

    def __init__(self, setup: Setup, threads: int = 0) -> None:
        """Load nothing yet. threads: of the network, where the options do not say."""
        self._setup, self._job = setup, replace(limited(setup.job, threads), overwrite=True)
        self._matter: Matter[Any] | None = None
        self._scratch = Path(tempfile.gettempdir()) / f"{_SCRATCH}{os.getpid()}"
        self._fetched: tuple[str, Path] | None = None

    @_told
    def load(self) -> Facts:
        """Load the model."""
        return asdict(self._load().engine)

    @_told
    def divide(self, task: Task, seconds: float) -> Facts:
        """Return ``pieces`` of about so many seconds, and ``why`` where it stays whole."""
        path = self._get(task)
        found = plan(str(path), self._job, seconds, warmup_of(self._job.model, self._job.matter))
        return {"why": found} if isinstance(found, str) else {"pieces": found}

    @_told
    def whole(self, task: Task) -> Facts:
        """Matte a whole video."""
        path, folder = self._get(task), self._work(task, "whole")
        files, names = self._names(task, folder)
        stats = matte(str(path), names, self._job, matter=self._load())
        facts = {"frames": stats.frames, "skipped": stats.skipped, "notes": list(stats.notes)}
        commit(self._setup, task, files, facts)
        shutil.rmtree(folder)
        return facts

    @_told
    def part(self, task: Task, piece: Piece) -> Facts:
        """Matte one piece of a video, unless that is done already."""
        place = self._setup.targets[0].place
        stored = [self._stored(task, piece, i) for i in range(len(task.outputs))]
        if all(place.size(s) is not None for s in stored):
            return {"frames": piece.frames}
        path, folder = self._get(task), self._work(task, str(piece.first))
        files, names = self._names(task, folder)
        source = Part(str(path), self._job, piece, self._load())
        job = replace(self._job, start=None, end=None, salvage=False)
        stats = matte(source, names, job, matter=source.matter)
        for file, target in zip(files, stored, strict=True):
            place.put(file, target)
        shutil.rmtree(folder)
        return {"frames": stats.frames}

    @_told
    def join(self, task: Task, pieces: Sequence[Piece]) -> Facts:
        """Make one video of its parts, with the sound of the source."""
        path, folder = self._get(task), self._work(task, "join")
        files, _ = self._names(task, folder)
        job, place = self._job, self._setup.targets[0].place
        source = FileSource(str(path), start=job.start, end=job.end, salvage=job.salvage)
        source.close()
        frames, notes = sum(p.frames for p in pieces), []
        for i, file in enumerate(files):
            stored = [self._stored(task, p, i) for p in pieces]
            parts = []
            for name in stored:
                kept = folder / f"from-{i}-{Path(name).stem}"
                kept.mkdir()
                parts.append(place.get(name, kept))
            notes += join(parts, file, source.info, frames, sound=job.sound)
        facts = {"frames": frames, "parts": len(pieces), "notes": list(dict.fromkeys(notes))}
        commit(self._setup, task, files, facts)
        place.remove(_parts(task))
        shutil.rmtree(folder)
        return facts

    @_told
    def pictures(self, tasks: Sequence[Task]) -> Facts:
        """Cut out pictures; ``files`` tells of each, in order."""
        job = self._job
        options = ImageOptions(
            model=job.model,
            matter=job.matter,
            background=job.background,
            fit=job.fit,
            refine=job.refine,
            steer=job.steer,
        )
        facts: list[Facts] = []
        for task in tasks:
            facts.append(self._picture(task, options))
        return {"files": facts}

    @_told
    def _picture(self, task: Task, options: ImageOptions) -> Facts:
        path, folder = self._get(task), self._work(task, "whole")
        files, _ = self._names(task, folder)
        targets = [
            PictureTarget(t.kind, f, False, SUFFIXES[f.suffix])
            for t, f in zip(self._setup.targets, files, strict=True)
        ]
        batch = Batch(targets, options, overwrite=True, matter=self._load())
        (result,) = batch.results([PictureTask(path, tuple(files))])
        if result.error is not None:
            raise result.error
        facts = {"notes": list(result.notes)}
        commit(self._setup, task, files, facts)
        shutil.rmtree(folder)
        return facts

    def close(self) -> None:
        """Free the network, and remove what was brought here."""
        if self._matter is not None:
            self._matter.close()
            self._matter = None
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _load(self) -> Matter[Any]:
        if self._matter is None:
            self._matter = load_matter(self._job.model, self._job.matter)
        return self._matter

    def _get(self, task: Task) -> Path:
        """Return the input on this machine; the parts of one video need it in turn."""
        if self._fetched is None or self._fetched[0] != task.key:
            clear_dead(self._scratch.parent, _SCRATCH)
            folder = self._scratch / "input"
            shutil.rmtree(folder, ignore_errors=True)
            if self._setup.source.local is None:
                folder.mkdir(parents=True)
            self._fetched = task.key, self._setup.source.get(task.source, folder)
        return self._fetched[1]

    def _work(self, task: Task, what: str) -> Path:
        """Return an empty folder for unfinished work, on the disk of the results if it can be."""
        local = self._setup.targets[0].place.local
        base = local / PRIVATE / "work" if local else self._scratch
        folder = base / f"{task.digest}-{what}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _names(self, task: Task, folder: Path) -> tuple[list[Path], list[str]]:
        """Return the files to write in ``folder``, and the same as names for vmatte.job."""
        files = [folder / f"{i}{Path(o).suffix}" for i, o in enumerate(task.outputs)]
        kinds = [t.kind for t in self._setup.targets]
        named = [
            str(f) if k == "composite" else f"{k}={f}" for k, f in zip(kinds, files, strict=True)
        ]
        return files, named

    def _stored(self, task: Task, piece: Piece, index: int) -> str:
        suffix = Path(task.outputs[index]).suffix
        return f"{_parts(task)}/{task.key[:16]}-{piece.first}-{piece.frames}-{index}{suffix}"


def _parts(task: Task) -> str:
    return f"{PRIVATE}/parts/{task.digest}"


def clear_dead(folder: Path, prefix: str) -> None:
    """Remove what processes that were killed left in ``folder``: PREFIX and their number."""
    if sys.platform == "win32":
        return
    for left in folder.glob(f"{prefix}*"):
        try:
            os.kill(int(left.name.removeprefix(prefix)), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except (PermissionError, ValueError):
            continue  # somebody else's
