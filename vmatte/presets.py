"""Options that a user has named, in a TOML file in the platform's folder for settings."""

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from vmatte.errors import OptionError

Value = str | bool | int | float | list[str]
Preset = dict[str, Value]
"""Options by their long names, without the dashes in front."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def presets_file() -> Path:
    """Return where presets are kept: presets.toml in VMATTE_CONFIG, or the user's usual folder."""
    if value := os.environ.get("VMATTE_CONFIG"):
        return Path(value).expanduser() / "presets.toml"
    return platformdirs.user_config_path("vmatte", appauthor=False) / "presets.toml"


def load_presets() -> dict[str, Preset]:
    """Return all presets by name. Raises OptionError where the file cannot be understood."""
    path = presets_file()
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as e:
        raise OptionError(f"{path} cannot be read ({e}); repair or remove it") from e
    for name, preset in found.items():
        good = isinstance(preset, dict) and all(
            isinstance(v, str | bool | int | float)
            or (isinstance(v, list) and all(isinstance(i, str) for i in v))
            for v in preset.values()
        )
        if not good:
            raise OptionError(
                f"{path}: {name} is no preset; expected a table of options with a text, number, "
                "true, false or list of texts each; repair or remove it"
            )
    return found


def load_preset(name: str) -> Preset:
    """Return one preset. Raises OptionError where there is none of that name."""
    found = load_presets()
    if name not in found:
        there = ", ".join(sorted(found)) or "none yet"
        raise OptionError(
            f"no preset is named {name!r}; there are: {there}. Save one with --save-preset {name}"
        )
    return found[name]


def save_preset(name: str, options: Mapping[str, Value]) -> Path:
    """Keep ``options`` under ``name``, in place of what was there; return the file.

    The file can be read by its owner alone: addresses hold passwords. Raises OptionError.
    """
    if not _NAME.fullmatch(name):
        raise OptionError(
            f"a preset cannot be named {name!r}; expected letters, digits, - and _, at most 64"
        )
    return _write(load_presets() | {name: dict(options)})


def delete_preset(name: str) -> None:
    """Forget a preset. Raises OptionError where there is none of that name."""
    load_preset(name)
    _write({n: p for n, p in load_presets().items() if n != name})


def toml_text(presets: Mapping[str, Preset]) -> str:
    """Return presets as TOML."""
    # JSON's texts, numbers and lists are TOML's too, but for one character.
    tables = [
        f"[{name}]\n"
        + "".join(
            f"{key} = {json.dumps(value, ensure_ascii=False)}\n".replace("\x7f", "\\u007f")
            for key, value in preset.items()
        )
        for name, preset in sorted(presets.items())
    ]
    return "\n".join(tables)


def _write(presets: Mapping[str, Preset]) -> Path:
    path = presets_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made for its owner alone, and whole or not at all.
        handle, made = tempfile.mkstemp(dir=path.parent, prefix=".presets-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(toml_text(presets))
        Path(made).replace(path)
    except OSError as e:
        raise OptionError(
            f"{path} cannot be written ({e.strerror}); VMATTE_CONFIG names another folder"
        ) from e
    return path
