"""Round after round, each variant in a process of its own; medians and ranges over the rounds."""

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vmatte import isolated
from vmatte.bench.clips import SIZES, expect_sizes, make_clips
from vmatte.bench.machine import load, origin
from vmatte.bench.start import measure_start
from vmatte.errors import OptionError, VmatteError
from vmatte.matting import MatterOptions, expect_licence
from vmatte.registry import ModelRecord, Store, ensure_model, load_registry
from vmatte.report import spread
from vmatte.runtimes import RuntimeName, RuntimeOptions

CEILING = "transcode"
"""The variant that the others are given as shares of."""

Tell = Callable[[str], None]
"""Is told what goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """What is measured.

    models: None for all on this machine. runtimes: None for all on this machine. sizes: of SIZES;
    with a clip of the user's, none for its own. seconds: of each run, at least 6 frames. preset: of
    x264, the same for all.
    """

    models: tuple[str, ...] | None = None
    runtimes: tuple[RuntimeName, ...] | None = None
    sizes: tuple[str, ...] = tuple(SIZES)
    rounds: int = 3
    seconds: float = 3.0
    preset: str = "ultrafast"
    accept_licence: bool = False

    def __post_init__(self) -> None:
        """Raise OptionError on values that make no benchmark."""
        expect_sizes(self.sizes)
        if self.rounds < 1:
            raise OptionError(f"rounds is {self.rounds}; expected 1 or more")
        if not self.seconds > 0:
            raise OptionError(f"seconds is {self.seconds}; expected more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One thing to time: a function as of vmatte.bench.jobs, with what it takes of its own.

    python, environment: see isolated.call. sizes: at which it runs, all where empty.
    """

    name: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    python: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    sizes: tuple[str, ...] = ()


BARE = (
    Variant(name="decode", function="vmatte.bench.jobs:decode"),
    Variant(name=CEILING, function="vmatte.bench.jobs:transcode"),
)


def runtimes(only: Sequence[RuntimeName] | None = None) -> dict[str, RuntimeOptions]:
    """Return the runtimes of this machine by name, first the one that 'auto' takes."""
    from vmatte.runtimes.ort import accelerator

    found: dict[str, RuntimeOptions] = {}
    fast = accelerator()
    if fast is not None:
        found[f"onnxruntime {fast}"] = RuntimeOptions(runtime="onnxruntime", provider=fast)
    if importlib.util.find_spec("openvino") is not None or "openvino" in (only or ()):
        found["openvino"] = RuntimeOptions(runtime="openvino")
    found["onnxruntime"] = RuntimeOptions(runtime="onnxruntime", provider="cpu")
    return {k: v for k, v in found.items() if only is None or v.runtime in only}


def models(options: BenchOptions) -> list[ModelRecord]:
    """Return the models to measure: those named, fetched where needed, or those at hand.

    Raises ModelError.
    """
    registry = load_registry()
    licence = MatterOptions(accept_licence=options.accept_licence)
    if options.models is None:
        at_hand = [registry.get(n) for n in registry.names() if Store().locate(registry.get(n))]
        return [r for r in at_hand if options.accept_licence or not r.non_commercial]
    records = [registry.get(name) for name in options.models]
    for record in records:
        expect_licence(record, licence)
        ensure_model(record, accept_licence=options.accept_licence)
    return records


def variants(options: BenchOptions) -> list[Variant]:
    """Return decode, decode-encode, and each model on each runtime. Raises ModelError."""
    found = [*BARE]
    for record in models(options):
        for name, runtime in runtimes(options.runtimes).items():
            arguments = {
                "model": record.name,
                "runtime": asdict(runtime),
                "accept_licence": options.accept_licence,
            }
            found.append(
                Variant(
                    name=f"{record.name}, {name}",
                    function="vmatte.bench.jobs:matte",
                    arguments=arguments,
                )
            )
    return found


def bench(material: str | None, options: BenchOptions, tell: Tell) -> dict[str, Any]:
    """Measure; return the results, see docs/speed.md. Raises VmatteError.

    material: a video, None for a drawn one. A variant that fails is told in its row.
    """
    where = origin()
    planned = variants(options)
    with tempfile.TemporaryDirectory(prefix="vmatte-bench-") as name:
        folder = Path(name)
        tell("making clips")
        clips = make_clips(material, options.sizes, folder)
        rows = measure(planned, clips, options, folder, tell)
        started = start(clips, options, tell)
    return {**where, **results(material, options, rows, started)}


def results(
    material: str | None, options: BenchOptions, rows: list[dict[str, Any]], started: dict[str, Any]
) -> dict[str, Any]:
    """Return what was measured, in the form of docs/speed.md; origin() is to be added."""
    return {
        "schema": 1,
        "material": "drawn" if material is None else Path(material).name,
        "preset": options.preset,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "default_runtime": next(iter(runtimes()), None),
        "rows": rows,
        "start": started,
    }


def start(clips: Mapping[str, Path], options: BenchOptions, tell: Tell) -> dict[str, Any]:
    """Time starting up with the first model, at 1080p where that is among the sizes."""
    size = "1080p" if "1080p" in clips else next(iter(clips))
    model = (options.models or (load_registry().default,))[0]
    tell(f"starting up, {size}")
    count = 2 * options.rounds - 1
    return {
        "size": size,
        "model": model,
        **measure_start(clips[size], model, count, options.accept_licence),
    }


def measure(
    variants: Sequence[Variant],
    clips: Mapping[str, Path],
    options: BenchOptions,
    folder: Path,
    tell: Tell,
) -> list[dict[str, Any]]:
    """Run all ``variants`` at all sizes, round after round; return a row for each."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    failed: dict[tuple[str, str], str] = {}
    for number in range(1, options.rounds + 1):
        for size, clip in clips.items():
            for variant in variants:
                key = (size, variant.name)
                if key in failed or (variant.sizes and size not in variant.sizes):
                    continue
                tell(f"round {number} of {options.rounds}, {size}: {variant.name}")
                arguments = {
                    "source": str(clip),
                    "target": str(folder / "out.mp4"),
                    "preset": options.preset,
                    "seconds": options.seconds,
                    **variant.arguments,
                }
                before = load()
                try:
                    once = isolated.call(
                        variant.function,
                        arguments,
                        name=variant.name,
                        python=variant.python,
                        environment=variant.environment,
                    )
                except VmatteError as e:
                    if variant in BARE:
                        raise
                    failed[key] = f"{type(e).__name__}: {e}"
                    continue
                found.setdefault(key, []).append({**once, "load": before})
    rows = []
    for size in clips:
        for variant in variants:
            key = (size, variant.name)
            if key in failed:
                rows.append({"size": size, "variant": variant.name, "failed": failed[key]})
            elif key in found:
                row = summary(found[key], found[size, CEILING])
                rows.append({"size": size, "variant": variant.name, **row})
    return rows


def summary(runs: list[dict[str, Any]], ceiling: list[dict[str, Any]]) -> dict[str, Any]:
    """Return medians and ranges of ``runs``, and of their ratios to ``ceiling``, run by run.

    share: of its fps. cpu_share: of its CPU time a frame. What is no number is that of the last.
    """
    last = runs[-1]
    row: dict[str, Any] = {
        k: v for k, v in last.items() if k not in ("fps", "cpu_ms", "peak_mb", "stages_ms", "load")
    }
    for key in ("fps", "cpu_ms", "peak_mb"):
        values = [r[key] for r in runs if r[key] is not None]
        row[key] = spread(values) if values else None
    for key, of in (("share", "fps"), ("cpu_share", "cpu_ms")):
        row[key] = spread([r[of] / c[of] for r, c in zip(runs, ceiling, strict=True)])
    if "stages_ms" in last:
        row["stages_ms"] = {
            k: spread([r["stages_ms"].get(k, 0.0) for r in runs])["median"]
            for k in last["stages_ms"]
        }
    row["runs"] = [{k: r[k] for k in ("fps", "cpu_ms", "peak_mb", "load")} for r in runs]
    return row
