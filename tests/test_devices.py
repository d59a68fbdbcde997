"""What is asked of Video4Linux. The kernel's side is faked: no machine that tests has a camera."""

import errno
import json
import os
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import pytest
from user import Call, call, user

from vmatte import devices
from vmatte.devices import Mode, describe_cameras, list_cameras

MJPG, YUYV = (struct.unpack("<I", c)[0] for c in (b"MJPG", b"YUYV"))

__all__ = ["call", "user"]


@dataclass
class Node:
    """A device node: sizes by pixel format, intervals of all of them."""

    name: str
    driver: str = "uvcvideo"
    caps: int = 0x1
    formats: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    stepwise: bool = False
    error: int = 0


class Kernel:
    """Answers the calls as linux/videodev2.h lays them out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: dict[str, Node] = {}

    def add(self, number: int, node: Node) -> None:
        (self.folder / f"video{number}").touch()
        self.nodes[f"video{number}"] = node

    def ioctl(self, device: int, request: int, data: bytearray) -> int:
        node = self.nodes[Path(f"/proc/self/fd/{device}").readlink().name]
        if node.error:
            raise OSError(node.error, os.strerror(node.error))
        assert len(data) == request >> 16 & 0x3FFF
        if request == devices.QUERYCAP:
            # All the nodes of one device can capture; this one may not.
            struct.pack_into(
                "<16s32s32sIII", data, 0, node.driver.encode(), node.name.encode(),
                b"usb-0000", 0x60000, 0x80000001, node.caps,
            )  # fmt: skip
            return 0
        index, *about = struct.unpack_from("<4I", data)
        try:
            if request == devices.ENUM_FMT:
                if about[0] != 1:
                    raise IndexError
                struct.pack_into("<I", data, 44, list(node.formats)[index])
            elif request == devices.ENUM_FRAMESIZES:
                width, height = node.formats[about[0]][index]
                if node.stepwise:
                    struct.pack_into("<7I", data, 8, 3, 2, width, 1, 1, height, 1)
                else:
                    struct.pack_into("<3I", data, 8, 1, width, height)
            else:
                assert request == devices.ENUM_FRAMEINTERVALS
                assert (about[1], about[2]) in node.formats[about[0]]
                struct.pack_into("<3I", data, 16, 1, *[(1, 30), (1001, 15000)][index])
        except IndexError:
            raise OSError(errno.EINVAL, "Invalid argument") from None
        return 0


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    folder = tmp_path / "dev"
    folder.mkdir()
    return Kernel(folder)


WEBCAM = Node("HD Webcam", formats={MJPG: [(1920, 1080), (640, 480)], YUYV: [(640, 480)]})


def test_the_numbers_of_the_calls() -> None:
    """As `strace v4l2-ctl --list-formats-ext` shows them."""
    assert devices.QUERYCAP == 0x80685600
    assert devices.ENUM_FMT == 0xC0405602
    assert devices.ENUM_FRAMESIZES == 0xC02C564A
    assert devices.ENUM_FRAMEINTERVALS == 0xC034564B


def test_cameras_with_their_modes(kernel: Kernel) -> None:
    kernel.add(10, Node("Second"))
    kernel.add(2, WEBCAM)
    kernel.add(3, Node("HD Webcam", caps=0x00A00000))  # its metadata
    (kernel.folder / "video").touch()
    found = list_cameras(kernel.folder, kernel.ioctl)
    assert [(c.index, c.name, c.virtual) for c in found] == [
        (2, "HD Webcam", False),
        (10, "Second", False),
    ]
    rates = Fraction(30), Fraction(15000, 1001)
    assert found[0].modes == (
        Mode("MJPG", 1920, 1080, rates),
        Mode("MJPG", 640, 480, rates),
        Mode("YUYV", 640, 480, rates),
    )
    assert found[0].path == str(kernel.folder / "video2")


def test_a_loopback_is_known_by_its_driver_watched_or_not(kernel: Kernel) -> None:
    for number, caps in ((0, 0x2), (1, 0x1)):
        kernel.add(number, Node("vmatte", driver="v4l2 loopback", caps=caps))
    found = list_cameras(kernel.folder, kernel.ioctl)
    assert [c.virtual for c in found] == [True, True]
    assert "no camera was found" in describe_cameras(found)


def test_any_size_up_to_one_is_told_as_that(kernel: Kernel) -> None:
    kernel.add(0, Node("any", formats={YUYV: [(8192, 8192)]}, stepwise=True))
    (camera,) = list_cameras(kernel.folder, kernel.ioctl)
    assert [(m.width, m.height) for m in camera.modes] == [(8192, 8192)]


def test_one_that_fails_does_not_hide_the_others(kernel: Kernel) -> None:
    kernel.add(0, Node("hub", error=errno.EIO))
    kernel.add(1, Node("good"))
    broken, good = list_cameras(kernel.folder, kernel.ioctl)
    assert "does not answer" in broken.problem
    assert (good.name, good.problem) == ("good", "")


@pytest.mark.parametrize(
    ("code", "problem"), [(errno.EACCES, "no permission"), (errno.EBUSY, "another program")]
)
def test_why_a_camera_cannot_be_asked(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, code: int, problem: str
) -> None:
    kernel.add(0, WEBCAM)

    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    found = list_cameras(kernel.folder, kernel.ioctl)
    monkeypatch.undo()
    assert problem in found[0].problem


def test_a_node_left_of_an_unplugged_camera_is_no_camera(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kernel.folder / "video0").symlink_to("nowhere")
    assert list_cameras(kernel.folder, kernel.ioctl) == []


def test_the_command_lists_them(
    kernel: Kernel, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.add(2, WEBCAM)
    kernel.add(9, Node("vmatte", driver="v4l2 loopback", caps=0x2))
    found = list_cameras(kernel.folder, kernel.ioctl)
    monkeypatch.setattr("vmatte.cli.devices.list_cameras", lambda: found)
    code, out, _ = call("devices")
    assert code == 0
    assert "camera:2  HD Webcam" in out
    assert "MJPG: 1920x1080@30, 640x480@30" in out
    assert f"virtualcam:{kernel.folder}/video9" in out
    code, out, _ = call("devices", "--json")
    told = json.loads(out)
    assert [c["index"] for c in told["cameras"]] == [2]
    assert told["cameras"][0]["modes"][0] == {
        "format": "MJPG", "width": 1920, "height": 1080, "rates": ["30", "15000/1001"]
    }  # fmt: skip
    assert told["virtual"][0]["driver"] == "v4l2 loopback"


def test_the_command_without_any(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmatte.cli.devices.list_cameras", list)
    code, out, _ = call("devices")
    assert code == 0
    assert out.count("none found") == 2
