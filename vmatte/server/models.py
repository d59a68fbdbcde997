"""The models of a service: loaded when first asked for, then shared by all requests."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vmatte.errors import ModelError, UnknownModelError
from vmatte.matting import Matte, Matter, for_still, load_matter
from vmatte.registry import ModelRecord, Store, load_registry


class Model:
    """A loaded model that many share, see Matter: its steps come one after another.

    The network uses all cores by itself, and one request of a runtime cannot run twice at once.
    """

    def __init__(self, matter: Matter[Any], lock: "threading.Lock | None" = None) -> None:
        """Share ``matter``, which others step under ``lock``, too."""
        self._matter = matter
        self._lock = lock or threading.Lock()
        self.engine = matter.engine
        self.working_size = matter.working_size
        self.start = matter.start

    def step(self, rgb: NDArray[np.uint8], state: Any) -> tuple[Matte, Any]:
        """Matte one picture."""
        with self._lock:
            return self._matter.step(rgb, state)

    def for_still(self) -> "Model":
        """Return the same for pictures on their own, behind the same lock."""
        return Model(for_still(self._matter), self._lock)

    def close(self) -> None:
        """Do nothing: others use it."""

    def free(self) -> None:
        """Free the network, once nobody uses it."""
        self._matter.close()


class Models:
    """The models that may be asked for."""

    def __init__(
        self, names: tuple[str, ...] = (), load: Callable[[str], Matter[Any]] = load_matter
    ) -> None:
        """Offer ``names``, by default all that are on this machine. Raises UnknownModelError."""
        registry, store = load_registry(), Store()
        self.default = registry.get(names[0] if names else registry.default).name
        self._records: dict[str, ModelRecord] = {}
        for name in names or registry.names():
            record = registry.get(name)
            there = False
            with suppress(ModelError):
                there = bool(names) or store.find(record) is not None
            if there:
                self._records[record.name] = record
        self._aliases = {**registry.aliases}
        self._load = load
        self._lock = threading.Lock()
        self._loaded: dict[str, Model] = {}

    def fetch(self) -> None:
        """Fetch what is not on this machine. Raises ModelError."""
        for record in self._records.values():
            Store().ensure(record)

    def describe(self) -> list[dict[str, Any]]:
        """Describe the models."""
        return [
            {
                "name": r.name,
                "description": r.description,
                "licence": r.licence,
                "people_only": r.people_only,
                "recurrent": r.recurrent,
                "default": r.name == self.default,
                "loaded": r.name in self._loaded,
            }
            for r in self._records.values()
        ]

    def name(self, given: str | None) -> str:
        """Return the model's own name, the default one's for none. Raises UnknownModelError."""
        given = given or self.default
        name = self._aliases.get(given, given)
        if name not in self._records:
            raise UnknownModelError(
                f"no model {given[:60]!r} is offered here; there are: {', '.join(self._records)}"
            )
        return name

    def sha256(self, name: str) -> str:
        """Return the hash of a model's file."""
        return self._records[name].sha256

    def get(self, name: str) -> Model:
        """Return a model, loaded where it is not yet. Raises ModelError, EngineError."""
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = Model(self._load(name))
            return self._loaded[name]

    def close(self) -> None:
        """Free all."""
        with self._lock:
            for model in self._loaded.values():
                model.free()
            self._loaded.clear()
