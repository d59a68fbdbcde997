"""Folders and patterns of images, as a video."""

import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from vmatte.errors import InputError, InputNotFoundError, UnsupportedMediaError
from vmatte.frames import Frame
from vmatte.sources.file import FileSource

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".exr", ".dpx", ".tga"}
"""What counts as an image in a folder."""


class ImagesSource:
    """Images in natural order, at a constant rate. See FrameSource."""

    def __init__(self, files: list[Path], *, name: str, rate: Fraction = Fraction(25)) -> None:
        """Open the first of ``files``; ``rate`` in frames per second. Raises InputError."""
        self.name = name
        self.skipped = 0
        self._files = files
        self._closed = False
        first = FileSource(str(files[0]))
        first.close()
        self.info = replace(
            first.info,
            time_base=1 / rate,
            rate=rate,
            frames=len(files),
            still=False,
            duration=float(len(files) / rate),
            container=None,
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield the images, see FrameSource; all must have the first one's size."""
        for pts, path in enumerate(self._files):
            if self._closed:
                return
            source = FileSource(str(path))
            try:
                frame = next(iter(source))
            finally:
                source.close()
            if (frame.width, frame.height) != self.info.size:
                raise UnsupportedMediaError(
                    f"{path}: is {frame.width}x{frame.height}, the images before it are "
                    f"{self.info.width}x{self.info.height}; give images of one size"
                )
            if (frame.format, frame.colour) != (self.info.format, self.info.colour):
                frame = frame.convert(self.info.format.name, colour=self.info.colour)
            yield replace(frame, pts=pts, time_base=self.info.time_base)

    def skip(self, seconds: float) -> None:
        """Leave out what is shown before ``seconds``, which become 0; before iterating."""
        assert self.info.rate is not None
        self._files = self._files[round(seconds * self.info.rate) :]

    def close(self) -> None:
        """Stop."""
        self._closed = True


def natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key by which ``2.png`` comes before ``10.png``."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p.casefold()) for p in parts]


def find_images(name: str) -> list[Path]:
    """Return the images of a folder, or of a pattern with ``*`` or ``%0Nd``, in natural order.

    Raises InputError where there are none.
    """
    path = Path(name)
    if path.is_dir():
        files = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
        if not files:
            raise InputError(
                f"{name}: a folder without images; expected {', '.join(sorted(SUFFIXES))}"
            )
    else:
        fitting, folder = names_of(path.name), path.parent
        there = folder.iterdir() if folder.is_dir() else ()
        files = [p for p in there if fitting.fullmatch(p.name)]
        if not files:
            raise InputNotFoundError(f"{name}: no file fits this pattern; check it")
    return sorted(files, key=natural)


def names_of(pattern: str) -> re.Pattern[str]:
    """Return what fits the names that ``pattern`` stands for, see find_images."""
    return re.compile(re.sub(r"%0?\d*d", r"\\d+", re.escape(pattern)).replace(r"\*", ".*"))
