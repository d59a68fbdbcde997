"""The virtual camera: pyvirtualcam's own Camera, with backends of the tests' own."""

import builtins
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvirtualcam
from media import rgb_picture
from virtual import Failing, OnFile, Recording, Refusing
from writing import frames_of, info_of

from vmatte.colour import LIMITED, Colour
from vmatte.errors import OutputError, WriteError
from vmatte.frames import Frame, from_array
from vmatte.sinks import virtualcam
from vmatte.sinks.virtualcam import VirtualCameraSink, advice, opened_by_others

BT601 = Colour(matrix=6, primaries=6, transfer=6, range=LIMITED)


@pytest.fixture(autouse=True)
def backends(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in {
        "recording": Recording,
        "refusing": Refusing,
        "failing": Failing,
        "onfile": OnFile,
    }.items():
        monkeypatch.setitem(pyvirtualcam.camera.BACKENDS, name, kind)
    monkeypatch.setattr(Recording, "made", [])


def _rgb(sent: "np.ndarray[Any, np.dtype[np.uint8]]", size: tuple[int, int]) -> Any:
    """Return what a program that takes the device's YUV for BT.601 shows."""
    frame = from_array(np.zeros((size[1], size[0], 3), np.uint8), "rgb24")
    frame = frame.convert("yuv420p", colour=BT601)
    w, h = size
    cut = np.split(sent, [w * h, w * h * 5 // 4])
    for plane, part in zip(frame.planes, cut, strict=True):
        plane[...] = part.reshape(plane.shape)
    return frame.rgb(size).astype(int)


@pytest.mark.parametrize(
    "native", ["yuv420p", "yuv422p", "yuv420p10le", "gray", "rgb24", "bgr24", "gbrp"]
)
def test_what_is_sent_looks_like_the_frame(native: str) -> None:
    info = info_of(native)
    sink = VirtualCameraSink("recording")
    sink.open(info)
    for frame in frames_of(info):
        sink.write(frame)
    sink.close()
    (camera,) = Recording.made
    assert (camera.size, camera.fps, camera.fourcc) == (info.size, 30.0, "I420")
    assert len(camera.frames) == len([*frames_of(info)]) and camera.closed == 1
    for sent, frame in zip(camera.frames, frames_of(info), strict=True):
        assert np.abs(_rgb(sent, info.size) - frame.rgb(info.size)).mean() < 4


@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
@pytest.mark.parametrize("range", [1, 2])
def test_colours_are_those_of_the_frame(matrix: int, range: int) -> None:
    colour = Colour(matrix=matrix, primaries=1, transfer=1, range=range)
    info = replace(info_of("yuv420p"), colour=colour)
    rgb = np.full((64, 96, 3), (0, 177, 64), np.uint8)
    sink = VirtualCameraSink("recording")
    sink.open(info)
    sink.write(from_array(rgb, "rgb24").convert("yuv420p", colour=colour))
    sink.close()
    (sent,) = Recording.made[0].frames
    # Three conversions round; another matrix would be off by more than 15.
    assert np.abs(_rgb(sent, info.size) - rgb).max() <= 6


def test_a_busy_picture_keeps_its_brightness() -> None:
    """Rounding must not make it darker."""
    colour = Colour(matrix=1, primaries=1, transfer=1, range=LIMITED)
    info = replace(info_of("yuv420p"), colour=colour)
    noise = np.random.default_rng(4).integers(60, 190, (*info.size[::-1], 3), dtype=np.uint8)
    frame = from_array(noise, "rgb24").convert("yuv420p", colour=colour)
    # Chroma the same all over: what a pixel should become does not depend on how it is enlarged.
    frame.planes[1][...], frame.planes[2][...] = 90, 160
    sink = VirtualCameraSink("recording")
    sink.open(info)
    sink.write(frame)
    sink.close()
    (sent,) = Recording.made[0].frames
    w, h = info.size
    luma = sent[: w * h].reshape(h, w).astype(float)
    # (Y, Cb, Cr) by way of RGB, ITU-T H.273.
    before, after = colour.rgb_to_yuv(8), BT601.rgb_to_yuv(8)
    codes = np.stack(np.broadcast_arrays(frame.planes[0], 90, 160), -1) - before[:, 3]
    exact = codes @ np.linalg.inv(before[:, :3]).T @ after[0, :3] + after[0, 3]
    assert np.abs(luma - exact).max() <= 0.51


def test_planes_that_fit_are_sent_as_they_are() -> None:
    picture = from_array(rgb_picture(3), "rgb24").convert("yuv420p", colour=BT601)
    sink = VirtualCameraSink("recording")
    sink.open(info_of("yuv420p"))
    sink.write(picture)
    sink.close()
    (sent,) = Recording.made[0].frames
    assert np.array_equal(sent, np.concatenate([p.ravel() for p in picture.planes]))


def test_odd_sizes_and_changes_of_size() -> None:
    info = info_of("yuv420p", (95, 63))
    sink = VirtualCameraSink("recording")
    sink.open(info)
    assert sink.notes == ["scaled to 94x62: sides must be even"]
    sink.write(next(frames_of(info)))
    sink.write(next(frames_of(info_of("yuv420p", (200, 120)))))
    sink.close()
    assert [f.size for f in Recording.made[0].frames] == [94 * 62 * 3 // 2] * 2


@pytest.mark.parametrize(
    ("name", "wanted"), [("", None), ("/dev/video10", "/dev/video10"), ("RECORDING", None)]
)
def test_devices_and_backends_by_name(
    name: str, wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {"recording": Recording})
    sink = VirtualCameraSink(name)
    sink.open(info_of("yuv420p"))
    assert Recording.made[0].device() == (wanted or "recording") == sink.device
    sink.close()
    assert sink.name == (f"virtualcam:{name}" if name else "virtualcam")


def test_a_device_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Windows")
    with pytest.raises(OutputError, match=r"video10 does not exist.*Install OBS Studio"):
        VirtualCameraSink("refusing").open(info_of("yuv420p"))


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *more: Any) -> Any:
        if name == "pyvirtualcam":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(OutputError, match=r"pip install 'vmatte\[virtualcam\]'"):
        VirtualCameraSink().open(info_of("yuv420p"))


def test_a_device_that_fails_in_mid_stream() -> None:
    sink = VirtualCameraSink("failing")
    sink.open(info_of("yuv420p"))
    first, second, third, *_ = frames_of(info_of("yuv420p"))
    sink.write(first)
    sink.write(second)
    with pytest.raises(WriteError, match=r"takes no more frames \(No such device\)"):
        sink.write(third)
    sink.abort()
    assert Recording.made[0].closed == 1


def test_a_device_that_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The v4l2loopback backend only prints when its device has gone."""
    monkeypatch.setattr(virtualcam, "_CHECK", 0.0)
    OnFile.path = tmp_path / "video10"
    OnFile.path.write_bytes(b"")
    sink = VirtualCameraSink("onfile")
    sink.open(info_of("yuv420p"))
    frame: Frame = next(frames_of(info_of("yuv420p")))
    sink.write(frame)
    OnFile.path.rename(tmp_path / "old")
    OnFile.path.write_bytes(b"")  # Another device of the same name.
    with pytest.raises(WriteError, match="removed"):
        sink.write(frame)
    sink.abort()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_who_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtualcam, "_LOOK", 0.0)
    monkeypatch.setattr(virtualcam, "_owner", lambda process: -1)
    OnFile.path = tmp_path / "video10"
    OnFile.path.write_bytes(b"")
    sink = VirtualCameraSink("onfile")
    assert sink.watched() is None
    sink.open(info_of("yuv420p"))
    with OnFile.path.open():  # Our own does not count.
        assert sink.watched() is False
    reading = "import sys, time; f = open(sys.argv[1]); print(flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", reading, str(OnFile.path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert sink.watched() is True
        process.kill()
    assert sink.watched() is False
    sink.close()
    assert sink.watched() is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_looking_is_cheap_and_rare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(virtualcam, "opened_by_others", lambda d: looks.append(d) or False)
    OnFile.path = tmp_path / "video10"
    OnFile.path.write_bytes(b"")
    sink = VirtualCameraSink("onfile")
    sink.open(info_of("yuv420p"))
    for _ in range(100):
        sink.watched()
    sink.close()
    assert len(looks) == 1
    begin = time.process_time()
    opened_by_others(str(OnFile.path))
    assert time.process_time() - begin < 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_nobody_is_said_to_watch_only_where_all_can_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Browsers hide their files from others of the same user."""

    def hidden(path: Path) -> Any:
        raise PermissionError

    monkeypatch.setattr(virtualcam, "_target", hidden)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert opened_by_others(str(tmp_path)) is False
    monkeypatch.setattr(virtualcam, "_owner", lambda process: 4711)
    assert opened_by_others(str(tmp_path)) is None


LOAD = "&& sudo modprobe v4l2loopback exclusive_caps=1 card_label=vmatte"


@pytest.mark.parametrize(
    ("system", "release", "words"),
    [
        ("Linux", "ID=debian\n", f"sudo apt-get install v4l2loopback-dkms {LOAD}"),
        ("Linux", 'ID=ubuntu\nID_LIKE="debian"', f"sudo apt-get install v4l2loopback-dkms {LOAD}"),
        ("Linux", 'ID=linuxmint\nID_LIKE="ubuntu debian"', "apt-get install v4l2loopback-dkms"),
        ("Linux", "ID=fedora", "sudo dnf install v4l2loopback"),
        ("Linux", "ID=manjaro\nID_LIKE=arch", f"sudo pacman -S v4l2loopback-dkms {LOAD}"),
        ("Linux", 'ID="opensuse-leap"', "sudo zypper install"),
        ("Linux", "", f"as your distribution names it {LOAD}"),
        ("Windows", None, "Install OBS Studio, start its virtual camera once"),
        ("Darwin", None, "allow its extension in System Settings"),
    ],
)
def test_advice(system: str, release: str | None, words: str) -> None:
    assert words in advice(system, release)
