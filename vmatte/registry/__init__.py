"""Models as data: what there is, where it can be had, and whether it is whole."""

from vmatte.registry.catalogue import Registry, load_registry
from vmatte.registry.hashing import Progress
from vmatte.registry.places import Places, find_places
from vmatte.registry.records import ModelRecord
from vmatte.registry.store import Store, ensure_model, find_model

__all__ = [
    "ModelRecord",
    "Places",
    "Progress",
    "Registry",
    "Store",
    "ensure_model",
    "find_model",
    "find_places",
    "load_registry",
]
