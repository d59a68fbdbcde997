"""What doctor says of a live run: cameras, virtual cameras, and a window."""

import sys
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path

from vmatte.cli.finding import Finding
from vmatte.devices import Camera, elsewhere, list_cameras
from vmatte.errors import OutputError
from vmatte.sinks.virtualcam import advice
from vmatte.sinks.window import expect_screen


def examine_live(
    cameras: Callable[[], list[Camera]] = list_cameras,
    *,
    module: Path = Path("/sys/module/v4l2loopback"),
) -> Iterator[Finding]:
    """Look at each link, from the camera to the window. module: there where it is loaded."""
    found = cameras()
    yield from _cameras([c for c in found if not c.virtual])
    yield from _virtual([c for c in found if c.virtual], module)
    yield from _window()


def _cameras(cameras: list[Camera]) -> Iterator[Finding]:
    if not cameras:
        yield Finding("camera", "note", "none found", _no_camera())
    for camera in cameras:
        what = f"camera:{camera.index}"
        if not camera.problem:
            largest = max(camera.modes, key=lambda m: m.width * m.height, default=None)
            size = f", up to {largest.width}x{largest.height}" if largest else ""
            yield Finding(what, "ok", camera.name + size)
        elif "permission" in camera.problem:
            yield Finding(
                what,
                "note",
                f"{camera.path} {camera.problem}",
                "sudo usermod -aG video $USER, then log out and in again",
            )
        else:
            yield Finding(
                what, "note", f"{camera.name} {camera.problem}", "close what uses it, or replug it"
            )


def _no_camera() -> str:
    if sys.platform.startswith("linux"):
        return "plug one in; if it is not seen then: sudo modprobe uvcvideo, and look at dmesg"
    if sys.platform == "darwin":
        return "plug one in; allow cameras for your terminal in System Settings, Privacy"
    return "plug one in; allow desktop apps to use the camera in Settings, Privacy"


def _virtual(devices: list[Camera], module: Path) -> Iterator[Finding]:
    if util.find_spec("pyvirtualcam") is None:
        yield Finding(
            "pyvirtualcam",
            "note",
            "not installed; outputs to virtualcam: need it",
            "pip install 'vmatte[virtualcam]'",
        )
    else:
        yield Finding("pyvirtualcam", "ok", "installed")
    names = [f"{c.path} ({c.name})" for c in devices] or elsewhere()
    if not names:
        loaded = module.exists() and sys.platform.startswith("linux")
        fact = "v4l2loopback is loaded, but has no device" if loaded else "none found"
        hint = (
            "sudo modprobe -r v4l2loopback && "
            "sudo modprobe v4l2loopback exclusive_caps=1 card_label=vmatte"
        )
        yield Finding("virtual camera", "note", fact, hint if loaded else advice())
        return
    if shut := [c for c in devices if "permission" in c.problem]:
        yield Finding(
            "virtual camera",
            "note",
            f"{shut[0].path} {shut[0].problem}",
            "sudo usermod -aG video $USER, then log out and in again",
        )
        return
    yield Finding("virtual camera", "ok", ", ".join(names))


def _window() -> Iterator[Finding]:
    try:
        import cv2

        framework = cv2.currentUIFramework()
    except Exception:  # a headless build raises an error of its own
        framework = ""
    if not framework:
        yield Finding(
            "window",
            "note",
            "this OpenCV shows no windows (preview and window: need them)",
            "pip uninstall opencv-python-headless; pip install --force-reinstall opencv-python",
        )
        return
    try:
        expect_screen("window")
    except OutputError as e:
        fact, _, hint = str(e).removeprefix("window: ").partition("; ")
        yield Finding("window", "note", fact, hint)
        return
    yield Finding("window", "ok", f"OpenCV with {framework}")
