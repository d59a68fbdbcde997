"""What is to be done: the files below a folder, their results' names, and what is done already."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from vmatte.cluster.places import PRIVATE, Place
from vmatte.errors import OptionError, OutputExistsError, UnsupportedOutputError
from vmatte.images.picture import READABLE
from vmatte.job import JobOptions, compositor_of, split_name
from vmatte.matting import expect_licence
from vmatte.registry import load_registry
from vmatte.sinks.codecs import CODECS, CONTAINERS, WITH_ALPHA
from vmatte.sources.images import natural

VIDEOS = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg"),
        *(".m2v", ".wmv", ".asf", ".flv", ".3gp", ".ogv", ".mxf", ".dv", ".vob", ".y4m"),
    )
)


@dataclass(frozen=True, slots=True)
class Target:
    """One output: what it shows (see vmatte.job.KINDS), its folder, the suffix of its videos."""

    kind: str
    place: Place
    suffix: str

    def name(self, source: str) -> str:
        """Return the name of what is made from ``source``."""
        path = PurePosixPath(source)
        if path.suffix.lower() not in READABLE:
            return str(path.with_suffix(self.suffix))
        return str(path.with_suffix(".png" if self.see_through else ".jpg"))

    see_through: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What all files have in common. Can be sent to another process."""

    source: Place
    targets: tuple[Target, ...]
    job: JobOptions
    key: str
    """Changes when the options would give another result."""
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One file. key: changes when it must be done again; outputs: by target."""

    source: str
    key: str
    outputs: tuple[str, ...]

    @property
    def picture(self) -> bool:
        """Whether it is cut out as vmatte image does."""
        return PurePosixPath(self.source).suffix.lower() in READABLE

    @property
    def digest(self) -> str:
        """A name for its record and its unfinished work."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:24]

    @property
    def record(self) -> str:
        """Where its record lies, below the first target."""
        return f"{PRIVATE}/done/{self.digest}.json"


def prepare(
    source: str, outputs: Sequence[str], job: JobOptions, *, format: str | None, overwrite: bool
) -> tuple[Setup, list[str] | None]:
    """Check everything that is the same for all files.

    Returns the setup, and the one file that ``source`` is, None where it is a folder. Raises
    VmatteError.
    """
    if job.refine.method == "closed-form":
        raise OptionError("--refine closed-form is for pictures; use vmatte image, or fast here")
    record = load_registry().get(job.model or load_registry().default)
    expect_licence(record, job.matter)
    place, files = Place(source), None
    if place.is_file():
        place, name = place.split()
        files = [name]
    targets = []
    for text in outputs:
        kind, folder = split_name(text)
        if not folder or folder == "-":
            raise OptionError(f"output {text!r} names no folder; give one, such as -o out/")
        see_through = kind == "composite" and job.background == "transparent"
        suffix = format or (".mov" if see_through else ".mp4")
        codec = CODECS[job.encoding.codec or CONTAINERS[suffix][2] or CONTAINERS[suffix][1]]
        if see_through and not codec.alpha():
            raise UnsupportedOutputError(f"{suffix} has no transparency; use {WITH_ALPHA}")
        target = Target(kind, Place(folder), suffix, see_through or kind == "alpha")
        if target.place.local is not None and target.place.local.is_file():
            raise OptionError(f"output {text} is a file; give a folder")
        targets.append(target)
    roots = [t.place.root.rstrip("/") for t in targets]
    if len(set(roots)) < len(roots) or place.root.rstrip("/") in roots:
        raise OptionError("inputs and each of the outputs need folders of their own")
    compositor_of("composite", job.background, job.fit)
    key, job = options_key(job, record.sha256), _absolute(job)
    setup = Setup(source=place, targets=tuple(targets), job=job, key=key, overwrite=overwrite)
    return setup, files


def options_key(job: JobOptions, model: str) -> str:
    """Return a hash of all that a result depends on, less its input.

    How fast it is made is no part of it: threads, where the model runs, whose licence was accepted.
    """
    said = asdict(job)
    said.pop("overwrite")
    said["matter"].pop("accept_licence")
    for name in ("threads", "require_provider"):
        said["matter"]["runtime"].pop(name)
    for holder, name in ((said, "background"), *((said["steer"], n) for n in _FILES)):
        path = holder[name]
        if path is not None and Path(path).is_file():
            holder[name] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    text = json.dumps([1, model, said], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


_FILES = ("scribbles", "trimap", "plate")


def _absolute(job: JobOptions) -> JobOptions:
    """Return ``job``, whose files are found from any folder."""
    background = Path(job.background)
    if background.is_file():
        job = replace(job, background=str(background.absolute()))
    paths = {n: p.absolute() for n in _FILES if (p := getattr(job.steer, n)) is not None}
    return replace(job, steer=replace(job.steer, **paths))


def find(setup: Setup, files: Sequence[str] | None = None) -> Iterator[Task]:
    """Yield a task for every video and picture below the source, in natural order."""
    if files is not None:
        marks = [(name, setup.source.mark(name)) for name in files]
    else:
        ours = [t.place.root.rstrip("/") + "/" for t in setup.targets]
        base = setup.source.root.rstrip("/") + "/"
        inner = tuple(o.removeprefix(base) for o in ours if o.startswith(base))
        known = VIDEOS | READABLE
        marks = [
            (name, mark)
            for name, mark in setup.source.files()
            if PurePosixPath(name).suffix.lower() in known and not name.startswith(inner)
        ]
        marks.sort(key=lambda m: [natural(Path(p)) for p in PurePosixPath(m[0]).parts])
    for name, mark in marks:
        key = hashlib.sha256(f"{setup.key} {mark}".encode()).hexdigest()
        yield Task(name, key, tuple(t.name(name) for t in setup.targets))


def is_done(setup: Setup, task: Task) -> bool:
    """Tell whether the task's results are there, whole and of the present input and options.

    Raises OutputExistsError where something of their name is there that this batch did not make.
    """
    sizes = [t.place.size(o) for t, o in zip(setup.targets, task.outputs, strict=True)]
    record = read_record(setup, task)
    if setup.overwrite:
        return False
    made: dict[str, int] = (record or {}).get("bytes") or {}
    for target, output, size in zip(setup.targets, task.outputs, sizes, strict=True):
        if size is not None and made.get(f"{target.kind}={output}") != size:
            raise OutputExistsError(
                f"{target.place.show(output)}: exists, and this batch did not make it, or it was "
                "changed since; use --overwrite, or another folder"
            )
    return record is not None and record["key"] == task.key and None not in sizes


def read_record(setup: Setup, task: Task) -> dict[str, Any] | None:
    """Return what is known of a task's results, None where nothing is."""
    data = setup.targets[0].place.read(task.record)
    if data is None:
        return None
    try:
        record: dict[str, Any] = json.loads(data)
    except ValueError:
        return None
    return record if {"key", "bytes"} <= set(record) else None


def commit(setup: Setup, task: Task, files: Sequence[Path], facts: dict[str, Any]) -> None:
    """Give finished ``files`` their names and remember them.

    Older results go first and the record comes before the new ones: from then on an output that is
    there, and as long as the record says, is whole and new, wherever a kill came between.
    """
    for target, output in zip(setup.targets, task.outputs, strict=True):
        target.place.remove(output)
    sizes = {
        f"{t.kind}={o}": f.stat().st_size
        for t, o, f in zip(setup.targets, task.outputs, files, strict=True)
    }
    record = {"input": task.source, "key": task.key, "bytes": sizes, **facts}
    setup.targets[0].place.write(task.record, json.dumps(record).encode())
    for target, output, path in zip(setup.targets, task.outputs, files, strict=True):
        target.place.put(path, output)


def limited(job: JobOptions, threads: int) -> JobOptions:
    """Return ``job`` with so many threads for the network, where it does not say itself."""
    runtime = job.matter.runtime
    if runtime.threads or not threads:
        return job
    return replace(job, matter=replace(job.matter, runtime=replace(runtime, threads=threads)))
