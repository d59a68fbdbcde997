"""Cameras and virtual cameras of this machine, with what they can do.

On Linux by Video4Linux's own calls (linux/videodev2.h), elsewhere by what OpenCV can open.
"""

import errno
import os
import re
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

LOOPBACK = "v4l2 loopback"
"""The driver's name of v4l2loopback."""

_CAPTURE, _OUTPUT, _HAS_DEVICE_CAPS = 0x1 | 0x1000, 0x2 | 0x2000, 0x80000000
_BUFFER_TYPES = 1, 9  # video capture: single-planar, multi-planar

Ioctl = Callable[[int, int, Any], Any]


def _request(direction: int, number: int, size: int) -> int:
    """Return the number of a call, as asm-generic/ioctl.h makes it; direction 2 reads, 3 both."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


QUERYCAP = _request(2, 0, 104)
ENUM_FMT = _request(3, 2, 64)
ENUM_FRAMESIZES = _request(3, 74, 44)
ENUM_FRAMEINTERVALS = _request(3, 75, 52)


@dataclass(frozen=True, slots=True)
class Mode:
    """A way in which a camera sends: a FOURCC, a size, and frames a second, highest first."""

    format: str
    width: int
    height: int
    rates: tuple[Fraction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A device. name: for people. path: to open it. problem: why it could not be asked."""

    name: str
    path: str
    index: int
    driver: str = ""
    virtual: bool = False
    modes: tuple[Mode, ...] = ()
    problem: str = ""


def list_cameras(folder: Path = Path("/dev"), ioctl: Ioctl | None = None) -> list[Camera]:
    """Return what cameras there are, virtual ones included, in the order of their numbers.

    On Windows and macOS each is opened for a moment, which may light its lamp.
    """
    if not sys.platform.startswith("linux"):
        return list(_probed())
    if ioctl is None:
        import fcntl

        ioctl = fcntl.ioctl
    found = []
    for path in folder.glob("video*"):
        number = re.fullmatch(r"video(\d+)", path.name)
        if number and (camera := _ask(path, int(number[1]), ioctl)) is not None:
            found.append(camera)
    return sorted(found, key=lambda c: c.index)


def _ask(path: Path, index: int, ioctl: Ioctl) -> Camera | None:
    camera = Camera(name=path.name, path=str(path), index=index)
    try:
        # Without blocking: a device in use, or one that hangs, must not hang us.
        device = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError as e:
        if e.errno in (errno.EACCES, errno.EPERM):
            return replace(camera, problem="may not be opened: no permission")
        if e.errno == errno.EBUSY:
            return replace(camera, problem="is used by another program")
        return None  # a node that is left of what was unplugged
    try:
        data = bytearray(104)
        ioctl(device, QUERYCAP, data)
        driver, name, _, _, all_caps, own_caps = struct.unpack_from("<16s32s32sIII", data)
        driver, name = _text(driver), _text(name)
        caps = own_caps if all_caps & _HAS_DEVICE_CAPS else all_caps
        virtual = driver == LOOPBACK
        # A camera has a second node for metadata; a loopback that nobody feeds has no capture.
        if not caps & (_CAPTURE | (_OUTPUT if virtual else 0)):
            return None
        modes = tuple(_modes(device, ioctl))
        return replace(camera, name=name, driver=driver, virtual=virtual, modes=modes)
    except OSError as e:
        return replace(camera, problem=f"does not answer as a camera ({os.strerror(e.errno or 0)})")
    finally:
        os.close(device)


def _text(data: bytes) -> str:
    return data.split(b"\0")[0].decode(errors="replace").strip()


def _listed(device: int, ioctl: Ioctl, request: int, *about: int) -> Iterator[bytearray]:
    """Yield each answer to a call that counts: one for index 0, 1, ... until it says EINVAL."""
    for index in range(100):
        size = request >> 16 & 0x3FFF
        data = bytearray(struct.pack(f"<{1 + len(about)}I", index, *about).ljust(size, b"\0"))
        try:
            ioctl(device, request, data)
        except OSError as e:
            if e.errno in (errno.EINVAL, errno.ENOTTY, errno.ENODATA):
                return
            raise
        yield data


def _modes(device: int, ioctl: Ioctl) -> Iterator[Mode]:
    for kind in _BUFFER_TYPES:
        for data in _listed(device, ioctl, ENUM_FMT, kind):
            (pixels,) = struct.unpack_from("<I", data, 44)
            code = struct.pack("<I", pixels & 0x7FFFFFFF).decode("latin-1").strip()
            for width, height in _sizes(device, ioctl, pixels):
                rates = tuple(_rates(device, ioctl, pixels, width, height))
                yield Mode(code, width, height, rates)


def _sizes(device: int, ioctl: Ioctl, pixels: int) -> Iterator[tuple[int, int]]:
    for data in _listed(device, ioctl, ENUM_FRAMESIZES, pixels):
        kind, *numbers = struct.unpack_from("<7I", data, 8)
        if kind == 1:
            yield numbers[0], numbers[1]
        else:  # any size up to a largest one
            yield numbers[1], numbers[4]
            return


def _rates(device: int, ioctl: Ioctl, pixels: int, width: int, height: int) -> Iterator[Fraction]:
    for data in _listed(device, ioctl, ENUM_FRAMEINTERVALS, pixels, width, height):
        kind, numerator, denominator = struct.unpack_from("<3I", data, 16)
        if numerator:
            yield Fraction(denominator, numerator)
        if kind != 1:  # any interval from a shortest one
            return


def _probed() -> Iterator[Camera]:
    from vmatte.sources.capture import open_capture

    missed = 0
    for index in range(10):
        capture = open_capture(index, None)
        if capture is None:
            missed += 1
            if missed == 2:
                return
            continue
        try:
            size = capture.size
            modes = (Mode("", *size),) if all(size) else ()
            yield Camera(name=f"camera {index}", path="", index=index, modes=modes)
        finally:
            capture.release()


def describe_cameras(cameras: list[Camera]) -> str:
    """Return the cameras that can be named, in a few words, for an error's text."""
    real = [c for c in cameras if not c.virtual]
    if not real:
        return "no camera was found on this machine; plug one in, or look at 'vmatte doctor'"
    return "there are " + ", ".join(f"camera:{c.index} ({c.name})" for c in real)


def elsewhere() -> list[str]:
    """Return the virtual cameras that are registered on Windows, or macOS has a program for."""
    found: list[str] = []
    if sys.platform == "win32":
        import winreg

        for name, clsid in _CLSIDS.items():
            try:
                winreg.CloseKey(winreg.OpenKey(winreg.HKEY_CLASSES_ROOT, f"CLSID\\{clsid}"))
                found.append(name)
            except OSError:
                continue
    elif sys.platform == "darwin" and Path("/Applications/OBS.app").exists():
        found.append("OBS Virtual Camera")
    return found


_CLSIDS = {
    "OBS Virtual Camera": "{A3FCE0F5-3493-419F-958A-ABA1250EC20B}",
    "Unity Video Capture": "{5C2CD55C-92AD-4999-8666-912BD3E70010}",
}
"""Under which OBS Studio and UnityCapture register their DirectShow filters (64 bits)."""
