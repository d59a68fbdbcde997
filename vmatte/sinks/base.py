"""The seam of sinks."""

from typing import Protocol

from vmatte.frames import Frame, StreamInfo


class Sink(Protocol):
    """Where frames go. Used from one thread: open, write ..., then close or abort.

    A sink may have more, which live runs look at: ``recording``, true where frames are kept, so
    that late ones are still wanted and times begin at zero; ``watched()``, whether anybody looks,
    None where it cannot tell; ``ended()``, whether the user has ended it, such as by closing a
    window; ``prepare(frame)``, which returns what is quickly written, so that a live run can see
    last whether a frame is still new enough.
    """

    @property
    def name(self) -> str:
        """How messages call this sink."""
        ...

    def open(self, info: StreamInfo) -> None:
        """Prepare for frames such as ``info`` describes. Raises OutputError."""
        ...

    def write(self, frame: Frame) -> None:
        """Take one frame. Raises OutputError."""
        ...

    def close(self, *, early: bool = False) -> None:
        """Finish: everything written is whole and in its place. Raises OutputError.

        early: the source had more frames, so what goes with the picture ends with it.
        """
        ...

    def abort(self) -> None:
        """Give up: leave nothing half-written. Never raises; harmless after close."""
        ...
