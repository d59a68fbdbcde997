"""Taking models off this machine."""

from pathlib import Path

from vmatte.errors import ModelError, ModelUnavailableError, WriteError
from vmatte.registry.catalogue import Registry
from vmatte.registry.records import ModelRecord, read_toml
from vmatte.registry.store import Store


def remove_model(record: ModelRecord, registry: Registry, store: Store) -> list[Path]:
    """Delete the model's file, and of the user's own its record; return what was deleted.

    A file that another model uses stays. Raises ModelUnavailableError where nothing of it is here,
    ModelError for what vmatte did not put there, WriteError.
    """
    places = store.places
    gone = []
    if record.own:
        written = places.own / f"{record.name}.toml"
        there = read_toml(written, registry.families, own=True) if written.is_file() else None
        # Somebody may have written several into one file by hand.
        if there is None or list(there.models) != [record.name]:
            raise ModelError(
                f"{record.name}: its record was written by hand, in a file of {places.own}; take "
                "it out there"
            )
        gone.append(written)
    path = store.locate(record)
    if path is not None and path.parent not in (places.own, places.cache):
        raise ModelError(
            f"{path}: is part of vmatte, or of a folder that vmatte only reads; it stays"
        )
    if path is not None and not any(
        o.file == record.file for n in registry.names() if (o := registry.get(n)) is not record
    ):
        gone.append(path)
    if not gone:
        raise ModelUnavailableError(f"{record.name} is not on this machine; nothing to remove")
    for file in gone:
        try:
            file.unlink()
        except OSError as e:
            raise WriteError(f"{file}: cannot be deleted: {e.strerror}; check permissions") from e
    return gone
