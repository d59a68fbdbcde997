"""A window on this machine's screen, through OpenCV."""

import contextlib
import ctypes
import ctypes.util
import os
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.errors import OutputError
from vmatte.frames import Frame, StreamInfo
from vmatte.sinks.screen import to_bgr

Canvas = NDArray[np.uint8]
"""[h, w, 3] uint8 BGR."""


_LARGEST = (1280, 720)
"""What a new window may measure: larger pictures are shown smaller until it is enlarged."""


_LEAST = 64
"""Pixels a side below which a window is not drawn to."""


_POLL = 8
"""Milliseconds that one look at the keyboard takes when no key is pressed."""


_REDRAW = 0.25
"""Seconds after which the overlay is drawn anew though no frame has come."""


class Viewer(Protocol):
    """What a window asks while it is shown, all on the thread of ``WindowSink.loop``."""

    def draw(self, canvas: Canvas) -> None:
        """Draw over the canvas: picture and margins."""
        ...

    def key(self, code: int) -> None:
        """Take note of a key, as cv2.waitKeyEx tells it."""
        ...

    def drag(self, x: float, y: float) -> None:
        """Take note of the mouse, held down at (x, y), in shares of the picture, 0..1."""
        ...


class WindowSink:
    """The newest frame in a window. See Sink.

    ``write`` only hands the frame over, from any thread. ``loop`` is for the main thread: macOS
    lets no other draw. It returns when the window is closed, or when the sink is.
    """

    def __init__(self, title: str = "") -> None:
        """Give the window a title; '' is 'vmatte'."""
        self.name = f"window:{title}" if title else "window"
        self.notes: list[str] = []
        self.title = title or "vmatte"
        self._closed_by_user = self._frozen = False
        self._lock = threading.Lock()
        self._newest: Frame | None = None
        self._count = 0
        self._info: StreamInfo | None = None
        self._ended = threading.Event()
        self._full = False
        self._fresh = True
        self._place = (0, 0, 1, 1)

    def open(self, info: StreamInfo) -> None:
        """See that there is a screen. Raises OutputError."""
        expect_screen(self.name)
        self._info = info

    def write(self, frame: Frame) -> None:
        """Hand the frame over."""
        if not self._frozen:
            self.show(frame)

    def show(self, frame: Frame) -> None:
        """Show ``frame``, frozen or not."""
        with self._lock:
            self._newest, self._count = frame, self._count + 1

    def freeze(self, frozen: bool) -> None:
        """Keep what is shown, whatever is written; or no longer."""
        self._frozen = frozen

    def ended(self) -> bool:
        """Whether the user has closed the window."""
        return self._closed_by_user

    def close_by_user(self) -> None:
        """Close it as its own button does."""
        self._closed_by_user = True
        self._ended.set()

    def watched(self) -> bool:
        """Whether the window is open."""
        return not self._ended.is_set()

    def close(self, *, early: bool = False) -> None:
        """Let ``loop`` end."""
        self._ended.set()

    def abort(self) -> None:
        """Let ``loop`` end."""
        self._ended.set()

    def redraw(self) -> None:
        """Have the overlay drawn anew soon."""
        self._fresh = True

    def toggle_full_screen(self) -> None:
        """Fill the screen, or no longer. For the thread of ``loop``."""
        self._full = not self._full
        mode = cv2.WINDOW_FULLSCREEN if self._full else cv2.WINDOW_NORMAL
        cv2.setWindowProperty(self.title, cv2.WND_PROP_FULLSCREEN, mode)

    def loop(self, viewer: Viewer | None = None) -> None:
        """Show what is written until the window or the sink is closed. Raises OutputError.

        The picture keeps its shape in a window of any.
        """
        expect_screen(self.name)
        try:
            self._create(viewer)
            self._run(viewer)
        except cv2.error as e:
            raise OutputError(
                f"{self.name}: this OpenCV shows no windows ({e.err}); install opencv-python, "
                "not opencv-python-headless"
            ) from e
        finally:
            with contextlib.suppress(cv2.error):
                cv2.destroyWindow(self.title)
                # The window goes when events are handled.
                cv2.waitKey(1)

    def _create(self, viewer: Viewer | None) -> None:
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL
        cv2.namedWindow(self.title, flags)
        if viewer is not None:

            def mouse(event: int, x: int, y: int, flags: int, data: object) -> None:
                if flags & cv2.EVENT_FLAG_LBUTTON or event == cv2.EVENT_LBUTTONDOWN:
                    left, top, width, height = self._place
                    viewer.drag((x - left) / width, (y - top) / height)
                    self.redraw()

            cv2.setMouseCallback(self.title, mouse)

    def _run(self, viewer: Viewer | None) -> None:
        drawn, size, at = -1, (0, 0), 0.0
        shape = (0, 0)
        while not self._ended.is_set():
            if shape != self._shape():
                shape = self._shape()
                cv2.resizeWindow(self.title, *fitted(shape, _LARGEST, enlarge=False))
            with self._lock:
                frame, count = self._newest, self._count
            now = time.monotonic()
            area = self._area()
            if area != size or count != drawn or self._fresh or now - at >= _REDRAW:
                drawn, size, at, self._fresh = count, area, now, False
                canvas = self._paint(frame, area)
                if viewer is not None:
                    viewer.draw(canvas)
                cv2.imshow(self.title, canvas)
            code = cv2.waitKeyEx(_POLL)
            if not self._visible():
                self.close_by_user()
                return
            if code != -1 and viewer is not None:
                viewer.key(code)
                self.redraw()

    def _shape(self) -> tuple[int, int]:
        """Return (width, height) of the picture in square pixels."""
        if self._info is None:
            return 640, 360
        shape = self._info.sample_aspect_ratio or 1
        return max(1, round(self._info.width * shape)), self._info.height

    def _area(self) -> tuple[int, int]:
        """Return (width, height) of the window's inside."""
        _, _, width, height = cv2.getWindowImageRect(self.title)
        # Windows that are not on the screen yet, or reduced to an icon, have none.
        if width < _LEAST or height < _LEAST:
            return fitted(self._shape(), _LARGEST, enlarge=False)
        return width, height

    def _visible(self) -> bool:
        try:
            return bool(cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1)
        except cv2.error:
            return False

    def _paint(self, frame: Frame | None, area: tuple[int, int]) -> Canvas:
        canvas: Canvas = np.full((area[1], area[0], 3), 24, np.uint8)
        width, height = fitted(self._shape(), area)
        left, top = (area[0] - width) // 2, (area[1] - height) // 2
        self._place = (left, top, width, height)
        if frame is not None:
            canvas[top : top + height, left : left + width] = to_bgr(frame, (width, height))
        return canvas


def fitted(
    size: tuple[int, int], area: tuple[int, int], *, enlarge: bool = True
) -> tuple[int, int]:
    """Return the largest (width, height) of the shape of ``size`` that fits into ``area``."""
    scale = min(area[0] / size[0], area[1] / size[1])
    if not enlarge:
        scale = min(scale, 1.0)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def expect_screen(name: str) -> None:
    """Raise OutputError where no window can be shown: OpenCV would hang or end the process."""
    if sys.platform in ("win32", "darwin"):
        return
    display = os.environ.get("DISPLAY")
    advice = "run it in a desktop session, or send the picture elsewhere, such as -o mjpeg:8090"
    if not display:
        raise OutputError(f"{name}: there is no screen (DISPLAY is not set); {advice}")
    if not _answers():
        raise OutputError(f"{name}: the screen DISPLAY={display} does not answer; {advice}")
    if _mixed():
        raise OutputError(
            f"{name}: PyAV was imported before OpenCV, which then cannot open a window; "
            "import cv2, or vmatte's own modules, first in your program"
        )
    if (Path(cv2.__file__).parent / "qt/plugins/platforms/libqxcb.so").exists():
        # All that OpenCV's own Qt has, whatever the desktop asks Qt programs for.
        os.environ["QT_QPA_PLATFORM"] = "xcb"
        # It complains of a folder of fonts that it does not need.
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")


def _mixed() -> bool:
    """Whether OpenCV's Qt would use PyAV's libraries, and wait for ever.

    Both wheels bring a copy of the same library under one name, and the first one counts.
    """
    try:
        return "/av.libs/libxcb-shm" in Path("/proc/self/maps").read_text()
    except OSError:
        return False


def _answers() -> bool:
    """Whether the X server takes a connection; yes where there is no library to ask it with."""
    found = ctypes.util.find_library("X11")
    if found is None:
        return True
    x11 = ctypes.CDLL(found)
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    connection = x11.XOpenDisplay(None)
    if connection is None:
        return False
    x11.XCloseDisplay(connection)
    return True
