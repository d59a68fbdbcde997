"""Several models over the same inputs, one process each."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vmatte import isolated
from vmatte.compare.inputs import open_input
from vmatte.compare.views import Pixels, View, views_of
from vmatte.errors import InputError, OptionError
from vmatte.matting import MatterOptions, expect_licence
from vmatte.registry import ensure_model, load_registry
from vmatte.runtimes import RuntimeOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """What is compared.

    limit: frames of each video. runtime: the same for all models. classes: what those models matte
    that tell classes apart.
    """

    models: tuple[str, ...]
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    limit: int = 100
    accept_licence: bool = False
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise OptionError where there is nothing to compare."""
        if not self.models or len(set(self.models)) < len(self.models):
            raise OptionError("--models needs different names, such as vmatte,u2net")
        if self.limit < 1:
            raise OptionError(f"limit is {self.limit}; expected 1 or more")


@dataclass(frozen=True, slots=True)
class Shown:
    """What the report shows of an input: itself, then each model's cut-out."""

    name: str
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found. models: what the worker says of each, in order (see worker.measure)."""

    models: tuple[dict[str, Any], ...]
    inputs: tuple[Shown, ...]


def compare_models(
    inputs: Sequence[tuple[Path, Path | None, str]],
    options: CompareOptions,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Run every model over all inputs. Raises VmatteError where one fails, with its name."""
    registry = load_registry()
    records = [registry.get(name) for name in options.models]
    if options.classes and not any(r.params.get("classes") for r in records):
        raise OptionError("--class is for models that tell classes apart, such as deeplab")
    # Told now, not after other models have run.
    for record in records:
        expect_licence(record, MatterOptions(accept_licence=options.accept_licence))
    frames = [_shown(path, options.limit)[0] for path, _, _ in inputs]
    for record in records:
        ensure_model(record, accept_licence=options.accept_licence)
    with tempfile.TemporaryDirectory(prefix="vmatte-compare-") as folder:
        results, previews = [], []
        for record in records:
            if progress is not None:
                progress(record.name)
            clips = [
                {
                    "name": name,
                    "video": str(video),
                    "alpha": None if alpha is None else str(alpha),
                    "shown": frame,
                    "preview": f"{folder}/{record.name}-{n}.png",
                }
                for n, ((video, alpha, name), frame) in enumerate(zip(inputs, frames, strict=True))
            ]
            results.append(_run(record.name, clips, options))
            previews.append([str(c["preview"]) for c in clips])
        # One after the other: together, many large pictures would not fit into memory.
        shown = tuple(
            Shown(name, views_of(_shown(path, options.limit)[1], [_read(p[n]) for p in previews]))
            for n, (path, _, name) in enumerate(inputs)
        )
    return Comparison(tuple(results), shown)


def _run(model: str, clips: list[dict[str, Any]], options: CompareOptions) -> dict[str, Any]:
    job = {
        "model": model,
        "clips": clips,
        "limit": options.limit,
        "runtime": asdict(options.runtime),
        "accept_licence": options.accept_licence,
        "classes": options.classes,
    }
    result: dict[str, Any] = isolated.call("vmatte.compare.worker:measure", job, name=model)
    return result


def _shown(video: Path, limit: int) -> tuple[int, Pixels]:
    """Return which frame the report shows, and its picture: not the first, where there are more."""
    source = open_input(video)
    try:
        last, index = None, 0
        for index, frame in enumerate(source):
            last = frame
            if index >= min(limit, 25) - 1:
                break
        if last is None:
            raise InputError(f"{video}: holds no frames")
        return index, last.rgb((last.width, last.height))
    finally:
        source.close()


def _read(path: str) -> Pixels:
    pixels = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA), np.uint8)
