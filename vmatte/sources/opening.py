"""Opens whatever a name names, to be read once from its start to its end."""

import os
import sys
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, cast

from vmatte.errors import InputError, OptionError, mask, reading
from vmatte.sources.base import FrameSource
from vmatte.sources.connect import connect
from vmatte.sources.file import FileSource
from vmatte.sources.images import ImagesSource, find_images
from vmatte.sources.options import LiveInput
from vmatte.sources.recording import RecordedSource
from vmatte.sources.synthetic import SyntheticSource, parse_synthetic


def open_source(
    name: str,
    *,
    start: float | None = None,
    end: float | None = None,
    rate: Fraction | None = None,
    salvage: bool = False,
) -> FrameSource:
    """Open whatever ``name`` names.

    A media file, a picture, a folder or pattern of images, ``-`` (YUV4MPEG2 on standard input), a
    live input (see open_live; all its frames, until it is lost or ``end``) or
    ``synthetic:[WxH][@RATE][+marker]``, which then ends after 60 frames. start, end: seconds.
    rate: of images, frames per second. salvage: use what is left of a damaged file. Raises
    InputError and its subclasses.
    """
    if start is not None and end is not None and end <= start:
        raise OptionError(f"the end, {end} s, must lie after the start, {start} s")
    if not name:
        raise InputError("the input's name is empty; give a file, a folder of images, or -")
    with reading(name):
        is_images = "://" not in name and (
            Path(name).is_dir() or (("*" in name or "%" in name) and not Path(name).exists())
        )
        if rate is not None and not is_images:
            raise OptionError(
                f"--rate is of folders and patterns of images, but the input is {mask(name)}"
            )
        if is_images:
            if start is not None or end is not None:
                raise OptionError(
                    "--start and --end cut files, not images: name fewer images instead"
                )
            return ImagesSource(find_images(name), name=name, rate=rate or Fraction(25))
    if name.startswith("synthetic:"):
        return SyntheticSource(**parse_synthetic(name))
    live = connect(name, LiveInput(timeout=10.0))
    if live is not None:
        if start is not None:
            live.close()
            raise OptionError(f"--start cuts files, but {mask(name)} is live and begins now")
        return RecordedSource(live, end=end)
    if name == "-":
        return _piped(start, end, salvage)
    return FileSource(name, start=start, end=end, salvage=salvage)


def _piped(start: float | None, end: float | None, salvage: bool) -> FileSource:
    try:
        return FileSource(
            cast(BinaryIO, StandardInput()),
            name="standard input",
            format="yuv4mpegpipe",
            start=start,
            end=end,
            salvage=salvage,
        )
    except InputError as e:
        if type(e) is not InputError:
            raise
        raise InputError(
            "standard input: nothing came that is YUV4MPEG2, as `ffmpeg -i CLIP -f yuv4mpegpipe -` "
            f"writes it; look whether the program before the pipe failed ({e})"
        ) from e


class StandardInput:
    """Standard input for FFmpeg: a read that is interrupted ends it, one that hangs holds no lock.

    sys.stdin.buffer would: Python dies at exit where another thread still waits in it, and FFmpeg
    reads on after a KeyboardInterrupt.
    """

    def __init__(self) -> None:
        """Find the file behind sys.stdin, where there is one."""
        try:
            self._file: int | None = sys.stdin.fileno()
        except (AttributeError, OSError):
            self._file = None
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        if self._ended:
            return b""
        if self._file is None:
            return sys.stdin.buffer.read(size)
        try:
            return os.read(self._file, size)
        except KeyboardInterrupt:
            # PyAV would print it and go on; whoever caught the signal knows of it.
            self._ended = True
            return b""
