"""A sink that keeps nothing, for timing and for tests."""

from vmatte.frames import Frame, StreamInfo


class NullSink:
    """Counts frames. See Sink."""

    name = "null:"

    def __init__(self) -> None:
        """Begin at zero."""
        self.notes: list[str] = []
        self.count = 0

    def open(self, info: StreamInfo) -> None:
        """Do nothing."""

    def write(self, frame: Frame) -> None:
        """Count."""
        self.count += 1

    def close(self, *, early: bool = False) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing."""
