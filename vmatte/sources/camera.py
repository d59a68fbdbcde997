"""Cameras through OpenCV."""

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vmatte.colour import BT601, FULL, LIMITED, Colour
from vmatte.devices import Camera, describe_cameras, list_cameras
from vmatte.errors import InputError, InputNotFoundError, SourceLostError
from vmatte.frames import Frame, StreamInfo, from_array, new_picture, plane_views
from vmatte.pixels import FORMATS, PixelFormat, Plane
from vmatte.sources.capture import Capture, open_capture
from vmatte.sources.filters import check_size
from vmatte.sources.held import Held
from vmatte.sources.options import LiveInput

WARM_UP = 5.0
"""Seconds that a camera may take until its first picture."""
_SLICE = 0.1
"""Seconds of one wait for a picture."""
_GAP = 1.0
"""Seconds without a picture after which a new segment begins."""
_TICKS = 1_000_000

Opener = Callable[[int | str, LiveInput], Capture | None]


class CameraSource:
    """One connection to a camera. See open_live and FrameSource.

    ``negotiated`` says in words what was agreed on with it. Where OpenCV can only be asked to read
    (all but Video4Linux), a driver that hangs makes a read hang as long as OpenCV allows.
    """

    def __init__(
        self,
        name: str,
        options: LiveInput | None = None,
        *,
        opener: Opener = open_capture,
        cameras: Callable[[], list[Camera]] = list_cameras,
    ) -> None:
        """Open ``camera:N``, ``camera:/dev/videoN`` or ``camera:NAME``, and read a picture.

        opener, cameras: what opens and lists them. Raises InputError and its subclasses.
        """
        self.name, self.skipped = name, 0
        self._options = options = options or LiveInput()
        target = _target(name, cameras)
        self._path = Path(target) if isinstance(target, str) else Path(f"/dev/video{target}")
        # Only where it was there is its absence a loss.
        self._is_file = self._path.exists()
        capture = opener(target, options)
        if capture is None:
            raise _missing(name, target, cameras())
        self._capture = capture
        self._held = Held(capture.release)
        self._zero = time.monotonic()
        try:
            first = self._next(max(WARM_UP, options.timeout))
            if first is None:
                raise InputError(f"{name}: was closed before its first picture")
            self._first = first
            self._describe(first[0])
        except SourceLostError as e:
            self._held.close()
            raise InputError(
                f"{name}: opens, but gives no picture; is it used by another program? "
                "Close that, or choose another camera (vmatte devices)"
            ) from e
        except BaseException:
            self._held.close()
            raise

    def _describe(self, picture: Plane) -> None:
        height, width = picture.shape[:2]
        check_size(self.name, width, height)
        capture, options = self._capture, self._options
        fps = capture.rate
        rate = Fraction(fps).limit_denominator(1001) if 1 <= fps <= 1000 else None
        words = [f"{width}x{height}"]
        words += [f"at {float(rate):g} frames a second"] if rate else []
        words += [capture.pixel_format] if capture.pixel_format else []
        self.negotiated = " ".join(words) + f" over {capture.backend}"
        notes = [f"camera: {self.negotiated}"]
        asked: list[tuple[str, Any, Any]] = [
            ("size", options.size, (width, height)),
            ("rate", options.rate, rate),
            ("pixel format", options.pixel_format, capture.pixel_format),
        ]
        for what, wanted, got in asked:
            if wanted is not None and got is not None and wanted != got:
                shown = "x".join(map(str, wanted)) if isinstance(wanted, tuple) else wanted
                notes.append(f"the camera does not give the {what} that was asked for, {shown}")
        format, colour = _kind(picture)
        self.info = StreamInfo(
            width=width,
            height=height,
            format=format,
            colour=colour,
            time_base=Fraction(1, _TICKS),
            rate=rate,
            live=True,
            notes=tuple(notes),
        )

    def _next(self, patience: float) -> tuple[Plane, float] | None:
        """Return the next picture and when it came; None where the source was closed."""
        begun = time.monotonic()
        while True:
            with self._held.used() as there:
                if not there:
                    return None
                try:
                    picture = self._capture.read() if self._capture.wait(_SLICE) else None
                except Exception as e:  # OpenCV's own, and what drivers raise through it
                    raise self._lost(f"failed ({e})") from e
            now = time.monotonic()
            if picture is not None and picture.size:
                return self._usable(picture), now
            if self._is_file and not self._path.exists():
                raise self._lost("was unplugged")
            if now - begun > patience:
                raise self._lost(f"gave no picture for {now - begun:.1f} s")
            self._held.closed.wait(0.01)

    def _usable(self, picture: Plane) -> Plane:
        if picture.dtype != np.uint8 or not (picture.ndim == 2 or picture.shape[2] == 3):
            raise InputError(
                f"{self.name}: gives pictures of {picture.shape} {picture.dtype}, expected 8-bit "
                "BGR or gray; ask it for another pixel format, such as MJPG"
            )
        return picture

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, see FrameSource and open_live."""
        segment, last, given = 0, -1, None
        found: tuple[Plane, float] | None = self._first
        while found is not None:
            picture, when = found
            if given is None:
                self._zero = given = when
            shape = (picture.shape[1], picture.shape[0])
            if (shape, _kind(picture)[0]) != (self.info.size, self.info.format):
                self._describe(picture)
                segment += 1
            elif when - given > _GAP:
                segment += 1
            given = when
            last = max(last + 1, int((when - self._zero) * _TICKS))
            yield _frame(picture, last, self.info, segment)
            found = self._next(self._options.timeout)

    def close(self) -> None:
        """Let go of the camera; from any thread, and while it is read, too."""
        self._held.close()

    def _lost(self, fact: str) -> SourceLostError:
        seconds = time.monotonic() - self._zero
        return SourceLostError(f"{self.name}: {fact}, {seconds:.1f} s after it was opened")


def _kind(picture: Plane) -> tuple[PixelFormat, Colour]:
    """Return what a frame of ``picture`` is made as.

    Cameras send YUV or JPEG with half the chroma, of which OpenCV makes BGR. As YUV a frame costs
    three quarters of the time, and is what a virtual camera takes.
    """
    if picture.ndim == 2:
        return FORMATS["gray"], Colour(range=FULL)
    if picture.shape[0] % 2 or picture.shape[1] % 2:
        return FORMATS["bgr24"], Colour(range=FULL)
    return FORMATS["yuv420p"], Colour(matrix=BT601, range=LIMITED)


def _frame(picture: Plane, pts: int, info: StreamInfo, segment: int) -> Frame:
    if info.format.name != "yuv420p":
        return from_array(
            picture, info.format.name, pts=pts, time_base=info.time_base, segment=segment
        )
    # Four times as fast as swscale, which also rounds down.
    packed = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).ravel()
    made = new_picture(info.width, info.height, "yuv420p")
    start = 0
    for plane in plane_views(made):
        plane[...] = packed[start : start + plane.size].reshape(plane.shape)
        start += plane.size
    return Frame(made, pts, info.time_base, info.colour, segment)


def _target(name: str, cameras: Callable[[], list[Camera]]) -> int | str:
    """Return the number or path that a name stands for."""
    wanted = name.removeprefix("camera:").strip()
    if not wanted:
        return 0
    if wanted.isdecimal():
        return int(wanted)
    if wanted.startswith("/"):
        return wanted
    there = cameras()
    fitting = [c for c in there if wanted.casefold() in c.name.casefold() and not c.virtual]
    exact = [c for c in fitting if c.name.casefold() == wanted.casefold()]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0].path or (exact or fitting)[0].index
    if not fitting:
        raise InputNotFoundError(f"{name}: no camera is named so; {describe_cameras(there)}")
    names = ", ".join(f"camera:{c.index} ({c.name})" for c in exact or fitting)
    raise InputError(f"{name}: several cameras are named so: {names}; give one's number")


def _missing(name: str, target: int | str, there: list[Camera]) -> InputError:
    mine = [c for c in there if target in (c.index, c.path)]
    if mine and "permission" in mine[0].problem:
        return InputError(
            f"{name}: may not be opened; run 'sudo usermod -aG video $USER' and log in again"
        )
    if mine:
        return InputError(
            f"{name}: is there, but cannot be opened; is it used by another program? "
            "Close that, or choose another camera (vmatte devices)"
        )
    return InputNotFoundError(f"{name}: no such camera; {describe_cameras(there)}")
