"""One output of a run: what it shows, and where that goes."""

from vmatte.composite import Compositor
from vmatte.frames import StreamInfo
from vmatte.sinks import Sink


class Output:
    """A compositor and the sink that its frames go to."""

    def __init__(self, compositor: Compositor, sink: Sink) -> None:
        """Join the two; ``open`` prepares them."""
        self.compositor = compositor
        self.sink = sink

    def open(self, info: StreamInfo) -> None:
        """Prepare for frames of a source. Raises InputError, OutputError, leaving nothing."""
        try:
            self.sink.open(self.compositor.open(info))
        except BaseException:
            self.abort()
            raise

    def close(self, *, early: bool = False) -> None:
        """Finish the sink; ``early``: the source had more frames. Raises OutputError."""
        self.compositor.close()
        self.sink.close(early=early)

    def abort(self) -> None:
        """Leave nothing half-written."""
        self.compositor.close()
        self.sink.abort()
