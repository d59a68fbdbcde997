"""The results of a benchmark as a table, a plot and a page."""

import html
import math
from collections.abc import Sequence
from typing import Any

from vmatte.report import Column, filled, html_table, page, show

COLUMNS: tuple[Column, ...] = (
    ("size", "size", "text"),
    ("variant", "variant", "text"),
    ("working", "working size", "text"),
    ("fps", "fps", "number"),
    ("range", "least .. greatest", "text"),
    ("share", "% of transcode", "percent"),
    ("cpu_ms", "CPU ms a frame", "number"),
    ("peak_mb", "peak MB", "whole"),
    ("mad", "MAD", "number"),
    ("ran", "ran on", "text"),
)

STAGE = "stage "
"""Begins the keys of the columns with the ms of a frame that a stage takes, over all threads."""

_RATES = (120, 60, 50, 30, 25, 24, 15)


def lines(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a line of the table for each row; see COLUMNS."""
    found = []
    for row in results["rows"]:
        line: dict[str, Any] = {"size": row["size"], "variant": row["variant"]}
        if "failed" in row:
            line["ran"] = row["failed"]
        else:
            fps = row["fps"]
            line |= {
                "fps": fps["median"],
                "range": f"{fps['least']:.1f} .. {fps['greatest']:.1f}",
                "share": row["share"]["median"],
                "cpu_ms": row["cpu_ms"]["median"],
                "peak_mb": row["peak_mb"] and row["peak_mb"]["median"],
                "mad": (row.get("error") or {}).get("mad"),
            }
            if "working_size" in row:
                line["working"] = "{}x{}".format(*row["working_size"])
                line["ran"] = f"{row['runtime']} {row['provider']} {row['precision']}"
            line |= {f"{STAGE}{k}": v for k, v in row.get("stages_ms", {}).items()}
        found.append(line)
    return found


def columns(table: Sequence[dict[str, Any]]) -> list[Column]:
    """Return the columns that ``table`` has something for, stages last."""
    stages = dict.fromkeys(k for line in table for k in line if k.startswith(STAGE))
    named = [(k, f"{k.removeprefix(STAGE)} ms", "number") for k in stages]
    return [*filled(COLUMNS, table), *named]


def said(results: dict[str, Any]) -> list[str]:
    """Return what the machine can do, in words."""
    found = []
    for size in dict.fromkeys(r["size"] for r in results["rows"]):
        for row in _fastest([r for r in results["rows"] if r["size"] == size and r.get("model")]):
            slowest = row["fps"]["least"]
            rate = next((r for r in _RATES if slowest >= r), None)
            keeps = f"keeps up with {rate} frames a second" if rate else "slower than video plays"
            found.append(f"{size}: {row['variant']}: {row['fps']['median']:.1f} fps, {keeps}")
    start = results["start"]
    found.append(
        f"first frame after {start['first_frame_s']['median']:.2f} s ({start['model']}, "
        f"{start['size']}); import vmatte takes {start['import_ms']['median']:.0f} ms"
    )
    return found


def origin_of(results: dict[str, Any]) -> str:
    """Return where the figures come from, in one line."""
    versions = ", ".join(f"{k} {v}" for k, v in results["versions"].items())
    return (
        f"{results['date']}, {results['machine']}, load {results['load']}; {versions}; "
        f"material: {results['material']}, x264 {results['preset']}, "
        f"{results['rounds']} rounds of {results['seconds']:g} s"
    )


def render(results: dict[str, Any]) -> str:
    """Return the page."""
    table = lines(results)
    can = "".join(f"<li>{html.escape(line)}</li>" for line in said(results))
    body = (
        f"<p>{html.escape(origin_of(results))}</p><ul>{can}</ul>{plot(results)}"
        f'<div class="scroll">{html_table(table, columns(table))}</div>'
    )
    return page("Speed", results.get("command", ""), body)


def markdown(rows: Sequence[dict[str, Any]], columns: Sequence[Column]) -> str:
    """Return a table in Markdown."""
    head = "| " + " | ".join(title for _, title, _ in columns) + " |"
    rule = "|" + "---|" * len(columns)
    body = [
        "| " + " | ".join(show(row.get(key), kind) for key, _, kind in columns) + " |"
        for row in rows
    ]
    return "\n".join([head, rule, *body]) + "\n"


def plot(results: dict[str, Any]) -> str:
    """Return an SVG of frames per second: medians, with the range of the rounds."""
    rows = [r for r in results["rows"] if "fps" in r]
    low = math.floor(math.log10(max(0.1, min(r["fps"]["least"] for r in rows))))
    high = max(low + 1, math.ceil(math.log10(max(r["fps"]["greatest"] for r in rows))))
    left, width, line = 250, 860, 18
    parts: list[str] = []
    y, last = 10, None
    for row in rows:
        if row["size"] != last:
            y, last = y + 26, row["size"]
            parts.append(f'<text x="8" y="{y}" font-weight="600">{html.escape(last)}</text>')
        y += line
        least, middle, greatest = (
            left + (math.log10(max(row["fps"][k], 10**low)) - low) / (high - low) * (width - left)
            for k in ("least", "median", "greatest")
        )
        colour = "#888" if "model" not in row else "#0a66c2"
        parts.append(
            f'<text x="{left - 10}" y="{y + 4}" text-anchor="end">{html.escape(row["variant"])}'
            f'</text><path d="M{least:.1f} {y}H{greatest:.1f}" stroke="{colour}"/>'
            f'<circle cx="{middle:.1f}" cy="{y}" r="4" style="fill: {colour}"/>'
            f'<text x="{greatest + 9:.1f}" y="{y + 4}">{row["fps"]["median"]:.1f}</text>'
        )
    grid = []
    for power in range(low, high + 1):
        x = left + (power - low) / (high - low) * (width - left)
        grid.append(
            f'<path d="M{x:.1f} 16V{y + 10}" stroke="#ccc" stroke-width=".5"/>'
            f'<text x="{x:.1f}" y="{y + 26}" text-anchor="middle">{10**power:g}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + 60} {y + 50}" role="img" '
        'aria-label="frames per second" font-family="system-ui, sans-serif" font-size="12" '
        'style="max-width: 1000px; background: #fff; fill: #1b1f24">'
        f"{''.join(grid)}{''.join(parts)}"
        f'<text x="{(left + width) / 2}" y="{y + 44}" text-anchor="middle">frames per second, log '
        "scale: median, and the range of the rounds</text></svg>"
    )


def _fastest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the fastest row of each model."""
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        held = best.get(row["model"])
        if held is None or row["fps"]["median"] > held["fps"]["median"]:
            best[row["model"]] = row
    return list(best.values())
