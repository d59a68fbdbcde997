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
from vmatte.errors import InputError, InputNotFoundError, OptionError
from vmatte.evaluation import Clip, find_clips
from vmatte.evaluation.dataset import VIDEO_SUFFIXES
from vmatte.matting import MatterOptions, expect_licence
from vmatte.registry import load_registry
from vmatte.runtimes import RuntimeOptions
from vmatte.sources import open_source
from vmatte.sources.images import SUFFIXES as IMAGE_SUFFIXES
from vmatte.sources.images import natural

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


def find_inputs(inputs: Sequence[str], truth: Path | None) -> list[tuple[Path, Path | None, str]]:
    """Return (picture or video, its true matte, name) for each input.

    A dataset (as of evaluate) brings its own true mattes; of others ``truth`` holds one of the same
    stem. Raises InputNotFoundError, InputError.
    """
    found: list[tuple[Path, Path | None, str]] = []
    for name in inputs:
        path = Path(name)
        if not path.exists():
            raise InputNotFoundError(f"{name}: no such file or folder; check the path")
        if not path.is_dir():
            found.append((path, _truth_of(path, truth), path.name))
            continue
        files = sorted(
            (p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES),
            key=natural,
        )
        if files and not any(p.stem == "alpha" for p in files):
            found += [(p, _truth_of(p, truth), p.name) for p in files]
            continue
        clips: list[Clip] = find_clips(path)
        found += [(c.video, c.alpha, c.name) for c in clips]
    return found


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
    source = open_source(str(video))
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


def _truth_of(path: Path, truth: Path | None) -> Path | None:
    if truth is None:
        return None
    fitting = [p for p in truth.iterdir() if p.stem == path.stem] if truth.is_dir() else []
    if len(fitting) != 1:
        raise InputError(f"{truth}: has {len(fitting)} files called {path.stem}.*; expected one")
    return fitting[0]
