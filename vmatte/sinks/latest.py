"""The newest frame as a JPEG, for readers of any speed."""

import contextlib
import threading
import time
from collections.abc import Iterator

import cv2

from vmatte.frames import Frame
from vmatte.sinks.screen import to_bgr

_QUALITY = 90
"""Of the JPEGs, in libjpeg's terms."""


_RECENT = 5.0
"""Seconds for which a single picture counts as somebody watching."""


class Latest:
    """The newest frame, encoded when the first reader asks for it."""

    def __init__(self) -> None:
        """Begin with none."""
        self._changed = threading.Condition()
        self._encoding = threading.Lock()
        self._frame: Frame | None = None
        self._number = 0
        self._ended = False
        self._streams = 0
        self._asked = -_RECENT
        self._jpeg = (0, b"")

    def put(self, frame: Frame) -> None:
        """Replace the frame."""
        with self._changed:
            self._frame, self._number = frame, self._number + 1
            self._changed.notify_all()

    def end(self) -> None:
        """Wake everybody: there will be no more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @contextlib.contextmanager
    def streaming(self) -> Iterator[None]:
        """Count a client of the stream."""
        with self._changed:
            self._streams += 1
        try:
            yield
        finally:
            with self._changed:
                self._streams -= 1
                self._asked = time.monotonic()

    def watched(self) -> bool:
        """Whether a client is there, or was a moment ago."""
        with self._changed:
            return bool(self._streams) or time.monotonic() - self._asked < _RECENT

    def after(self, number: int, patience: float | None = None) -> tuple[int, bytes] | None:
        """Return (number, JPEG) of the first frame newer than ``number``; None at the end."""
        with self._changed:
            self._asked = time.monotonic()
            self._changed.wait_for(lambda: self._number > number or self._ended, patience)
            if self._number <= number or self._ended or self._frame is None:
                return None
        with self._encoding:
            with self._changed:
                newest, frame = self._number, self._frame
            if self._jpeg[0] != newest:
                self._jpeg = (newest, _encode(frame))
            return self._jpeg


def _encode(frame: Frame) -> bytes:
    done, data = cv2.imencode(".jpg", to_bgr(frame), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done
    return bytes(data)
