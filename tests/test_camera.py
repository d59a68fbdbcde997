"""Cameras, through a fake of what OpenCV opens; no real one is on the machines that test."""

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera import Fake, Script

from vmatte.devices import Camera
from vmatte.errors import InputError, InputNotFoundError, OptionError, SourceLostError
from vmatte.sources import LiveInput
from vmatte.sources.camera import CameraSource
from vmatte.sources.capture import OpenCapture, open_capture
from vmatte.sources.recording import RecordedSource

SIZE = (96, 64)
Open = Callable[..., tuple[CameraSource, Fake]]


@pytest.fixture
def camera() -> Iterator[Open]:
    opened: list[CameraSource] = []

    def make(
        script: Script, options: LiveInput | None = None, **more: object
    ) -> tuple[CameraSource, Fake]:
        fake = Fake(script, **more)  # type: ignore[arg-type]
        quick = options or LiveInput(timeout=0.3)
        opened.append(CameraSource("camera:0", quick, opener=lambda *_: fake, cameras=list))
        return opened[-1], fake

    yield make
    for source in opened:
        source.close()


def test_pictures_come_with_the_time_they_came(camera: Open) -> None:
    source, fake = camera([SIZE, 0.05, 0.05, 0.05])
    info = source.info
    assert (info.size, info.live, info.rate, info.format.name) == (SIZE, True, 30, "yuv420p")
    frames = list(islice(source, 4))
    assert [int(f.rgb(SIZE)[0, 0, 0]) for f in frames] == pytest.approx([20, 40, 60, 80], abs=1)
    assert frames[0].pts == 0
    for i, frame in enumerate(frames):
        assert 0.05 * i <= frame.time <= 0.05 * i + 0.5
        assert (frame.colour, frame.time_base, frame.segment) == (info.colour, info.time_base, 0)
    source.close()
    assert fake.released


@pytest.mark.parametrize(("size", "format"), [((96, 64), "yuv420p"), ((95, 64), "bgr24")])
def test_colours_are_those_of_the_camera(size: tuple[int, int], format: str) -> None:
    class Painted(Fake):
        def read(self) -> np.ndarray | None:
            picture = super().read()
            assert picture is not None
            picture[...] = (30, 180, 90)  # BGR
            picture[:, :48] = (200, 20, 240)
            return picture

    fake = Painted([size])
    source = CameraSource("camera:0", opener=lambda *_: fake, cameras=list)
    frame = next(iter(source))
    source.close()
    assert frame.format.name == source.info.format.name == format
    rgb = frame.rgb(size).astype(int)
    assert np.abs(rgb[:, :40] - (240, 20, 200)).max() <= 3
    assert np.abs(rgb[:, 56:] - (90, 180, 30)).max() <= 3


def test_what_was_agreed_on_is_told(camera: Open) -> None:
    asked = LiveInput(size=(1280, 720), rate=Fraction(60), pixel_format="YUYV", timeout=0.3)
    source, _ = camera([SIZE], asked)
    assert source.negotiated == "96x64 at 30 frames a second MJPG over V4L2"
    notes = " ".join(source.info.notes)
    for wanted in ("size that was asked for, 1280x720", "rate", "60", "pixel format", "YUYV"):
        assert wanted in notes
    source, _ = camera([SIZE], LiveInput(size=SIZE, rate=Fraction(30), timeout=0.3))
    assert len(source.info.notes) == 1


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e9, float("nan")])
def test_a_rate_that_is_nonsense_is_not_believed(camera: Open, rate: float) -> None:
    source, _ = camera([SIZE], rate=rate)
    assert source.info.rate is None


@pytest.mark.parametrize("amiss", ["silent", "nothing"])
def test_a_camera_that_gives_nothing_any_more_is_lost(camera: Open, amiss: str) -> None:
    source, _ = camera([SIZE, SIZE] + [amiss] * 1000)
    frames = iter(source)
    list(islice(frames, 2))
    begun = time.monotonic()
    with pytest.raises(SourceLostError, match=r"camera:0: gave no picture for [01]\.\d s"):
        next(frames)
    assert 0.25 < time.monotonic() - begun < 1.5


def test_a_hiccup_is_no_loss(camera: Open) -> None:
    source, _ = camera([SIZE, "nothing", "silent", "nothing", SIZE])
    assert [f.segment for f in islice(source, 2)] == [0, 0]


def test_what_the_driver_raises_is_a_loss(camera: Open) -> None:
    source, _ = camera([SIZE, cv2.error("select() failed")])
    with pytest.raises(SourceLostError, match=r"failed \(select\(\) failed\)"):
        list(source)


def test_unplugged_is_told_at_once(tmp_path: Path) -> None:
    node = tmp_path / "video3"
    node.touch()
    fake = Fake([SIZE, SIZE] + ["nothing"] * 1000)
    source = CameraSource(f"camera:{node}", opener=lambda *_: fake, cameras=list)
    frames = iter(source)
    list(islice(frames, 2))
    node.unlink()
    begun = time.monotonic()
    with pytest.raises(SourceLostError, match="was unplugged"):
        next(frames)
    assert time.monotonic() - begun < 1
    source.close()


def test_a_change_of_size_or_kind_is_a_new_segment(camera: Open) -> None:
    source, _ = camera([SIZE, SIZE, (64, 48), (64, 48)])
    frames = list(islice(source, 4))
    assert [(f.width, f.height, f.segment) for f in frames] == [(*SIZE, 0)] * 2 + [(64, 48, 1)] * 2
    assert source.info.size == (64, 48)


def test_a_recording_keeps_the_first_size(camera: Open) -> None:
    source, _ = camera([SIZE, (64, 48), (64, 48)])
    recorded = RecordedSource(source)
    frames = list(recorded)
    assert [(f.width, f.height) for f in frames] == [SIZE] * 3
    assert "was lost" in recorded.info.notes[-1]


def test_a_pause_is_a_new_segment(camera: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmatte.sources.camera._GAP", 0.1)
    source, _ = camera([SIZE, SIZE, 0.15, SIZE])
    assert [f.segment for f in islice(source, 4)] == [0, 0, 1, 1]


def test_pictures_of_another_kind_are_refused(camera: Open) -> None:
    with pytest.raises(InputError, match=r"\(64, 96, 4\) uint8, expected 8-bit BGR or gray"):
        camera([(96, 64, 4)])


def test_one_that_never_begins_may_be_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmatte.sources.camera.WARM_UP", 0.2)
    fake = Fake(["nothing"] * 1000)
    with pytest.raises(InputError, match="used by another program") as caught:
        CameraSource("camera:0", LiveInput(timeout=0.2), opener=lambda *_: fake, cameras=list)
    assert not isinstance(caught.value, SourceLostError)
    assert fake.released


def test_close_while_it_is_read_waits_for_the_read(camera: Open) -> None:
    source, fake = camera([SIZE, 0.3, SIZE])
    frames = iter(source)
    next(frames)
    threading.Timer(0.1, source.close).start()
    rest = list(frames)  # the fake fails where it is released while it is read
    assert len(rest) == 1
    assert fake.released


def test_it_can_be_opened_again_after_a_loss() -> None:
    for _ in range(2):
        fake = Fake([SIZE, cv2.error("gone")])
        source = CameraSource("camera:0", opener=lambda *_, f=fake: f, cameras=list)
        with pytest.raises(SourceLostError):
            list(source)
        source.close()
        assert fake.released


THERE = [
    Camera(name="Integrated Camera", path="/dev/video0", index=0),
    Camera(name="Logi C920", path="/dev/video2", index=2),
    Camera(name="Logi C922", path="/dev/video4", index=4),
    Camera(name="vmatte", path="/dev/video9", index=9, virtual=True),
]


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("camera:", 0),
        ("camera:2", 2),
        ("camera:/dev/video4", "/dev/video4"),
        ("camera:integrated camera", "/dev/video0"),
        ("camera:c922", "/dev/video4"),
    ],
)
def test_names_of_cameras(name: str, target: int | str) -> None:
    asked = []

    def opener(target: int | str, _: LiveInput) -> Fake:
        asked.append(target)
        return Fake([SIZE])

    CameraSource(name, opener=opener, cameras=lambda: THERE).close()
    assert asked == [target]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("camera:5", InputNotFoundError, r"there are camera:0 \(Integrated Camera\), camera:2"),
        ("camera:OBS", InputNotFoundError, "no camera is named so; there are"),
        ("camera:vmatte", InputNotFoundError, "no camera is named so"),
        ("camera:logi", InputError, r"several .*camera:2 \(Logi C920\), camera:4"),
        ("camera:0", InputError, "used by another program"),
    ],
)
def test_cameras_that_cannot_be_had(name: str, kind: type[InputError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        CameraSource(name, opener=lambda *_: None, cameras=lambda: THERE)
    assert "(vmatte)" not in str(caught.value)


def test_a_camera_without_permission_says_how_to_get_it() -> None:
    locked = [Camera(name="a", path="/dev/video0", index=0, problem="no permission")]
    with pytest.raises(InputError, match="usermod -aG video"):
        CameraSource("camera:0", opener=lambda *_: None, cameras=lambda: locked)


def test_backends_that_are_not_here_are_refused() -> None:
    with pytest.raises(OptionError, match="is not among"):
        open_capture(0, LiveInput(backend="kinect"))
    with pytest.raises(OptionError, match="this OpenCV has no backend"):
        open_capture(0, LiveInput(backend="msmf"))


def test_opencv_really_reads_through_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file stands in for the device: OpenCV's calls are the same."""
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, SIZE)
    for i in range(3):
        writer.write(np.full((64, 96, 3), 80 * i, np.uint8))
    writer.release()
    capture = OpenCapture(cv2.VideoCapture(str(tmp_path / "a.avi")))
    assert (capture.size, capture.rate, capture.pixel_format) == (SIZE, 25, "MJPG")
    source = CameraSource(
        "camera:0", LiveInput(timeout=0.2), opener=lambda *_: capture, cameras=list
    )
    seen = []
    with pytest.raises(SourceLostError):
        for frame in source:
            seen.append(int(frame.rgb(SIZE).mean()))
    source.close()
    assert seen == pytest.approx([0, 80, 160], abs=3)
    assert open_capture(97, None) is None
    assert capfd.readouterr().err == ""
