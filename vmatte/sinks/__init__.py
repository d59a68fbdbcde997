"""Sinks: one seam, one file each."""

import sys
from pathlib import Path

from vmatte.sinks.base import Sink
from vmatte.sinks.codecs import Encoding
from vmatte.sinks.file import FileSink
from vmatte.sinks.images import SUFFIXES, ImagesSink
from vmatte.sinks.null import NullSink
from vmatte.sinks.stream import StreamSink

__all__ = ["Encoding", "FileSink", "ImagesSink", "NullSink", "Sink", "StreamSink", "open_sink"]


def open_sink(
    name: str,
    encoding: Encoding | None = None,
    *,
    overwrite: bool = False,
    still: bool = False,
    sound: bool = True,
) -> Sink:
    """Return the sink that ``name`` names.

    A video file, a pattern of images (frames/%06d.png), an image, ``-`` (YUV4MPEG2 on standard
    output), or ``null:``. still: the source is one image, so .webp and .gif are images too.
    """
    if name == "null:":
        return NullSink()
    if name == "-":
        return StreamSink(sys.stdout.buffer)
    suffix = Path(name).suffix.lower()
    if suffix in SUFFIXES and ("%" in Path(name).name or suffix != ".webp" or still):
        return ImagesSink(name, overwrite=overwrite)
    return FileSink(name, encoding, overwrite=overwrite, sound=sound)
