"""Several models over the same inputs, one process each."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte import isolated
from vmatte.compare.inputs import open_input
from vmatte.errors import InputError, OptionError
from vmatte.matting import MatterOptions, expect_licence
from vmatte.registry import load_registry
from vmatte.runtimes import RuntimeOptions

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """What is compared. limit: frames of each video. runtime: the same for all models."""

    models: tuple[str, ...]
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    limit: int = 100
    accept_licence: bool = False

    def __post_init__(self) -> None:
        """Raise OptionError where there is nothing to compare."""
        if not self.models or len(set(self.models)) < len(self.models):
            raise OptionError("--models needs different names, such as vmatte,u2net")
        if self.limit < 1:
            raise OptionError(f"limit is {self.limit}; expected 1 or more")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found. models: what the worker says of each, in order (see worker.measure).

    inputs: name and the picture that is shown, [H, W, 3]; cutouts: by model and input, RGBA.
    """

    models: tuple[dict[str, Any], ...]
    inputs: tuple[tuple[str, Pixels], ...]
    cutouts: tuple[tuple[Pixels, ...], ...]


def compare_models(
    inputs: Sequence[tuple[Path, Path | None, str]],
    options: CompareOptions,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Run every model over all inputs. Raises VmatteError where one fails, with its name."""
    registry = load_registry()
    records = [registry.get(name) for name in options.models]
    for record in records:
        # Told now, not after the models before it have run.
        expect_licence(record, MatterOptions(accept_licence=options.accept_licence))
    names = [record.name for record in records]
    with tempfile.TemporaryDirectory(prefix="vmatte-compare-") as folder:
        clips, pictures = [], []
        for n, (video, alpha, name) in enumerate(inputs):
            shown, picture = _shown(video, options.limit)
            pictures.append((name, picture))
            clips.append(
                {
                    "name": name,
                    "video": str(video),
                    "alpha": None if alpha is None else str(alpha),
                    "shown": shown,
                    "preview": f"{folder}/{n}.png",
                }
            )
        results, cutouts = [], []
        for name in names:
            if progress is not None:
                progress(name)
            results.append(_run(name, clips, options))
            cutouts.append(tuple(_read(str(c["preview"])) for c in clips))
    return Comparison(tuple(results), tuple(pictures), tuple(cutouts))


def _run(model: str, clips: list[dict[str, Any]], options: CompareOptions) -> dict[str, Any]:
    job = {
        "model": model,
        "clips": clips,
        "limit": options.limit,
        "runtime": asdict(options.runtime),
        "accept_licence": options.accept_licence,
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
