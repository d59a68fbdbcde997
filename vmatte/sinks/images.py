"""Numbered images, or a single one."""

import contextlib
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import av

from vmatte.colour import FULL
from vmatte.errors import OutputExistsError, UnsupportedOutputError, WriteError, writing
from vmatte.frames import Frame, StreamInfo
from vmatte.sinks.file import commit, temporary_for
from vmatte.sources.images import names_of

SUFFIXES = {
    ".png": "png",
    ".webp": "libwebp",
    ".jpg": "mjpeg",
    ".jpeg": "mjpeg",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".bmp": "bmp",
}
"""Suffix: FFmpeg's encoder."""

_OPTIONS = {
    "libwebp": {"quality": "90"},
    "png": {"compression_level": "3"},
    # FFmpeg's best for JPEG; -qscale is its command line's word, no option of the encoder.
    "mjpeg": {"qmin": "2", "qmax": "2"},
}

_NUMBER = re.compile(r"%0?(\d*)d")


class ImagesSink:
    """Images named by a pattern such as ``frames/%06d.png``, from 0 on; or one image. See Sink.

    A sequence is written to a temporary folder and moved into place when whole.
    """

    recording = True

    def __init__(self, path: str, *, overwrite: bool = False) -> None:
        """Write to ``path``, a pattern or a single name."""
        self.name = path
        self.notes: list[str] = []
        self._path = Path(path)
        self._overwrite = overwrite
        self._sequence = _NUMBER.search(self._path.name) is not None
        self._folder: Path | None = None
        self._single: Path | None = None
        self._made: list[Path] = []

    def open(self, info: StreamInfo) -> None:
        """Choose the pixel format and see that the files can be written."""
        suffix = self._path.suffix.lower()
        if suffix not in SUFFIXES:
            raise UnsupportedOutputError(
                f"{self.name}: vmatte cannot write {suffix or 'images without a suffix'}; "
                f"expected one of {', '.join(SUFFIXES)}"
            )
        if info.format.alpha and suffix in (".jpg", ".jpeg", ".bmp"):
            raise UnsupportedOutputError(f"{self.name}: {suffix} has no transparency; use .png")
        self._encoder = SUFFIXES[suffix]
        self._format = _format(self._encoder, info)
        self._info = info
        self._count = 0
        if not self._sequence:
            self._single = temporary_for(self._path, self._overwrite)
            return
        parent = self._path.parent
        with writing(self.name):
            self._made = [p for p in (parent, *parent.parents) if not p.exists()]
            parent.mkdir(parents=True, exist_ok=True)
            fitting = names_of(self._path.name)
            if not self._overwrite and any(fitting.fullmatch(p.name) for p in parent.iterdir()):
                raise OutputExistsError(
                    f"{self.name}: such images exist already; use --overwrite, or another folder"
                )
            self._folder = Path(tempfile.mkdtemp(".part", ".vmatte-", parent))

    def write(self, frame: Frame) -> None:
        """Write one image."""
        if self._single is not None and self._count:
            raise WriteError(
                f"{self.name}: is one image, but the input has more frames; "
                f"use a pattern such as {self._path.stem}-%06d{self._path.suffix}"
            )
        path = self._single
        if self._folder is not None:
            path = self._folder / _numbered(self._path.name, self._count)
        assert path is not None
        with writing(self.name):
            path.write_bytes(encode_image(frame, self._encoder, self._format))
        self._count += 1

    def close(self, *, early: bool = False) -> None:
        """Move the images into place."""
        with writing(self.name):
            if self._single is not None:
                commit(self._single, self._path, self._overwrite)
                self._single = None
            if self._folder is not None:
                for image in sorted(self._folder.iterdir()):
                    image.replace(self._path.parent / image.name)
                self._folder.rmdir()
                self._folder = None

    def abort(self) -> None:
        """Remove what was written."""
        if self._single is not None:
            self._single.unlink(missing_ok=True)
            self._single = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        # Innermost first; one that somebody else has filled meanwhile stays.
        with contextlib.suppress(OSError):
            for folder in self._made:
                folder.rmdir()


def _numbered(name: str, count: int) -> str:
    return _NUMBER.sub(lambda match: f"{count:0{int(match[1] or 0)}d}", name, count=1)


def _format(encoder: str, info: StreamInfo) -> str:
    deep, alpha, gray = info.format.depth > 8, info.format.alpha, info.format.gray
    if encoder == "mjpeg":
        return "yuvj444p"
    if encoder == "bmp":
        return "bgr24"
    if encoder == "libwebp":
        return "bgra"
    if gray:
        return "gray16be" if deep and encoder == "png" else "gray16le" if deep else "gray"
    kind = "rgba64" if alpha else "rgb48"
    if deep:
        return kind + ("be" if encoder == "png" else "le")
    return "rgba" if alpha else "rgb24"


def encode_image(frame: Frame, encoder: str, format: str) -> bytes:
    """Return ``frame`` as the bytes of an image file."""
    colour = frame.colour
    if format.startswith("yuvj"):
        colour = replace(
            colour.resolved(frame.width, frame.height, rgb=False), matrix=6, range=FULL
        )
        frame = frame.convert(format, colour=colour)
    else:
        # Images have full range, gray ones too.
        frame = frame.convert(format, colour=replace(colour, range=FULL))
    context: Any = av.CodecContext.create(encoder, "w")
    context.width, context.height = frame.width, frame.height
    context.pix_fmt = format
    context.time_base = frame.time_base
    context.options = _OPTIONS.get(encoder, {})
    picture = frame.picture
    picture.pts = 0
    return b"".join(bytes(p) for p in [*context.encode(picture), *context.encode(None)])
