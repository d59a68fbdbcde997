"""Is vmatte slower, larger or worse than when results were last committed?

Compared are, row by row: frames per second and CPU time a frame, both as ratios to the bare
transcode of the same rounds, peak memory, and the error of alpha. Exits 1 beyond a margin.

    python -m benchmarks.regression OLD.json NEW.json
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MARGINS = {"speed": 0.15, "cpu": 0.15, "memory": 0.15, "error": 0.05}
"""How much worse a median may be, as a share. Quiet machines repeat themselves within 10 %."""

_WHAT: dict[str, tuple[str, bool, Callable[[dict[str, Any]], float | None]]] = {
    "speed": ("fps over transcode", True, lambda r: r["share"]["median"]),
    "cpu": ("CPU time over transcode", False, lambda r: r["cpu_share"]["median"]),
    "memory": ("peak MB", False, lambda r: r["peak_mb"] and r["peak_mb"]["median"]),
    "error": ("MAD", False, lambda r: (r.get("error") or {}).get("mad")),
}


def regressions(
    old: dict[str, Any], new: dict[str, Any], margins: Mapping[str, float] = MARGINS
) -> tuple[list[str], list[str]]:
    """Return what is worse by more than its margin, and notes on what cannot be compared."""
    notes = []
    for what in ("machine", "preset", "material", "seconds", "error_frames"):
        if old.get(what) != new.get(what):
            notes.append(f"{what} differs: {old.get(what)}, now {new.get(what)}")
    before, after = _rows(old), _rows(new)
    notes += [f"{' '.join(k)}: was measured, and is not now" for k in before if k not in after]
    found = []
    for key, row in after.items():
        if key not in before or "model" not in row:
            continue  # Peers and bare runs are what is measured against.
        for name, (what, more_is_better, value) in _WHAT.items():
            was, now = value(before[key]), value(row)
            if was is None or now is None:
                continue
            change = now / was - 1
            if (-change if more_is_better else change) > margins[name]:
                found.append(
                    f"{' '.join(key)}: {what} {was:.3f} -> {now:.3f} ({change:+.0%}, "
                    f"margin {margins[name]:.0%})"
                )
    return found, notes


def committed(path: Path) -> dict[str, Any] | None:
    """Return what the last commit holds at ``path``, None where nothing."""
    command = ["git", "-C", str(path.parent), "show", f"HEAD:./{path.name}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def report(found: list[str], notes: list[str]) -> int:
    """Print; return the exit code."""
    for note in notes:
        print(f"note: {note}")
    for line in found:
        print(f"WORSE: {line}")
    print(f"{len(found)} regressions" if found else "no regression")
    return 1 if found else 0


def _rows(results: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(r["size"], r["variant"]): r for r in results["rows"] if "runs" in r}


def main() -> int:
    """Compare two files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    args = parser.parse_args()
    old, new = (json.loads(p.read_text()) for p in (args.old, args.new))
    return report(*regressions(old, new))


if __name__ == "__main__":
    sys.exit(main())
