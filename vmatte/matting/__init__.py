"""Matting models: one seam, one file per family.

Adding a family is one file, its branch in build_matter, and a record in models/registry.toml.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmatte.errors import ModelError, OptionError
from vmatte.matting.base import Engine, Matte, Matter
from vmatte.registry import ModelRecord, ensure_model, load_registry
from vmatte.runtimes import RuntimeOptions

__all__ = ["Engine", "Matte", "Matter", "MatterOptions", "build_matter", "load_matter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatterOptions:
    """How a model is loaded. ratio: downsample ratio, for families that have one."""

    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
    ratio: float | None = None

    def __post_init__(self) -> None:
        """Raise OptionError on values out of range."""
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
    registry = load_registry()
    record = registry.get(name or registry.default)
    return build_matter(record, ensure_model(record, progress), options or MatterOptions())


def build_matter(record: ModelRecord, path: Path, options: MatterOptions) -> Matter[Any]:
    """Load the model that ``record`` describes from ``path``. Raises ModelError, EngineError."""
    if record.family == "rvm":
        from vmatte.matting.rvm import RvmMatter

        channels = record.params.get("state_channels")
        if not isinstance(channels, list | tuple) or len(channels) != 4:
            raise ModelError(
                f"{record.name}: its record says state_channels = {channels!r}; expected four "
                "numbers, such as [16, 20, 40, 64]"
            )
        return RvmMatter(record.name, path, options.runtime, tuple(channels), options.ratio)
    if record.family == "convgru":
        from vmatte.matting.convgru import ConvGruMatter

        longest = record.params.get("longest")
        if not isinstance(longest, int) or longest < 16:
            raise ModelError(
                f"{record.name}: its record says longest = {longest!r}; expected the longer side "
                "of the working size in pixels, such as 512"
            )
        return ConvGruMatter(record.name, path, options.runtime, longest, options.ratio)
    from vmatte.matting.still import StillMatter, StillSpec

    if options.ratio is not None:
        raise OptionError(
            f"{record.name} has a fixed size; --downsample-ratio is for recurrent models"
        )
    fields: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in record.params.items()
    }
    try:
        spec = StillSpec(**fields)
    except TypeError as e:
        raise ModelError(f"{record.name}: its record has unusable params ({e}); correct it") from e
    return StillMatter(record.name, path, options.runtime, spec)
