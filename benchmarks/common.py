"""What every benchmark needs: models in a temporary folder, a table, results with their origin."""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vmatte.bench.machine import origin
from vmatte.registry import Store, load_registry
from vmatte.registry.importing import import_model

RESULTS = Path(__file__).parent / "results"

RVM = "rvm_shared"
"""What the copy of RVM in the shared folder is called here."""

_FILES = {
    RVM: ("rvm_mobilenetv3_int8w.onnx", "rvm", "GPL-3.0"),
    "pphumanseg_shared": ("pphumanseg_2023mar.onnx", "pphumanseg", "Apache-2.0"),
    "mediapipe_selfie": ("mediapipe_selfie_256.onnx", "mediapipe", "Apache-2.0"),
    "mediapipe_selfie_landscape": (
        "mediapipe_selfie_landscape_144x256.onnx",
        "mediapipe",
        "Apache-2.0",
    ),
}


def arguments(text: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks share."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder of the data")
    return parser


@contextmanager
def models(shared: Path) -> Iterator[None]:
    """Register the shared weights in a temporary VMATTE_MODELS, beside a cached u2net."""
    cached = Store().locate(load_registry().get("u2net"))
    before = os.environ.get("VMATTE_MODELS")
    with tempfile.TemporaryDirectory(prefix="vmatte-bench-") as folder:
        os.environ["VMATTE_MODELS"] = folder
        try:
            if cached is not None:
                (Path(folder) / cached.name).symlink_to(cached)
            for name, (file, family, licence) in _FILES.items():
                import_model(
                    shared / "weights" / file,
                    load_registry(),
                    Store(),
                    family=family,
                    name=name,
                    licence=licence,
                )
            yield
        finally:
            del os.environ["VMATTE_MODELS"]
            if before is not None:
                os.environ["VMATTE_MODELS"] = before


def write(name: str, results: dict[str, Any]) -> None:
    """Write results/NAME.json with date, machine, commit and versions."""
    record = {**origin(), "commit": commit(), **results}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(rounded(record), indent=1) + "\n")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table: text to the left, numbers to the right with three decimals."""
    cells = [list(head)] + [[_cell(v) for v in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        parts = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))]  # noqa: B905
        print("  ".join(parts).rstrip())


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def rounded(value: Any) -> Any:
    """Return ``value`` with all numbers in it rounded to four digits."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list | tuple) else value


def commit() -> str | None:
    """Return the commit of the checkout, with -dirty where it was changed."""
    command = ["git", "-C", str(RESULTS.parent), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
