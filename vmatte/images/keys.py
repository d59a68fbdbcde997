"""By what a result is known in the cache: the hash of all that it depends on."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import vmatte
from vmatte.images.cut import ImageOptions, read_bytes
from vmatte.images.files import Target
from vmatte.registry import ModelRecord

_VERSION = 2
"""Changes when the same picture and options give another result than before."""


def basis(record: ModelRecord, options: ImageOptions) -> str:
    """Return all that a result depends on, less the picture. Raises InputError."""
    given = asdict(options)
    given["matter"].pop("accept_licence")
    background = Path(options.background)
    if os.path.isfile(background):  # noqa: PTH113 - a colour's name may be no path at all
        given["background"] = _hash(read_bytes(background))
    elif os.path.isdir(background):  # noqa: PTH112 - as above
        listed = sorted((p.name, p.stat()) for p in background.iterdir())
        given["background"] = [(name, s.st_size, s.st_mtime_ns) for name, s in listed]
    for name in ("scribbles", "trimap", "plate"):
        if (path := given["steer"][name]) is not None:
            given["steer"][name] = _hash(read_bytes(path))
    return json.dumps(
        [_VERSION, vmatte.__version__, record.sha256, dict(record.params), given],
        sort_keys=True,
        default=str,
    )


def keys_of(data: bytes, targets: Sequence[Target], basis: str) -> tuple[str, ...]:
    """Return the key of each target's result for a picture, given as its file's bytes."""
    picture = _hash(data)
    return tuple(_hash(f"{picture} {t.kind} {t.format} {basis}".encode()) for t in targets)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
