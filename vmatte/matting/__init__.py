"""Matting models: one seam, one file per family.

Adding a family is one file, its branch in build_matter, and a record in models/registry.toml.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from vmatte.errors import ModelError, ModelUnavailableError, OptionError
from vmatte.matting.base import Engine, Matte, Matter, for_still
from vmatte.registry import ModelRecord, ensure_model, load_registry
from vmatte.runtimes import RuntimeOptions

__all__ = [
    "Engine",
    "Matte",
    "Matter",
    "MatterOptions",
    "Stabilise",
    "build_matter",
    "expect_licence",
    "for_still",
    "load_matter",
    "try_out",
    "warmup_of",
]


Stabilise = Literal["auto", "off", "flow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatterOptions:
    """How a model is loaded.

    ratio: downsample ratio, for families that have one. classes: what to matte, for models that
    tell classes apart; their own choice where empty. accept_licence: agree to the licence of a
    model that is not for commercial use. stabilise: flow averages alpha along the motion of the
    picture (vmatte.matting.stabilise); auto does where the model looks at one frame at a time.
    stretch: the matte of a still is stretched to 0..1 where the model's own code does so.
    """

    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    ratio: float | None = None
    classes: tuple[str, ...] = ()
    accept_licence: bool = False
    stabilise: Stabilise = "auto"
    stretch: bool = True

    def __post_init__(self) -> None:
        """Raise OptionError on values out of range."""
        if self.stabilise not in get_args(Stabilise):
            ways = ", ".join(get_args(Stabilise))
            raise OptionError(f"stabilise is {self.stabilise!r}; expected one of {ways}")
        if self.ratio is not None and not 0 < self.ratio <= 1:
            raise OptionError(f"downsample ratio is {self.ratio}; expected above 0, at most 1")


def load_matter(
    name: str | None = None,
    options: MatterOptions | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Matter[Any]:
    """Load a registered model by name (the default one for None), fetching it where needed.

    progress: called with bytes done and in all while fetching. Raises ModelError, EngineError.
    """
    registry, options = load_registry(), options or MatterOptions()
    record = registry.get(name or registry.default)
    expect_licence(record, options)
    path = ensure_model(record, progress, accept_licence=options.accept_licence)
    matter = build_matter(record, path, options)
    if _stabilises(record, options):
        from vmatte.matting.stabilise import StabilisedMatter

        return StabilisedMatter(matter)
    return matter


def _stabilises(record: ModelRecord, options: MatterOptions) -> bool:
    return options.stabilise == "flow" or (options.stabilise == "auto" and not record.recurrent)


def warmup_of(name: str | None, options: MatterOptions) -> int:
    """Return how many frames before a cut a model must see, so that nobody sees the cut.

    Then alpha differs by less than 1e-3 (mean of a frame) from that of an uncut run; as measured
    by benchmarks/warmup.py. Raises ModelError.
    """
    registry = load_registry()
    record = registry.get(name or registry.default)
    if not _stabilises(record, options):
        return record.warmup
    from vmatte.matting.stabilise import WARMUP

    return record.warmup + WARMUP


def expect_licence(record: ModelRecord, options: MatterOptions) -> None:
    """Raise ModelUnavailableError where the model is not for commercial use and nobody agreed.

    Asked at every use, and kept nowhere: who runs a command need not be who ran the last one.
    """
    if record.non_commercial and not options.accept_licence:
        raise ModelUnavailableError(
            f"{record.name} may not be used commercially (licence: {record.licence}); if that "
            "suits you, add --accept-licence (from Python: MatterOptions(accept_licence=True))"
        )


def build_matter(record: ModelRecord, path: Path, options: MatterOptions) -> Matter[Any]:
    """Load the model that ``record`` describes from ``path``. Raises ModelError, EngineError."""
    if options.classes and not record.params.get("classes"):
        raise OptionError(
            f"{record.name} does not tell classes apart; --class is for models that do, such as "
            "deeplab"
        )
    if record.family == "rvm":
        return _rvm(record, path, options)
    if record.family == "convgru":
        return _convgru(record, path, options)
    return _still(record, path, options)


def try_out(record: ModelRecord, path: Path) -> None:
    """Load the model that ``record`` describes from ``path`` and run it once, on the CPU.

    Raises ModelError where the file does not fit what the record says.
    """
    cpu = RuntimeOptions(runtime="onnxruntime", provider="cpu")
    try:
        matter = build_matter(record, path, MatterOptions(runtime=cpu))
        try:
            size = matter.working_size(320, 180)
            matter.step(np.full((*size[::-1], 3), 127, np.uint8), matter.start(*size))
        finally:
            matter.close()
    except ModelError as e:
        raise ModelError(f"the file does not run as family {record.family}: {e}") from e


def _rvm(record: ModelRecord, path: Path, options: MatterOptions) -> Matter[Any]:
    from vmatte.matting.rvm import RvmMatter

    channels = record.params.get("state_channels")
    if not isinstance(channels, list | tuple) or len(channels) != 4:
        raise ModelError(
            f"{record.name}: its record says state_channels = {channels!r}; expected four "
            "numbers, such as [16, 20, 40, 64]"
        )
    return RvmMatter(record.name, path, options.runtime, tuple(channels), options.ratio)


def _convgru(record: ModelRecord, path: Path, options: MatterOptions) -> Matter[Any]:
    from vmatte.matting.convgru import ConvGruMatter

    longest = record.params.get("longest")
    if not isinstance(longest, int) or longest < 16:
        raise ModelError(
            f"{record.name}: its record says longest = {longest!r}; expected the longer side "
            "of the working size in pixels, such as 512"
        )
    return ConvGruMatter(record.name, path, options.runtime, longest, options.ratio)


def _still(record: ModelRecord, path: Path, options: MatterOptions) -> Matter[Any]:
    from vmatte.matting.modnet import modnet_size
    from vmatte.matting.still import StillMatter, StillSpec

    if options.ratio is not None:
        raise OptionError(
            f"{record.name} has a size of its own; --downsample-ratio is for recurrent models"
        )
    fields: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in record.params.items()
    }
    if options.classes:
        fields["channel"] = tuple(_channel(record, name) for name in options.classes)
    if not options.stretch:
        fields["stretch"] = False
    try:
        spec = StillSpec(**fields)
    except TypeError as e:
        raise ModelError(f"{record.name}: its record has unusable params ({e}); correct it") from e
    rule = modnet_size if record.family == "modnet" else None
    return StillMatter(record.name, path, options.runtime, spec, rule)


def _channel(record: ModelRecord, name: str) -> int:
    known = list(record.params["classes"])
    if name not in known:
        raise OptionError(f"{record.name} knows no class {name!r}; expected {', '.join(known)}")
    return known.index(name)
