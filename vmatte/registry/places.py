"""The folders that hold models, and whether the network may be used."""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from vmatte.errors import OptionError

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where models are.

    bundled: shipped with vmatte, never written. own: what the user imported, with its records.
    cache: what was downloaded. offline_dir: a folder of model files that somebody else filled,
    never written. offline: never use the network.
    """

    bundled: Path
    own: Path
    cache: Path
    offline_dir: Path | None = None
    offline: bool = False


def find_places(
    models_dir: Path | None = None, offline_dir: Path | None = None, offline: bool | None = None
) -> Places:
    """Return the folders; what is None is taken from the environment.

    models_dir, VMATTE_MODELS: one folder for both downloads and imports, instead of the user's
    cache and data folders. offline_dir, VMATTE_OFFLINE_DIR. offline, VMATTE_OFFLINE=1.
    Raises OptionError where VMATTE_OFFLINE is neither yes nor no.
    """
    if models_dir is None and (value := os.environ.get("VMATTE_MODELS")):
        models_dir = Path(value).expanduser()
    if offline_dir is None and (value := os.environ.get("VMATTE_OFFLINE_DIR")):
        offline_dir = Path(value).expanduser()
    return Places(
        bundled=bundled_dir(),
        own=models_dir or platformdirs.user_data_path("vmatte", appauthor=False) / "models",
        cache=models_dir or platformdirs.user_cache_path("vmatte", appauthor=False) / "models",
        offline_dir=offline_dir,
        offline=_offline() if offline is None else offline,
    )


def bundled_dir() -> Path:
    """Return the folder of registry.toml and the models shipped with vmatte."""
    package = Path(__file__).parents[1]
    installed = package / "bundled"
    # In a checkout the wheel's build step has not run; the folder is at the root.
    return installed if (installed / "registry.toml").exists() else package.parent / "models"


def _offline() -> bool:
    value = os.environ.get("VMATTE_OFFLINE", "").strip().lower()
    if value not in _YES + _NO:
        raise OptionError(f"VMATTE_OFFLINE is {value!r}, expected 1 or 0")
    return value in _YES
