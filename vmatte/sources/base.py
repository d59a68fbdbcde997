"""The seam of sources."""

from collections.abc import Iterator
from typing import Protocol

from vmatte.frames import Frame, StreamInfo


class FrameSource(Protocol):
    """Where frames come from. Passive: it starts no thread and drops nothing that can be read.

    Iterating twice is an error of the caller. ``close`` may be called at any time, more than once,
    and from another thread between two frames.
    """

    @property
    def info(self) -> StreamInfo:
        """What is known of the stream; valid from construction on."""
        ...

    @property
    def skipped(self) -> int:
        """Damaged frames left out so far."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames in order of presentation. Raises InputError and its subclasses."""
        ...

    def close(self) -> None:
        """Release files and decoders."""
        ...
