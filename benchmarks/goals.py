"""The goals of the issue on speed, against what the suite measured.

On two cores, x264 ultrafast, 1080p, whole process; ratios are taken within a round.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.common import RVM
from vmatte.report import Column, spread

OURS = "vmatte"
RECIPE, REMBG, REPLAY = "RVM's recipe", "rembg's loop", "vmatte, mattes replayed"
RATIO = ", ratio .25"
"""Added to the name of a variant that has the recipe's own ratio at 1080p."""
ALONE = ", not stabilised"
"""Added to the name of a variant that, like rembg, takes every frame for itself."""

COLUMNS: tuple[Column, ...] = (
    ("goal", "goal", "text"),
    ("want", "wanted", "text"),
    ("median", "measured", "text"),
    ("range", "least .. greatest", "text"),
    ("reached", "reached", "text"),
)


def goals(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each goal; see COLUMNS. reached: yes, no, or unknown and why."""
    rows = {(r["size"], r["variant"]): r for r in results["rows"] if "runs" in r}
    default = results["default_runtime"]
    own = f"{OURS}, {default}"
    start = results.get("start") or {}

    def ratio(size: str, ours: str, other: str, key: str = "fps") -> Any:
        pair = rows.get((size, ours)), rows.get((size, other))
        if pair[0] is None or pair[1] is None:
            return f"{ours if pair[0] is None else other} was not run at {size}"
        runs = zip(pair[0]["runs"], pair[1]["runs"], strict=True)
        return spread([a[key] / b[key] for a, b in runs])

    def peak(size: str) -> Any:
        row = rows.get((size, own))
        return row["peak_mb"] if row and row["peak_mb"] else f"{own} was not run at {size}"

    def bf16(ours: str, other: str) -> Any:
        row = rows.get(("1080p", ours))
        if row is not None and row["precision"] != "bf16":
            return f"no bf16 units: {row['precision']} ran"
        return ratio("1080p", ours, other)

    rvm, u2net = f"{RVM}, {{}}".format, "u2net, {}".format
    ort, vino = "onnxruntime", "openvino"
    table: list[tuple[str, str, float, Any]] = [
        ("bundled model, fps over bare decode-encode, 1080p", ">=", 0.6,
         ratio("1080p", own, "transcode")),
        ("bundled model, fps over bare decode-encode, 4K", ">=", 0.5,
         ratio("4k", own, "transcode")),
        ("RVM, fps over its recipe, onnxruntime", ">=", 4, ratio("1080p", rvm(ort), RECIPE)),
        ("the same at the recipe's ratio, onnxruntime", ">=", 4,
         ratio("1080p", rvm(ort) + RATIO, RECIPE)),
        ("RVM, fps over its recipe, OpenVINO bf16", ">=", 6, bf16(rvm(vino), RECIPE)),
        ("the same at the recipe's ratio, OpenVINO bf16", ">=", 6, bf16(rvm(vino) + RATIO, RECIPE)),
        ("U²-Net, fps over rembg's loop, onnxruntime", ">=", 1.5,
         ratio("1080p", u2net(ort) + ALONE, REMBG)),
        ("U²-Net, fps over rembg's loop, OpenVINO bf16", ">=", 5, bf16(u2net(vino) + ALONE, REMBG)),
        ("all but the network, CPU over bare decode-encode, 1080p", "<=", 1.25,
         ratio("1080p", REPLAY, "transcode", "cpu_ms")),
        ("start-up to first frame written, s", "<=", 1.0,
         start.get("first_frame_s", "not measured")),
        ("import vmatte, ms", "<=", 80, start.get("import_ms", "not measured")),
        ("peak memory, bundled model, 1080p, MB", "<=", 350, peak("1080p")),
        ("peak memory, bundled model, 4K, MB", "<=", 800, peak("4k")),
    ]  # fmt: skip
    return [_judged(*row) for row in table]


def _judged(goal: str, sign: str, want: float, found: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"goal": goal, "want": f"{sign} {want:g}"}
    if isinstance(found, str):
        return {**row, "reached": f"unknown: {found}"}
    shown: Callable[[float], str] = "{:.0f}".format if want >= 50 else "{:.2f}".format
    reached = found["median"] >= want if sign == ">=" else found["median"] <= want
    return {
        **row,
        **{"median": shown(found["median"])},
        "range": f"{shown(found['least'])} .. {shown(found['greatest'])}",
        "reached": "yes" if reached else "no",
    }
