"""An open camera of OpenCV's: the little that is needed of it, and how it is opened."""

import sys
from typing import Protocol

import cv2

from vmatte.errors import OptionError
from vmatte.pixels import Plane
from vmatte.sources.options import LiveInput

BACKENDS = {
    "v4l2": "CAP_V4L2",
    "gstreamer": "CAP_GSTREAMER",
    "dshow": "CAP_DSHOW",
    "msmf": "CAP_MSMF",
    "avfoundation": "CAP_AVFOUNDATION",
    "any": "CAP_ANY",
}
"""Names of OpenCV's ways to a camera."""
_USUAL = {"linux": "v4l2", "win32": "dshow", "darwin": "avfoundation"}


class Capture(Protocol):
    """What is needed of an open camera; OpenCapture over OpenCV, or a fake."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) that was negotiated."""
        ...

    @property
    def rate(self) -> float:
        """Frames a second that were negotiated; 0 where it is not known."""
        ...

    @property
    def pixel_format(self) -> str:
        """FOURCC that was negotiated; empty where it is not known."""
        ...

    @property
    def backend(self) -> str:
        """How it was opened."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait until there is a picture; True also where that cannot be told before reading."""
        ...

    def read(self) -> Plane | None:
        """Return the next picture, None where there is none."""
        ...

    def release(self) -> None:
        """Close it."""
        ...


class OpenCapture:
    """A camera that OpenCV has opened. See Capture."""

    def __init__(self, capture: "cv2.VideoCapture") -> None:
        """Wrap an open one."""
        self._capture = capture
        self.backend = str(capture.getBackendName())

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        get = self._capture.get
        return round(get(cv2.CAP_PROP_FRAME_WIDTH)), round(get(cv2.CAP_PROP_FRAME_HEIGHT))

    @property
    def rate(self) -> float:
        """Frames a second."""
        return float(self._capture.get(cv2.CAP_PROP_FPS))

    @property
    def pixel_format(self) -> str:
        """FOURCC."""
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        text = (code & 0xFFFFFFFF).to_bytes(4, "little").decode("latin-1")
        return text.strip() if text.strip().isprintable() and code > 0 else ""

    def wait(self, seconds: float) -> bool:
        """See Capture; only Video4Linux can tell."""
        if self.backend != "V4L2":
            return True
        return bool(cv2.VideoCapture.waitAny([self._capture], int(seconds * 1e9))[0])

    def read(self) -> Plane | None:
        """See Capture."""
        there, picture = self._capture.read()
        return picture if there else None

    def release(self) -> None:
        """Close it."""
        self._capture.release()


def open_capture(target: int | str, options: LiveInput | None) -> OpenCapture | None:
    """Open a camera by number or path with OpenCV; None where OpenCV cannot.

    Raises OptionError where the backend does not exist here.
    """
    options = options or LiveInput()
    backend = (options.backend or _USUAL.get(sys.platform, "any")).lower()
    if backend not in BACKENDS:
        raise OptionError(f"backend {backend!r} is not among {', '.join(BACKENDS)}")
    code = getattr(cv2, BACKENDS[backend])
    here = cv2.videoio_registry.getCameraBackends()
    if code != cv2.CAP_ANY and code not in here:
        names = ", ".join(n for n, c in BACKENDS.items() if getattr(cv2, c) in here)
        raise OptionError(f"this OpenCV has no backend {backend!r}, only {names or 'none'}")
    level = cv2.utils.logging.getLogLevel()
    # OpenCV prints a warning for every camera that it cannot open; we say it better.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(target, code)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        capture.release()
        return None
    # The pixel format first: what sizes and rates there are depends on it.
    if options.pixel_format is not None:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*options.pixel_format))
    if options.size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, options.size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, options.size[1])
    if options.rate is not None:
        capture.set(cv2.CAP_PROP_FPS, float(options.rate))
    # A picture that waits in a queue is late.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return OpenCapture(capture)
