"""The models that can be named: those of registry.toml and the user's own."""

import difflib
from pathlib import Path

from vmatte.errors import ModelError, UnknownModelError
from vmatte.registry.places import Places, find_places
from vmatte.registry.records import Catalogue, Family, ModelRecord, read_toml


class Registry:
    """Model records by name. Build it with load_registry."""

    def __init__(self, shipped: Catalogue, own: dict[str, ModelRecord]) -> None:
        """Join the records shipped with vmatte and the user's own."""
        if shipped.default is None:
            raise ModelError("registry.toml names no default model; install vmatte again")
        self._models = {**shipped.models, **own}
        self.aliases = dict(shipped.aliases)
        self.families: dict[str, Family] = dict(shipped.families)
        self.default: str = shipped.default

    def names(self) -> list[str]:
        """Return every model's name, without aliases, in the order of the files."""
        return list(self._models)

    def get(self, name: str) -> ModelRecord:
        """Return the record of that name or alias.

        Raises UnknownModelError, with the closest names.
        """
        record = self._models.get(self.aliases.get(name, name))
        if record is not None:
            return record
        if "/" in name or "\\" in name or name.lower().endswith(".onnx"):
            raise UnknownModelError(
                f"{name}: got a file, expected the name of a model; register the file first with: "
                f"vmatte models import {name} --family FAMILY"
            )
        names = [*self._models, *self.aliases]
        near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}."
        raise UnknownModelError(f"no model is called {name!r}; {hint} See: vmatte models list")

    def by_sha256(self, sha256: str) -> ModelRecord | None:
        """Return the record of that very file, one shipped with vmatte before the user's own."""
        found = [r for r in self._models.values() if r.sha256 == sha256]
        return min(found, key=lambda r: r.own, default=None)


def load_registry(places: Places | None = None) -> Registry:
    """Read registry.toml and the user's own records.

    Raises ModelError where a file is wrong, or one of the user's records takes a name in use.
    """
    places = places or find_places()
    shipped = read_toml(places.bundled / "registry.toml")
    own: dict[str, ModelRecord] = {}
    origin: dict[str, Path] = {}
    for path in sorted(places.own.glob("*.toml")):
        for name, record in read_toml(path, shipped.families, own=True).models.items():
            taken = "vmatte" if name in shipped.models or name in shipped.aliases else None
            taken = taken or (str(origin[name]) if name in origin else None)
            if taken:
                raise ModelError(
                    f"{path}: the name {name!r} is taken by {taken}; rename it or delete the file"
                )
            own[name], origin[name] = record, path
    return Registry(shipped, own)
