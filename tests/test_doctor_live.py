"""What doctor says of the chain from the camera to the window, on machines of several kinds."""

import sys
from pathlib import Path

import pytest

from vmatte.cli.chain import examine_live
from vmatte.cli.finding import Finding
from vmatte.devices import Camera, Mode

WEBCAM = Camera(name="Webcam", path="/dev/video0", index=0, modes=(Mode("MJPG", 1280, 720),))
LOOP = Camera(name="vmatte", path="/dev/video9", index=9, virtual=True)


def _look(tmp_path: Path, *cameras: Camera, loaded: bool = False) -> dict[str, Finding]:
    module = tmp_path / "v4l2loopback"
    if loaded:
        module.mkdir()
    return {f.what: f for f in examine_live(lambda: list(cameras), module=module)}


def test_a_machine_that_has_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmatte.cli.chain.expect_screen", lambda _: None)
    found = _look(tmp_path, WEBCAM, LOOP)
    assert found["camera:0"] == Finding("camera:0", "ok", "Webcam, up to 1280x720")
    assert found["virtual camera"].found == "/dev/video9 (vmatte)"
    assert found["window"].state == "ok"


def test_a_bare_machine_is_told_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr("vmatte.cli.chain.util.find_spec", lambda _: None)
    found = _look(tmp_path)
    assert {f.state for f in found.values()} == {"note"}
    assert "modprobe uvcvideo" in found["camera"].advice
    assert found["pyvirtualcam"].advice == "pip install 'vmatte[virtualcam]'"
    assert "modprobe v4l2loopback exclusive_caps=1" in found["virtual camera"].advice
    assert "there is no screen" in found["window"].found
    assert "-o mjpeg:8090" in found["window"].advice


def test_a_module_without_a_device(tmp_path: Path) -> None:
    found = _look(tmp_path, loaded=True)["virtual camera"]
    assert "loaded, but has no device" in found.found
    assert found.advice.startswith("sudo modprobe -r v4l2loopback")


def test_missing_permission(tmp_path: Path) -> None:
    shut = Camera(
        name="video0", path="/dev/video0", index=0, problem="may not be opened: no permission"
    )
    assert "usermod -aG video" in _look(tmp_path, shut)["camera:0"].advice


def test_a_camera_in_use(tmp_path: Path) -> None:
    busy = Camera(name="Webcam", path="/dev/video0", index=0, problem="is used by another program")
    found = _look(tmp_path, busy)["camera:0"]
    assert (found.found, found.state) == ("Webcam is used by another program", "note")


def test_an_opencv_without_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cv2.currentUIFramework", lambda: "")
    assert "opencv-python-headless" in _look(tmp_path)["window"].advice


@pytest.mark.parametrize(("system", "word"), [("darwin", "System Settings"), ("win32", "Settings")])
def test_other_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, word: str
) -> None:
    monkeypatch.setattr("vmatte.cli.chain.elsewhere", lambda: ["OBS Virtual Camera"])
    monkeypatch.setattr(sys, "platform", system)
    found = _look(tmp_path)
    monkeypatch.undo()
    assert word in found["camera"].advice
    assert found["virtual camera"] == Finding("virtual camera", "ok", "OBS Virtual Camera")
