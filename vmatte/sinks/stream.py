"""Frames on a byte stream, for another program to read."""

import contextlib
from dataclasses import replace
from fractions import Fraction
from typing import Any, BinaryIO

import av
from av.container import OutputContainer

from vmatte.errors import UnsupportedOutputError, writing
from vmatte.frames import Frame, StreamInfo
from vmatte.sinks.choice import choose_format
from vmatte.sinks.codecs import WITH_ALPHA, Codec, Encoding
from vmatte.sinks.file import describe, encoded_colour, fit

_CODEC = Codec(
    encoder="wrapped_avframe",
    containers=(),
    delivery=False,
    formats=(
        *("yuv420p", "yuv422p", "yuv444p", "yuv411p", "gray"),
        *(f"yuv{s}p{d}le" for s in ("420", "422", "444") for d in (9, 10, 12, 14, 16)),
        *("gray10le", "gray12le", "gray16le"),
    ),
)


class StreamSink:
    """YUV4MPEG2 on a byte stream, for another program to read. See Sink."""

    name, recording = "standard output", True

    def __init__(self, file: BinaryIO) -> None:
        """Write to ``file``, which stays open."""
        self._file = file
        self.notes: list[str] = []
        self._output: OutputContainer | None = None

    def open(self, info: StreamInfo) -> None:
        """Write the header."""
        if info.format.alpha:
            raise UnsupportedOutputError(
                f"{self.name}: YUV4MPEG2 has no transparency; use {WITH_ALPHA}"
            )
        format = choose_format(self.name, _CODEC, Encoding(), info)
        if info.colour.hdr:
            self.notes.append("YUV4MPEG2 does not say that the picture is HDR")
        self.notes.append(f"constant frame rate, {info.rate or 25} frames per second")
        with writing(self.name):
            self._output = av.open(
                # Not strict: more than 8 bits are an extension that FFmpeg and x264 read.
                self._file,
                "w",
                format="yuv4mpegpipe",
                options={"strict": "-1"},
            )
            rate = info.rate or Fraction(25)
            self._stream: Any = self._output.add_stream("wrapped_avframe", rate=rate)
            self._target = encoded_colour(info, format, _CODEC)
            describe(self._stream, format, replace(info, time_base=1 / rate), self._target)
        self._count = 0

    def write(self, frame: Frame) -> None:
        """Write one frame. The format has no timestamps: its rate is constant."""
        assert self._output is not None
        with writing(self.name):
            picture = fit(frame, self._stream, self._target)
            picture.pts, picture.time_base = self._count, self._stream.codec_context.time_base
            self._count += 1
            self._output.mux(self._stream.encode(picture))

    def close(self, *, early: bool = False) -> None:
        """Flush."""
        if self._output is None:
            return
        output, self._output = self._output, None
        with writing(self.name):
            output.mux(self._stream.encode(None))
            output.close()
            self._file.flush()

    def abort(self) -> None:
        """Stop; what the reader got already cannot be taken back."""
        with contextlib.suppress(Exception):
            self.close()
