"""Networks that OpenVINO has compiled, kept on disk: compiling takes most of the time of a start.

One file a network, runtime, processor and setting; it begins with its own hash, and is used only
where that is right. What cannot be kept or read is compiled anew.
"""

import contextlib
import hashlib
import io
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vmatte.registry.places import find_places

_LARGEST = 64 << 20
"""Bytes of a network that is worth keeping: larger ones take long to read, and much room."""

_MOST = 16
"""Files that are kept: those of other versions and settings go, the oldest first."""


def compile_or_load(
    core: Any, graph: Any, model: Path | bytes, device: str, config: Mapping[str, Any], version: str
) -> Any:
    """Return ``graph``, read from ``model``, compiled for ``device``; from disk where it can be."""
    if device != "CPU":
        return core.compile_model(graph, device, config)
    content = model if isinstance(model, bytes) else model.read_bytes()
    # ONNX's word for weights in a file beside it, whose changes would go unseen.
    if len(content) > _LARGEST or b"location" in content:
        return core.compile_model(graph, device, config)
    processor = core.get_property(device, "FULL_DEVICE_NAME")
    units = sorted(core.get_property(device, "OPTIMIZATION_CAPABILITIES"))
    key = hashlib.sha256(content)
    key.update(repr((version, processor, units, os.cpu_count(), sorted(config.items()))).encode())
    file = find_places().cache / "compiled" / f"{key.hexdigest()}.blob"
    kept = _read(file)
    if kept is not None:
        with contextlib.suppress(RuntimeError):
            return core.import_model(io.BytesIO(kept), device, config)
    compiled = core.compile_model(graph, device, config)
    with contextlib.suppress(OSError, RuntimeError):
        _write(file, compiled.export_model())
    return compiled


def _read(file: Path) -> bytes | None:
    """Return what was written to ``file``, None where it is not whole."""
    try:
        found = file.read_bytes()
    except OSError:
        return None
    body = found[32:]
    return body if hashlib.sha256(body).digest() == found[:32] else None


def _write(file: Path, content: Any) -> None:
    body = content if isinstance(content, bytes) else content.getvalue()
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{secrets.token_hex(4)}.part")
    try:
        temporary.write_bytes(hashlib.sha256(body).digest() + body)
        temporary.replace(file)
        kept = sorted(file.parent.glob("*.blob"), key=lambda f: f.stat().st_mtime)
        for old in kept[:-_MOST]:
            old.unlink(missing_ok=True)
    finally:
        temporary.unlink(missing_ok=True)
