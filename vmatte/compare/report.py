"""The comparison as one HTML page that needs nothing else, and as a table for a terminal."""

import base64
import html
import io
import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from vmatte.compare.run import Comparison
from vmatte.compare.views import Pixels, View
from vmatte.metrics import LABELS, Means, mean_of
from vmatte.report import Column, best_of, filled, html_table, page

_HIGHER = {"iou", "f_score", "edge_f"}
"""Scores of which more is better."""

_EXPLAINED = """<p>Times are medians over the frames of each input, after one unmeasured run, then
over the inputs; each model ran alone in a process of its own, whose peak memory is given. Lower is
better, but for IoU, F and edge F. Click a heading to sort.</p>"""


def rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return one row for each model: what it costs, and its mean scores where there is truth."""
    found = []
    for model in comparison.models:
        means = [Means(**c["means"]) for c in model["clips"] if c["means"] is not None]
        found.append(
            {
                "model": model["model"],
                "matte": statistics.median(c["seconds"]["matte"] for c in model["clips"]),
                "refine": statistics.median(c["seconds"]["refine"] for c in model["clips"]),
                "load": model["load_seconds"],
                "memory": model["peak_memory"],
                "bytes": model["bytes"],
                "licence": model["licence"]
                + (" (non-commercial)" if model["non_commercial"] else ""),
                "ran": f"{model['runtime']} {model['provider']} {model['precision']}",
                **({} if not means else mean_of(means).as_dict()),
            }
        )
    return found


def columns(table: Sequence[dict[str, Any]]) -> list[Column]:
    """Return the columns that ``table`` has something for."""
    cost = [
        ("matte", "ms to matte", "ms"),
        ("refine", "ms to refine", "ms"),
        ("load", "s to load", "s"),
        ("memory", "peak MB", "MB"),
        ("bytes", "MB on disk", "MB"),
    ]
    scores = [(k, v, "score") for k, v in LABELS.items()]
    named = [("model", "model", "text"), *cost, *scores]
    named += [("licence", "licence", "text"), ("ran", "ran on", "text")]
    return filled(named, table)


def render(comparison: Comparison, command: str) -> str:
    """Return the page."""
    table = rows(comparison)
    shown = columns(table)
    drawn = html_table(table, shown, best_of(table, shown, _HIGHER))
    body = [_EXPLAINED, f'<div class="scroll">{drawn}</div>', _plot(table)]
    body += [_pictures(comparison, n) for n in range(len(comparison.inputs))]
    return page("Models compared", command, "\n".join(body))


def _plot(table: Sequence[dict[str, Any]]) -> str:
    """Return an SVG of error over cost; empty where there is no truth."""
    points = [(r["matte"] * 1e3, r["mad"], r["model"]) for r in table if "mad" in r]
    if not points:
        return ""
    width, height, left, bottom = 720, 340, 60, 50
    low = math.floor(math.log10(max(min(p[0] for p in points), 0.1)))
    high = max(low + 1, math.ceil(math.log10(max(p[0] for p in points))))
    most = max(max(p[1] for p in points), 1e-3)
    step = _step(most / 5)
    steps = math.ceil(1.05 * most / step)
    top = steps * step

    def x(ms: float) -> float:
        share: float = (math.log10(max(ms, 0.1)) - low) / (high - low)
        return left + share * (width - left - 110)

    def y(error: float) -> float:
        return float((height - bottom) * (1 - error / top) + 10)

    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="MAD over milliseconds">',
        f'<path class="axis" d="M{left} 10V{y(0):.0f}H{width - 10}"/>',
    ]
    for power in range(low, high + 1):
        at = x(10**power)
        parts.append(f'<path class="grid" d="M{at:.0f} 10V{y(0):.0f}"/>')
        label = f"{10**power:g}"
        parts.append(f'<text x="{at:.0f}" y="{y(0) + 18:.0f}" text-anchor="middle">{label}</text>')
    for n in range(steps + 1):
        value = step * n
        parts.append(f'<path class="grid" d="M{left} {y(value):.0f}H{width - 10}"/>')
        parts.append(
            f'<text x="{left - 8}" y="{y(value) + 4:.0f}" text-anchor="end">{value:g}</text>'
        )
    parts.append(f'<text x="{width / 2}" y="{height - 8}" text-anchor="middle">'
                 "ms to matte a picture (log scale)</text>")  # fmt: skip
    parts.append(f'<text x="{left + 8}" y="22">MAD</text>')
    taken: list[tuple[float, float]] = []
    for ms, error, name in sorted(points, key=lambda p: p[1]):
        at_x, at_y = x(ms), y(error)
        label_y = at_y
        # Labels that would lie over one another move up.
        while any(abs(label_y - o) < 14 and abs(at_x - p) < 150 for p, o in taken):
            label_y -= 14
        taken.append((at_x, label_y))
        parts.append(f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="5"/>')
        parts.append(f'<text x="{at_x + 9:.1f}" y="{label_y + 4:.1f}">{html.escape(name)}</text>')
    return "".join(parts) + "</svg>"


def _step(least: float) -> float:
    """Return the least of 1, 2, 2.5, 5 and 10 times a power of ten that is no less than it."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(f * power for f in (1, 2, 2.5, 5, 10) if f * power >= least * (1 - 1e-9))


def _pictures(comparison: Comparison, index: int) -> str:
    shown = comparison.inputs[index]
    names = ["input", *(m["model"] for m in comparison.models)]
    means = [None, *(m["clips"][index]["means"] for m in comparison.models)]
    figures = [_figure(*figure) for figure in zip(names, shown.views, means, strict=True)]
    row = f'<div class="row" style="--n: {len(figures)}">{"".join(figures)}</div>'
    return f"<h2>{html.escape(shown.name)}</h2>{row}"


def _figure(name: str, view: View, means: dict[str, Any] | None) -> str:
    note = "" if means is None else f" <small>MAD {means['mad']:.1f}</small>"
    images = "".join(
        f'<img class="{kind}" alt="{html.escape(name)}, {kind}" src="{_uri(image)}">'
        for kind, image in (("whole", view.whole), ("zoom", view.zoomed))
    )
    return f"<figure>{images}<figcaption>{html.escape(name)}{note}</figcaption></figure>"


def _uri(pixels: Pixels) -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "WEBP", quality=85, method=4)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"
