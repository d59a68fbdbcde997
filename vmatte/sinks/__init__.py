"""Sinks: one seam, one file each."""

import sys
from pathlib import Path

from vmatte.errors import UnsupportedOutputError
from vmatte.sinks.base import Sink
from vmatte.sinks.codecs import Encoding
from vmatte.sinks.file import FileSink
from vmatte.sinks.images import SUFFIXES, ImagesSink
from vmatte.sinks.null import NullSink
from vmatte.sinks.stream import StreamSink

LIVE = ("virtualcam:", "mjpeg:", "window:")
"""Beginnings of the names of sinks that show frames as they come, for live runs."""

__all__ = ["Encoding", "FileSink", "ImagesSink", "NullSink", "Sink", "StreamSink", "open_sink"]


def open_sink(
    name: str,
    encoding: Encoding | None = None,
    *,
    overwrite: bool = False,
    still: bool = False,
    sound: bool = True,
    live: bool = False,
) -> Sink:
    """Return the sink that ``name`` names.

    A video file, a pattern of images (frames/%06d.png), an image, ``-`` (YUV4MPEG2 on standard
    output), or ``null:``; and where the run is ``live``, ``virtualcam:[DEVICE]``,
    ``mjpeg:[HOST:]PORT`` or ``window:[TITLE]``. still: the source is one image, so .webp and .gif
    are images too. Raises OutputError, OptionError.
    """
    if name.startswith(LIVE):
        if not live:
            raise UnsupportedOutputError(
                f"{name} shows pictures as they come, and this run goes at its own pace; "
                f"use: vmatte live INPUT -o {name}"
            )
        return _live_sink(name)
    if name == "null:":
        return NullSink()
    if name == "-":
        return StreamSink(sys.stdout.buffer)
    suffix = Path(name).suffix.lower()
    if suffix in SUFFIXES and ("%" in Path(name).name or suffix != ".webp" or still):
        if live and "%" not in Path(name).name:
            stem = Path(name).with_suffix("")
            raise UnsupportedOutputError(
                f"{name} is one picture, and a live run has many; use {stem}.mp4, or images such "
                f"as {stem}-%06d{suffix}"
            )
        return ImagesSink(name, overwrite=overwrite)
    return FileSink(name, encoding, overwrite=overwrite, sound=sound)


def _live_sink(name: str) -> Sink:
    kind, _, target = name.partition(":")
    if kind == "virtualcam":
        from vmatte.sinks.virtualcam import VirtualCameraSink

        return VirtualCameraSink(target)
    if kind == "mjpeg":
        from vmatte.sinks.mjpeg import MjpegSink

        return MjpegSink(target)
    from vmatte.sinks.window import WindowSink

    return WindowSink(target)
