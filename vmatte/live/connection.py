"""One try at a live source: opens it, brings its frames, closes it, all in one thread."""

import contextlib
import threading
import traceback
from collections.abc import Callable
from typing import Protocol

from vmatte.frames import Frame, StreamInfo
from vmatte.sources import FrameSource


class Receiver(Protocol):
    """What is told of a connection, from its thread."""

    def opened(self, connection: "Connection", info: StreamInfo) -> bool:
        """The source is open; return whether it is wanted."""
        ...

    def arrived(self, connection: "Connection", frame: Frame, info: StreamInfo) -> bool:
        """Take a frame; return whether more are wanted."""
        ...

    def ended(self, connection: "Connection", error: BaseException | None) -> None:
        """Take note that no more comes."""
        ...


class Connection:
    """A source and the thread that reads it. ``frames``, ``last`` and more are the receiver's."""

    def __init__(self, open: Callable[[], FrameSource], receiver: Receiver, now: float) -> None:
        """Prepare; ``thread`` is to be started."""
        self.is_open = self.is_over = self.stalled = False
        self.frames, self.last = 0, now
        self.failure: BaseException | None = None
        self.source: FrameSource | None = None
        self._open, self._receiver = open, receiver
        # A daemon: a read that never comes back must not keep the process alive.
        self.thread = threading.Thread(target=self._run, name="vmatte-feed", daemon=True)

    @property
    def stands(self) -> bool:
        """Whether the source was told to pause, as a played file can be."""
        return bool(getattr(self.source, "paused", False))

    def _run(self) -> None:
        source: FrameSource | None = None
        error: BaseException | None = None
        try:
            source = self._open()
            self.source = source
            if self._receiver.opened(self, source.info):
                for frame in source:
                    if not self._receiver.arrived(self, frame, source.info):
                        break
        except BaseException as e:
            error = e
        finally:
            self.source = None
            if source is not None:
                with contextlib.suppress(Exception):
                    source.close()
            self._receiver.ended(self, error)
            # An error knows the calls that it came through, and these may know it: rings that
            # would keep the source's pictures until Python looks for rings.
            if error is not None:
                traceback.clear_frames(error.__traceback__)
            error = source = None
