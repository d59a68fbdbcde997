"""Bringing in model files by hand: known ones, and the user's own."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vmatte.errors import (
    HashMismatchError,
    InputNotFoundError,
    ModelError,
    ModelUnavailableError,
    OptionError,
    WriteError,
)
from vmatte.registry.catalogue import Registry
from vmatte.registry.hashing import copy_hashed
from vmatte.registry.lock import locked
from vmatte.registry.records import ModelRecord, valid_name, write_toml
from vmatte.registry.store import Store


def import_model(
    file: Path,
    registry: Registry,
    store: Store,
    *,
    family: str | None = None,
    name: str | None = None,
    licence: str | None = None,
    params: Mapping[str, Any] | None = None,
    accept_licence: bool = False,
    check: Callable[[ModelRecord, Path], None] | None = None,
) -> ModelRecord:
    """Copy ``file`` into the user's models and return its record.

    A file whose SHA-256 is in the registry becomes that model, unless another name is given. Any
    other file becomes a model of the user's own: it needs a family, may be named (else after the
    file), and params replace those of the family. ``check`` may refuse such a file, by raising,
    before anything is kept: vmatte.matting.try_out runs it once.
    Raises HashMismatchError where ``name`` is a known model and the file another one, OptionError,
    InputNotFoundError, ModelError where it is no ONNX file, WriteError.
    """
    own = store.places.own
    temporary = own / f".import-{os.getpid()}"
    try:
        if not file.is_file():
            raise InputNotFoundError(f"{file}: no such file, expected an ONNX model")
        own.mkdir(parents=True, exist_ok=True)
        with locked(own / "import.lock"):
            with file.open("rb") as source:
                sha256 = copy_hashed(source, temporary)
            record = _known(sha256, registry, name)
            if record is None:
                record = _own(file, temporary, sha256, registry, family, name, licence, params)
                if check is not None:
                    _check(check, record, temporary, file)
            elif record.non_commercial and not accept_licence:
                raise ModelUnavailableError(
                    f"{record.name} may not be used commercially (licence: {record.licence}); "
                    "if that suits you, import it with --accept-licence"
                )
            temporary.replace(own / record.file)
            if record.own:
                draft = own / f".{record.name}.toml.part"
                write_toml(draft, record)
                draft.replace(own / f"{record.name}.toml")
    except (ModelError, InputNotFoundError):
        raise
    except OSError as e:
        raise WriteError(
            f"{file} cannot be copied to {own}: {e.strerror}; check space and permissions, or set "
            "VMATTE_MODELS to another folder"
        ) from e
    finally:
        with suppress(OSError):
            temporary.unlink()
    store.remember(record, own / record.file)
    return record


def _known(sha256: str, registry: Registry, name: str | None) -> ModelRecord | None:
    """Return the shipped record that the file belongs to, if it is one."""
    if name is not None:
        name = registry.aliases.get(name, name)
        if name not in registry.names():
            return None
        record = registry.get(name)
        if record.sha256 != sha256:
            way = "give another --name"
            raise HashMismatchError(
                f"{name} is taken by a file with sha256 {record.sha256}, got sha256 {sha256}; "
                + (f"{way}, or: vmatte models remove {name}" if record.own else way)
            )
    else:
        found = registry.by_sha256(sha256)
        if found is None:
            return None
        record = found
    return None if record.own else record


def _own(
    file: Path,
    copy: Path,
    sha256: str,
    registry: Registry,
    family: str | None,
    name: str | None,
    licence: str | None,
    params: Mapping[str, Any] | None,
) -> ModelRecord:
    name = name or file.stem
    if family is None:
        raise OptionError(
            f"{file}: not a model that vmatte knows (sha256 {sha256}); say how to run it with "
            f"--family, one of: {', '.join(registry.families)}"
        )
    if family not in registry.families:
        raise OptionError(
            f"no family is called {family!r}, expected one of: {', '.join(registry.families)}"
        )
    if not valid_name(name):
        raise OptionError(
            f"{name!r} cannot name a model, expected letters, digits and . _ - (not .onnx at the "
            "end); give another --name"
        )
    if name in registry.aliases or (name in registry.names() and not registry.get(name).own):
        raise OptionError(f"the name {name!r} is taken by vmatte; give another --name")
    if name in registry.names() and registry.get(name).sha256 != sha256:
        raise OptionError(
            f"another model of yours is called {name!r}; give another --name, or run: "
            f"vmatte models remove {name}"
        )
    _expect_onnx(file, copy)
    before = registry.get(name).licence if name in registry.names() else "not stated"
    shared = registry.families[family]
    return ModelRecord(
        name=name,
        family=family,
        file=f"{name}.onnx",
        bytes=copy.stat().st_size,
        sha256=sha256,
        licence=licence or before,
        description=f"imported from {file.name}",
        params={**shared.params, **(params or {})},
        people_only=shared.people_only,
        recurrent=shared.recurrent,
        own=True,
    )


def _check(
    check: Callable[[ModelRecord, Path], None], record: ModelRecord, copy: Path, file: Path
) -> None:
    try:
        check(record, copy)
    except ModelError as e:
        # The user knows the file by its own name.
        raise type(e)(str(e).replace(str(copy), str(file))) from e


def _expect_onnx(file: Path, copy: Path) -> None:
    """Raise ModelError where ``copy`` is not an ONNX model that is complete by itself."""
    import onnx

    try:
        model = onnx.load(str(copy), format="protobuf", load_external_data=False)
    except Exception as e:  # whatever protobuf makes of a foreign file
        raise ModelError(f"{file}: not an ONNX model ({e}); export it to ONNX first") from e
    if not model.graph.node or not model.graph.input:
        raise ModelError(f"{file}: not an ONNX model (no graph); export it to ONNX first")
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer):
        raise ModelError(
            f"{file}: keeps its weights in another file; save it as one file with onnx.save_model"
        )
