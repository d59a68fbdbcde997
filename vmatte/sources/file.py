"""Media files through PyAV: decoding with exact times, upright, in the native pixel format."""

import math
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import av.container
import av.error
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from vmatte.colour import Colour
from vmatte.errors import DamagedMediaError, UnsupportedMediaError, mask, reading
from vmatte.frames import Frame, StreamInfo
from vmatte.sources.filters import DEINTERLACED, Upright, check_size, shape_of

_GAP = 1.0
"""Seconds without a frame after which temporal state is not carried over."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the frames that a file would give: those with ``begin`` <= pts < ``end``.

    Their times stay. seek: dts of the key frame that decoding begins at, None for the file's
    beginning. end: None for all that follow.
    """

    begin: int
    end: int | None = None
    seek: int | None = None


class FileSource:
    """Frames of a media file. See FrameSource.

    Rotation and mirroring are applied, interlaced frames deinterlaced, times kept; with ``start``
    the first frame at or after it becomes the new zero, as with the other streams of the file.
    """

    def __init__(
        self,
        file: str | BinaryIO,
        *,
        name: str | None = None,
        format: str | None = None,
        start: float | None = None,
        end: float | None = None,
        salvage: bool = False,
        window: Window | None = None,
    ) -> None:
        """Open ``file``, a path or a readable, and decode its first frame.

        start, end: seconds from the file's beginning. salvage: end quietly where a damaged file
        ends early, instead of raising. window: of those frames, a part. Raises InputError and its
        subclasses.
        """
        self.name = mask(name or str(file))
        self.skipped = 0
        self._start, self._end = exact(start), exact(end)
        self._salvage, self._window = salvage, window
        with reading(self.name):
            self._container = av.open(file, "r", format=format, metadata_errors="replace")
        try:
            self._stream = pick_video(self.name, self._container)
            self._stream.thread_type = "AUTO"
            self._upright: Upright | None = None
            self._pictures = self._decode()
            with reading(self.name):
                first = next(self._pictures, None)
            if first is None:
                kind = DamagedMediaError if self.skipped else UnsupportedMediaError
                raise kind(
                    f"{self.name}: not one frame could be decoded ({self.skipped} damaged)"
                    + (f" at {start} s or after" if start else "")
                    + "; try to play it, or give another file"
                )
            self._first: av.VideoFrame | None = first
            assert self._stream.time_base is not None
            self._upright = Upright(self.name, first, self._stream.time_base)
            self._last_shape = self._upright.shape
            self._scaler = VideoReformatter()
            self.info = self._describe(first, file if isinstance(file, str) else None)
        except BaseException:
            self.close()
            raise

    def _decode(self) -> Generator[av.VideoFrame]:
        """Yield decoded pictures, before filtering; skip and count the damaged ones."""
        stream, container = self._stream, self._container
        zero = container.start_time or 0
        if self._window is not None:
            if self._window.seek is not None:
                container.seek(self._window.seek, stream=stream)
        elif self._start:
            # A pipe cannot: what comes before the start is then read, and left out later.
            with suppress(av.error.FFmpegError):
                container.seek(zero + int(self._start * av.time_base))
        packets = container.demux(stream)
        seen = 0
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                seen += packet.size > 0
                pictures = packet.decode()
            except av.error.EOFError:
                break
            except (av.error.InvalidDataError, av.error.UnknownError) as e:
                # A generator that has raised is at its end; the container may not be.
                packets = container.demux(stream)
                self.skipped += 1
                if self.skipped > 100 + seen:
                    if self._salvage:
                        return
                    raise DamagedMediaError(
                        f"{self.name}: damaged beyond repair ({e}); "
                        "run again with --salvage to use what is left"
                    ) from e
                continue
            for picture in pictures:
                if picture.is_corrupt:
                    self.skipped += 1
                    continue
                yield picture
        expected = stream.frames
        if "mov" in container.format.name:
            # An edit list may show fewer than are stored.
            expected = min(expected, len(stream.index_entries))
        if self._start is None and self._window is None and seen < expected:
            fact = f"ends early: {seen} of {expected} frames are there"
            if not self._salvage:
                raise DamagedMediaError(
                    f"{self.name}: {fact}; run again with --salvage to use what is left"
                )
            self.info = replace(self.info, notes=(*self.info.notes, fact))

    def _upright_pictures(self) -> Iterator[av.VideoFrame]:
        pictures = self._pictures
        first, self._first = self._first, None
        assert first is not None
        yield from self._filtered(first)
        for picture in pictures:
            yield from self._filtered(picture)
        yield from self._filtered(None)

    def _filtered(self, picture: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        # Kept here: the source may be closed while this generator waits.
        upright = self._upright
        if upright is None:
            return
        if picture is not None:
            shape = shape_of(picture)
            self._changed |= shape != self._last_shape
            self._last_shape = shape
            if shape != upright.shape:
                time = picture.pts, picture.time_base
                picture = self._scaler.reformat(picture, *upright.shape)
                picture.pts, picture.time_base = time
        yield from upright.push(picture)
        if upright.interlaced and not self.info.deinterlaced:
            notes = (*self.info.notes, DEINTERLACED)
            self.info = replace(self.info, deinterlaced=True, notes=notes)

    def _describe(self, picture: av.VideoFrame, path: str | None) -> StreamInfo:
        stream, container = self._stream, self._container
        upright = self._upright
        assert upright is not None
        sar = stream.sample_aspect_ratio
        if upright.rotation % 180 == 90:
            sar = 1 / sar if sar else sar
        notes = [*upright.notes]
        if any(c.is_alpha for c in picture.format.components):
            notes.append("its own transparency is ignored")
        assert stream.time_base is not None
        self._time_base = stream.time_base
        zero = Fraction(container.start_time or 0, av.time_base)
        self._zero = zero
        # A trimmed clip begins at zero: its own offset would only delay the picture.
        shift = zero + self._start if self._start else None
        self.shift = math.ceil(shift / self._time_base) if shift is not None else 0
        duration = container.duration / av.time_base if container.duration else None
        frames = stream.frames or None
        rate = stream.average_rate or stream.guessed_rate
        if duration and (self._start or self._end):
            duration = max(0.0, min(float(self._end or duration), duration) - (self._start or 0))
            frames = None
        if frames is None and duration and rate:
            frames = round(duration * float(rate))
        still = container.format.name.endswith("_pipe") or container.format.name == "image2"
        others = [s for s in container.streams if s is not self._stream and s.type != "data"]
        carried = not still and (others or container.metadata or container.chapters())
        if carried and path and "://" not in path and Path(path).is_fifo():
            carried = False
            notes.append("sound and the like left out: a pipe can be read only once")
        return StreamInfo(
            width=upright.size[0],
            height=upright.size[1],
            format=upright.format,
            colour=Colour.of(picture),
            time_base=self._time_base,
            rate=Fraction(rate) if rate else None,
            sample_aspect_ratio=sar if sar and sar != 1 else None,
            frames=1 if still else frames,
            duration=duration,
            still=still,
            rotation=upright.rotation,
            deinterlaced=upright.interlaced,
            container=path if carried else None,
            start=None if self._start is None else float(self._start),
            end=None if self._end is None else float(self._end),
            notes=tuple(notes),
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, see FrameSource."""
        self._changed = False
        last: int | None = None
        stalled = segment = 0
        gap = _GAP / float(self._time_base)
        with reading(self.name):
            for picture in self._upright_pictures():
                pts = self._pts(picture, last)
                when = pts * self._time_base - self._zero
                if self._start and when < self._start:
                    continue
                if self._end is not None and when >= self._end:
                    return
                pts -= self.shift
                if self._window is not None:
                    if pts < self._window.begin:
                        continue
                    if self._window.end is not None and pts >= self._window.end:
                        return
                if last is not None and pts <= last:
                    # Two pictures cannot be shown at one time: encoders and players reject it.
                    self.skipped += 1
                    stalled += 1
                    if stalled > 50:
                        raise DamagedMediaError(
                            f"{self.name}: its timestamps jump back at {float(when):.3f} s; "
                            "remux it first (ffmpeg -i IN -c copy OUT)"
                        )
                    continue
                stalled = 0
                if self._changed or (last is not None and pts - last > gap):
                    segment += 1
                    self._changed = False
                last = pts
                yield Frame(picture, pts, self._time_base, self.info.colour, segment)

    def _pts(self, picture: av.VideoFrame, last: int | None) -> int:
        pts = picture.pts if picture.pts is not None else picture.dts
        if pts is None:
            step = 1 / (self.info.rate or 25) / self._time_base
            return 0 if last is None else last + self.shift + max(1, round(step))
        # Deinterlacers halve the time base.
        if picture.time_base and picture.time_base != self._time_base:
            return round(pts * picture.time_base / self._time_base)
        return int(pts)

    def close(self) -> None:
        """Close the file."""
        if hasattr(self, "_pictures"):
            self._pictures.close()
        self._first = self._upright = None
        self._container.close()


def exact(seconds: float | None) -> Fraction | None:
    """Return the time that a decimal such as 0.4 means: as a float it is a little more."""
    return None if seconds is None else Fraction(seconds).limit_denominator(10**6)


def pick_video(name: str, container: av.container.InputContainer) -> VideoStream:
    """Return the video stream that is meant. Raises UnsupportedMediaError where there is none."""
    videos = [
        s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic
    ]
    # 'tty' is FFmpeg's reader of text art: it takes any text for a video.
    if not videos or container.format.name == "tty":
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise UnsupportedMediaError(
            f"{name}: holds no video, only {kinds}; give a video or a picture"
        )
    stream = videos[0]
    width, height = stream.codec_context.width, stream.codec_context.height
    if width and height:  # Else decoding tells it.
        check_size(name, width, height)
    return stream
