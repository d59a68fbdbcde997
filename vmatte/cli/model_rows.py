"""What is shown of models: a row of the list, and the fetching of one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from vmatte.registry import ModelRecord, Progress, Registry, Store


def row_of(registry: Registry, store: Store, record: ModelRecord) -> dict[str, Any]:
    """Return what is known of a model, in the order in which it is shown."""
    found = store.locate(record)
    if found is None:
        state = "download" if record.sources else "import"
    elif record.bytes not in (None, found.stat().st_size):
        state = "damaged"
    else:
        state = "here"
    return {
        "name": record.name,
        "aliases": [alias for alias, name in registry.aliases.items() if name == record.name],
        "default": record.name == registry.default,
        "family": record.family,
        "licence": record.licence,
        "non_commercial": record.non_commercial,
        "bytes": record.bytes,
        "sha256": record.sha256,
        "state": state,
        "path": None if found is None else str(found),
        "people_only": record.people_only,
        "recurrent": record.recurrent,
        "own": record.own,
        "sources": [str(source) for source in record.sources],
        "description": record.description,
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """Show the models on a terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("model", "licence", "size", "state", "what it is", box=None, pad_edge=False)
    for row in rows:
        names = [row["name"], *row["aliases"], *(["(default)"] if row["default"] else [])]
        licence = row["licence"] + (", non-commercial" if row["non_commercial"] else "")
        cells = (" ".join(names), licence, size_of(row["bytes"]), row["state"], row["description"])
        table.add_row(*map(escape, cells))
    Console().print(table)


def licence_of(record: ModelRecord) -> str:
    """Return the licence of its weights, in words."""
    return record.licence + (" (not for commercial use)" if record.non_commercial else "")


def size_of(size: int | None) -> str:
    """Return a file's size, in words."""
    return "? MB" if size is None else f"{size / 1e6:.1f} MB"


@contextmanager
def show_progress(record: ModelRecord) -> Iterator[Progress]:
    """Show the fetching of a model on standard error: a bar on a terminal, else a line.

    Nothing is shown until the first call of what it gives.
    """
    if not sys.stderr.isatty():
        told = False

        def tell(done: int, total: int | None) -> None:
            nonlocal told
            if not told:
                told = True
                click.echo(f"{record.name}: fetching {size_of(record.bytes)} ...", err=True)

        yield tell
        return

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    bars = Bars(*columns, console=Console(stderr=True))
    task = bars.add_task(record.name, total=None)

    def draw(done: int, total: int | None) -> None:
        bars.start()
        bars.update(task, completed=done, total=total)

    try:
        yield draw
    finally:
        bars.stop()
