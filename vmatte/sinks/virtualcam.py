"""A virtual camera that meeting programs list: v4l2loopback, OBS or UnityCapture."""

import contextlib
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vmatte.colour import BT601, LIMITED, Colour
from vmatte.errors import OutputError, UnsupportedOutputError, WriteError
from vmatte.frames import Frame, Pictures, StreamInfo, from_array, plane_views
from vmatte.pixels import Plane
from vmatte.sinks.screen import to_bgr

_LOOK = 2.0
"""Seconds between two looks at who else has the device open: it reads a link per open file."""


_CHECK = 1.0
"""Seconds between two looks whether the device is still there."""


class VirtualCameraSink:
    """Frames for a virtual camera, through pyvirtualcam (GPL-2.0, an extra). See Sink.

    It sends I420 in BT.601 and limited range, which is what programs that read a camera take YUV
    for, and what libyuv makes of RGB. Frames of another size are scaled to that of ``open``: the
    camera stays open while its source changes.
    """

    def __init__(self, device: str = "") -> None:
        """Use ``device``: /dev/video10, a backend such as obs, a camera's name; '' for any."""
        self.name = f"virtualcam:{device}" if device else "virtualcam"
        self.notes: list[str] = []
        self.device: str | None = None
        self._wanted = device
        self._camera: Any = None
        self._pictures = Pictures()

    def open(self, info: StreamInfo) -> None:
        """Take the device. Raises OutputError that says what to install, and how."""
        if info.format.alpha:
            raise UnsupportedOutputError(
                f"{self.name}: a virtual camera has no transparency; give another --background"
            )
        try:
            import pyvirtualcam
        except ImportError as e:
            raise OutputError(
                f"{self.name}: needs the package pyvirtualcam: "
                f"pip install 'vmatte[virtualcam]' ({e})"
            ) from e
        self._size = (max(2, info.width & ~1), max(2, info.height & ~1))
        if self._size != info.size:
            self.notes.append(f"scaled to {self._size[0]}x{self._size[1]}: sides must be even")
        width, height = self._size
        self._packed = np.empty(width * height * 3 // 2, np.uint8)
        luma, *chroma = np.split(self._packed, (width * height, width * height * 5 // 4))
        self._parts = [
            luma.reshape(height, width),
            *(part.reshape(height // 2, width // 2) for part in chroma),
        ]
        device: str | None = self._wanted or None
        backend: str | None = None
        if self._wanted.lower() in pyvirtualcam.camera.BACKENDS:
            device, backend = None, self._wanted.lower()
        try:
            self._camera = pyvirtualcam.Camera(
                *self._size,
                float(info.rate or 30),
                fmt=pyvirtualcam.PixelFormat.I420,
                device=device,
                backend=backend,
            )
        except Exception as e:  # backends raise what they like
            said = str(e).rstrip(".")
            raise OutputError(f"{self.name}: cannot be used: {said}. {advice()}") from e
        self.device = str(self._camera.device)
        self._node = _identity(self.device)
        self._checked = time.monotonic()
        self._looked: float | None = None
        self._seen: bool | None = None

    def prepare(self, frame: Frame) -> Frame:
        """Return ``frame`` in the camera's size, format and colours: itself where it fits."""
        if frame.colour.hdr:
            frame = from_array(to_bgr(frame, self._size), "bgr24")
        known = frame.colour.resolved(frame.width, frame.height, rgb=frame.format.rgb)
        # 6 is NTSC's BT.601, the same numbers.
        matrix = known.matrix if known.matrix == 6 else BT601
        colour = replace(known, range=LIMITED, matrix=matrix)
        if (frame.format.name, frame.width, frame.height) != ("yuv420p", *self._size):
            return frame.convert("yuv420p", self._size, colour)
        if known == colour:
            return frame
        picture = self._pictures.take(*self._size, "yuv420p")
        _recode(frame.planes, known, colour, plane_views(picture))
        return replace(frame, picture=picture, colour=colour)

    def write(self, frame: Frame) -> None:
        """Send one frame. Raises WriteError where the device has gone."""
        try:
            self._expect_device()
            for part, plane in zip(self._parts, self.prepare(frame).planes, strict=True):
                part[...] = plane
            self._camera.send(self._packed)
        except Exception as e:
            raise WriteError(
                f"{self.name}: {self.device} takes no more frames ({e}); was its driver or "
                "program closed? start it, then run again"
            ) from e

    def _expect_device(self) -> None:
        """Raise OSError where the device has gone: the v4l2loopback backend itself only prints."""
        now = time.monotonic()
        if self._node is not None and now - self._checked >= _CHECK:
            self._checked = now
            assert self.device is not None
            if _identity(self.device) != self._node:
                raise OSError("the device has been removed")

    def watched(self) -> bool | None:
        """Whether another program has the device open; None where that cannot be told.

        Looks every two seconds at most. On Linux only, and only while every process of this user
        can be looked into: browsers hide theirs.
        """
        if self._camera is None or self._node is None:
            return None
        now = time.monotonic()
        if self._looked is None or now - self._looked >= _LOOK:
            self._looked = now
            assert self.device is not None
            self._seen = opened_by_others(self.device)
        return self._seen

    def close(self, *, early: bool = False) -> None:
        """Give the device back."""
        if self._camera is not None:
            camera, self._camera = self._camera, None
            camera.close()

    def abort(self) -> None:
        """Give the device back."""
        with contextlib.suppress(Exception):
            self.close()


def _recode(planes: Sequence[Plane], known: Colour, wanted: Colour, out: Sequence[Plane]) -> None:
    """Bring planes of yuv420p from one matrix and range to another.

    A third of swscale's time, which also makes pictures 1.5 levels too dark here.
    """
    before, after = known.rgb_to_yuv(8).astype(float), wanted.rgb_to_yuv(8).astype(float)
    matrix = after[:, :3] @ np.linalg.inv(before[:, :3])
    offset = after[:, 3] - matrix @ before[:, 3]
    luma, blue, red = planes
    for row in (1, 2):
        cv2.addWeighted(blue, matrix[row, 1], red, matrix[row, 2], offset[row], dst=out[row])
    # What chroma adds to luma is small: 128 below and above hold it.
    added = cv2.addWeighted(blue, matrix[0, 1], red, matrix[0, 2], offset[0] + 128)
    added = cv2.resize(added, luma.shape[::-1], interpolation=cv2.INTER_LINEAR)
    cv2.addWeighted(luma, matrix[0, 0], added, 1, -128, dst=out[0])


def _identity(device: str) -> tuple[int, int] | None:
    """Return what tells this device from another of its name; None where it is no file."""
    try:
        found = Path(device).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def opened_by_others(device: str) -> bool | None:
    """Whether a process other than this one has ``device`` open; None where some cannot be read.

    Needs Linux's /proc.
    """
    processes = Path("/proc")
    if not (processes / "self" / "fd").is_dir():
        return None
    mine, user, hidden = str(os.getpid()), os.getuid(), False
    for process in processes.iterdir():
        if not process.name.isdigit() or process.name == mine:
            continue
        try:
            if any(_target(link) == device for link in (process / "fd").iterdir()):
                return True
        except PermissionError:
            # Programs of other users, a display manager say, do not read this user's camera.
            hidden = hidden or _owner(process) == user
        except OSError:
            pass  # It has ended meanwhile.
    return None if hidden else False


def _target(link: Path) -> str | None:
    try:
        return os.readlink(link)  # noqa: PTH115  a Path for each would take twice as long
    except FileNotFoundError:
        return None  # It has been closed meanwhile.


def _owner(process: Path) -> int | None:
    """Return the user whose process it is; its folder belongs to root where it hides itself."""
    try:
        for line in (process / "status").read_text().splitlines():
            if line.startswith("Uid:"):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None


_LOAD = "sudo modprobe v4l2loopback exclusive_caps=1 card_label=vmatte"


_INSTALL = {
    "debian": "sudo apt-get install v4l2loopback-dkms",
    "fedora": "sudo dnf install v4l2loopback  (from RPM Fusion)",
    "arch": "sudo pacman -S v4l2loopback-dkms",
    "suse": "sudo zypper install v4l2loopback-kmp-default",
}


def advice(system: str | None = None, release: str | None = None) -> str:
    """Return what to do on this system to have a virtual camera.

    system: as platform.system() tells it. release: the text of /etc/os-release.
    """
    system = system or platform.system()
    if system == "Windows":
        return (
            "Install OBS Studio, start its virtual camera once (Start Virtual Camera), stop it, "
            "and run again"
        )
    if system == "Darwin":
        return (
            "Install OBS Studio, start its virtual camera once (Start Virtual Camera), allow its "
            "extension in System Settings, stop it, and run again"
        )
    if release is None:
        try:
            release = Path("/etc/os-release").read_text()
        except OSError:
            release = ""
    said = dict(line.split("=", 1) for line in release.splitlines() if "=" in line)
    kin = f"{said.get('ID', '')} {said.get('ID_LIKE', '')}".replace('"', "").split()
    kin = ["debian" if k == "ubuntu" else "suse" if "suse" in k else k for k in kin]
    install = next((_INSTALL[k] for k in kin if k in _INSTALL), None)
    first = install or "install v4l2loopback, as your distribution names it"
    return f"Install and load the driver, once: {first} && {_LOAD}"
