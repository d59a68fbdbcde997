"""Live sources that a test plays by hand, and waiting for what they lead to."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from vmatte.colour import LIMITED, Colour
from vmatte.frames import Frame, StreamInfo, from_array
from vmatte.pixels import FORMATS

SIZE = (64, 48)
BT709 = Colour(matrix=1, primaries=1, transfer=1, range=LIMITED)


def info(size: tuple[int, int] = SIZE, rate: int = 100) -> StreamInfo:
    return StreamInfo(
        width=size[0],
        height=size[1],
        format=FORMATS["yuv420p"],
        colour=BT709,
        time_base=Fraction(1, rate),
        rate=Fraction(rate),
        live=True,
    )


def picture(level: int, size: tuple[int, int] = SIZE, segment: int = 0, pts: int = 0) -> Frame:
    """A gray picture."""
    rgb = np.full((size[1], size[0], 3), level, np.uint8)
    frame = from_array(rgb, "rgb24", pts=pts, time_base=Fraction(1, 100), segment=segment)
    return frame.convert("yuv420p", colour=BT709)


def level(frame: Frame) -> int:
    """The gray of a picture's middle, as in ``picture``."""
    rgb = frame.rgb((frame.width, frame.height))
    return round(float(rgb[frame.height // 2, frame.width // 2].mean()))


class Plug:
    """A source that yields what ``send`` is given, raises it, or, where it is a function, calls it.

    See FrameSource.
    """

    def __init__(self, described: StreamInfo | None = None) -> None:
        self.info, self.skipped = described or info(), 0
        self.closed = threading.Event()
        self._items: queue.Queue[Any] = queue.Queue()

    def send(self, *items: Any) -> "Plug":
        for item in items:
            self._items.put(item)
        return self

    def end(self) -> None:
        self._items.put(None)

    def __iter__(self) -> Iterator[Frame]:
        while True:
            item = self._items.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            if callable(item):
                item()
            else:
                yield item

    def close(self) -> None:
        self.closed.set()


class Room:
    """Frames at a rate, for ever: a room of bright noise that no output may ever show.

    A subject of mid gray stands in the middle third. ``silent``: the read hangs. ``error``: the
    next read raises it. See FrameSource.
    """

    def __init__(self, size: tuple[int, int] = (96, 64), rate: float = 60) -> None:
        self.info, self.skipped = info(size, round(rate)), 0
        self.silent = threading.Event()
        self.error: BaseException | None = None
        self.closed = threading.Event()
        self._size, self._period = size, 1 / rate
        self.marked = marked(size)

    def __iter__(self) -> Iterator[Frame]:
        pts = 0
        while not self.closed.is_set():
            while self.silent.is_set() and not self.closed.is_set():
                time.sleep(0.01)
            if self.error is not None:
                error, self.error = self.error, None
                raise error
            time.sleep(self._period)
            yield replace(self.marked, pts=pts)
            pts += 1

    def close(self) -> None:
        self.closed.set()


def marked(size: tuple[int, int]) -> Frame:
    """Magenta and yellow checks, gray in the middle third."""
    w, h = size
    x, y = np.meshgrid(np.arange(w), np.arange(h))
    checks = ((x // 8 + y // 8) % 2)[:, :, None]
    rgb = np.where(checks, (255, 0, 255), (255, 255, 0)).astype(np.uint8)
    rgb[:, w // 3 : w - w // 3] = 128
    frame = from_array(rgb, "rgb24")
    return frame.convert("yuv420p", colour=BT709)


def subject(rgb: Any) -> Any:
    """Alpha of the middle third, seen from its gray: 1 where the picture has no colour."""
    spread = rgb.max(2).astype(np.int16) - rgb.min(2)
    alpha = (spread < 40).astype(np.float32)
    # A working pixel at the border is a mixture; the matte must not reach beyond the subject.
    return cv2.erode(alpha, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)


def shows_room(frame: Frame) -> bool:
    """Whether the room's colours are anywhere in a frame."""
    rgb = frame.rgb((frame.width, frame.height)).astype(np.int16)
    checks = (rgb[:, :, 0] > 180) & (np.abs(rgb[:, :, 1] - rgb[:, :, 2]) > 120)
    return bool(checks.mean() > 0.002)


def until(holds: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait until ``holds``, and return what it returns; fail where it does not in time."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)
    return found
