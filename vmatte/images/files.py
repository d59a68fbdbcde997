"""Which pictures are cut out, and under what name each result is written."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmatte.errors import InputError, InputNotFoundError, OptionError, UnsupportedOutputError
from vmatte.images.picture import OPAQUE, READABLE, SUFFIXES
from vmatte.job import split_name
from vmatte.sources.images import natural

STDIN = "-"

_POLL = 1.0
"""Seconds between two looks at a watched folder."""


@dataclass(frozen=True, slots=True)
class Target:
    """One output as it was named: what it shows, and a file, a folder or '-'."""

    kind: str
    path: Path | None
    folder: bool
    format: str | None
    """Pillow's name; None where each picture's own decides."""


@dataclass(frozen=True, slots=True)
class Task:
    """One picture: its file, None for standard input, and where it is written, by output."""

    source: Path | None
    outputs: tuple[Path | None, ...]
    again: bool = False
    """Whether the picture changed since a result was made of it."""

    @property
    def name(self) -> str:
        """How messages call it."""
        return STDIN if self.source is None else str(self.source)


def parse_targets(
    inputs: Sequence[str], outputs: Sequence[str], format: str | None, *, transparent: bool
) -> list[Target]:
    """Return what the names of ``outputs`` mean. Raises OptionError, UnsupportedOutputError."""
    many = len(inputs) > 1 or Path(inputs[0]).is_dir()
    found = []
    for name in outputs:
        kind, text = split_name(name)
        if not text:
            raise OptionError(f"output {name!r} names no file")
        see_through = transparent and kind == "composite"
        usual = "PNG" if see_through or kind == "alpha" else "JPEG"
        chosen = SUFFIXES[f".{format}"] if format else None
        if text == STDIN:
            if many:
                raise OptionError("standard output takes one picture; give a folder to -o")
            target = Target(kind, None, False, chosen or usual)
        elif many or Path(text).is_dir() or text.endswith("/") or not Path(text).suffix:
            if many and Path(text).suffix.lower() in SUFFIXES and not Path(text).is_dir():
                raise OptionError(f"output {text} is one file, but there may be several pictures; "
                                  "give a folder")  # fmt: skip
            if any(Path(i).is_dir() and Path(i).resolve() == Path(text).resolve() for i in inputs):
                raise OptionError(
                    f"output {text} is the pictures' own folder, where results would be taken for "
                    "pictures, or replace them; give another, such as one below it"
                )
            target = Target(kind, Path(text), True, chosen or usual)
        else:
            suffix = Path(text).suffix.lower()
            if suffix not in SUFFIXES:
                raise UnsupportedOutputError(
                    f"{text}: vmatte cannot write {suffix}; expected one of {', '.join(SUFFIXES)}, "
                    "or a folder"
                )
            if chosen not in (None, SUFFIXES[suffix]):
                raise OptionError(
                    f"output {text} is {SUFFIXES[suffix]}, but --format says {format}"
                )
            target = Target(kind, Path(text), False, SUFFIXES[suffix])
        if see_through and target.format in OPAQUE:
            raise UnsupportedOutputError(
                f"{name}: {target.format} has no transparency; use png or webp, or --background"
            )
        found.append(target)
    places = [t.path for t in found]
    if len(set(places)) < len(places):
        raise OptionError("two outputs have the same name; give each a folder or file of its own")
    return found


def find_tasks(inputs: Sequence[str], targets: Sequence[Target]) -> Iterator[Task]:
    """Yield a task for every picture of ``inputs``: files, folders with all below them, or '-'.

    Raises InputNotFoundError, InputError where a folder holds none.
    """
    for name in inputs:
        path = Path(name)
        if name == STDIN:
            yield Task(None, _outputs(Path("picture"), Path(), targets))
        elif path.is_dir():
            files = pictures_in(path, targets)
            yield from (Task(file, _outputs(file, path, targets)) for file in files)
            if not files:
                raise InputError(
                    f"{name}: a folder without pictures; expected {', '.join(sorted(READABLE))}"
                )
        elif path.exists():
            yield Task(path, _outputs(path, path.parent, targets))
        else:
            raise InputNotFoundError(f"{name}: no such file or folder; check the path")


def watch(
    inputs: Sequence[str], targets: Sequence[Target], stopped: Callable[[], bool]
) -> Iterator[Task | None]:
    """Yield tasks as pictures come into folders, None while there is nothing new, until stopped.

    A picture is taken once its size and time stay the same from one look to the next.
    """
    folders = [Path(name) for name in inputs]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: not a folder; --watch looks at folders")
    done: dict[Path, tuple[int, int]] = {}
    before: dict[Path, tuple[int, int]] = {}
    while not stopped():
        now: dict[Path, tuple[int, int]] = {}
        for folder in folders:
            for file in pictures_in(folder, targets):
                try:
                    stat = file.stat()
                except OSError:
                    continue  # gone again
                mark = now[file] = (stat.st_size, stat.st_mtime_ns)
                if before.get(file) == mark and done.get(file) != mark:
                    again = file in done
                    done[file] = mark
                    yield Task(file, _outputs(file, folder, targets), again)
        before = now
        yield None
        time.sleep(_POLL)


def pictures_in(folder: Path, targets: Sequence[Target]) -> list[Path]:
    """Return the pictures below ``folder`` in natural order, but no results of ours."""
    places = [t.path.resolve() for t in targets if t.path is not None and t.folder]
    ours = [p for p in places if folder.resolve() in p.parents]
    found = [
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in READABLE
        and not any(part.startswith(".") for part in p.relative_to(folder).parts)
        and p.is_file()
        and not any(p.resolve().is_relative_to(o) for o in ours)
    ]
    return sorted(found, key=lambda p: [natural(Path(x)) for x in p.parts])


def _outputs(file: Path, base: Path, targets: Sequence[Target]) -> tuple[Path | None, ...]:
    found: list[Path | None] = []
    for target in targets:
        if target.path is None or not target.folder:
            found.append(target.path)
            continue
        suffix = next(s for s, f in SUFFIXES.items() if f == target.format)
        found.append((target.path / file.relative_to(base)).with_suffix(suffix))
    return tuple(found)
