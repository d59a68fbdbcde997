"""A live source as a recording takes it."""

from collections.abc import Iterator
from dataclasses import replace

from vmatte.errors import SourceLostError
from vmatte.frames import Frame, StreamInfo
from vmatte.sources.base import FrameSource


class RecordedSource:
    """Every frame of a live source, until ``end`` or its loss. See FrameSource.

    Frames are brought to the first one's size and format, which a file cannot change. What was
    recorded until a source is lost is kept: that ends it, with a note.
    """

    def __init__(self, source: FrameSource, *, end: float | None = None) -> None:
        """Record ``source``. end: seconds from the first frame."""
        self._source, self._end = source, end
        self.info: StreamInfo = source.info

    @property
    def skipped(self) -> int:
        """Damaged frames left out so far."""
        return self._source.skipped

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, see FrameSource."""
        info, begun = self.info, False
        try:
            for frame in self._source:
                if self._end is not None and frame.time >= self._end:
                    return
                begun = True
                if (frame.width, frame.height) != info.size or frame.format != info.format:
                    frame = frame.convert(info.format.name, size=info.size, colour=info.colour)
                yield frame
        except SourceLostError as e:
            if not begun:
                raise
            self.info = replace(info, notes=(*self._source.info.notes, f"the source was lost: {e}"))

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()
