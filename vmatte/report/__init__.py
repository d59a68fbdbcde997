"""Tables for terminals and for pages of HTML that need nothing else."""

import html
import statistics
import sys
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from typing import Any

Row = Mapping[str, Any]
Column = tuple[str, str, str]
"""Key in a row, heading, kind: see ``show``."""

_KINDS = {
    "ms": (1e3, 1),
    "s": (1, 2),
    "MB": (1e-6, 1),
    "score": (1, 3),
    "number": (1, 1),
    "whole": (1, 0),
    "percent": (100, 0),
}
"""What a value is multiplied with, and its decimals: seconds shown as ms, bytes as MB, ..."""


def show(value: Any, kind: str) -> str:
    """Return a cell's text. kind: 'text' or one of ms, s, MB, score, number, whole, percent."""
    if value is None:
        return "-"
    if kind == "text":
        return str(value)
    scale, digits = _KINDS[kind]
    return f"{value * scale:.{digits}f}"


def filled(columns: Sequence[Column], rows: Sequence[Row]) -> list[Column]:
    """Return the columns that some row has something for."""
    return [c for c in columns if any(r.get(c[0]) is not None for r in rows)]


def print_table(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """Print a table to standard output."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False)
    for _, title, kind in columns:
        drawn.add_column(title, justify="left" if kind == "text" else "right")
    for row in rows:
        drawn.add_row(*(escape(show(row.get(key), kind)) for key, _, kind in columns))
    # Piped into a file, rows must not be folded to 80 columns.
    Console(width=None if sys.stdout.isatty() else 300, highlight=False).print(drawn)


def html_table(
    rows: Sequence[Row], columns: Sequence[Column], best: Mapping[str, Any] | None = None
) -> str:
    """Return a table that sorts itself; cells that equal ``best`` of their key are marked."""
    best = best or {}
    head = "".join(
        f'<th data-kind="{"text" if kind == "text" else "number"}"><button>{html.escape(title)}'
        "</button></th>"
        for _, title, kind in columns
    )
    body = []
    for row in rows:
        cells = []
        for key, _, kind in columns:
            value = row.get(key)
            mark = ' class="best"' if key in best and value == best[key] else ""
            mark = ' class="text"' if kind == "text" else mark
            sort = "" if value is None else html.escape(str(value))
            cells.append(f'<td data-value="{sort}"{mark}>{html.escape(show(value, kind))}</td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def best_of(
    rows: Sequence[Row], columns: Sequence[Column], higher: Collection[str]
) -> dict[str, Any]:
    """Return the best value of each column of numbers: the greatest of ``higher``, else the least.

    A column with a single value has no best.
    """
    found = {}
    for key, _, kind in columns:
        values = [r[key] for r in rows if kind != "text" and r.get(key) is not None]
        if len(values) > 1:
            found[key] = max(values) if key in higher else min(values)
    return found


def page(title: str, command: str, body: str) -> str:
    """Return a whole page. ``body`` is HTML."""
    text = files("vmatte.report").joinpath("page.html").read_text(encoding="utf-8")
    parts = {"TITLE": html.escape(title), "COMMAND": html.escape(command), "BODY": body}
    for name, part in parts.items():
        text = text.replace(f"<!--{name}-->", part)
    return text


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest."""
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}
