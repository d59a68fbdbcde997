"""Reads a whole source."""

from pathlib import Path

from vmatte.frames import Frame
from vmatte.sources import FileSource, open_source


def read(path: Path | str, **options: object) -> tuple[FileSource, list[Frame]]:
    """All frames, and the closed source."""
    source = open_source(str(path), **options)  # type: ignore[arg-type]
    try:
        return source, list(source)  # type: ignore[return-value]
    finally:
        source.close()
