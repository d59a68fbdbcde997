"""Transparency survives every codec that is said to hold it, as another reader sees it."""

import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import missing
from media import SPARSE, decode, ffprobe, make_image, make_video, packets_of, rgb_picture, times_of
from test_fidelity import to_file
from writing import HD, info_of

from vmatte.composite.blend import with_alpha
from vmatte.errors import UnsupportedOutputError
from vmatte.frames import Frame, StreamInfo, from_array, plane_views
from vmatte.pixels import FORMATS
from vmatte.sinks import Encoding, open_sink

SIZE = (96, 64)


def alpha_picture(index: int) -> np.ndarray:  # type: ignore[type-arg]
    """Clear at the left, opaque at the right, a ramp between, moving by 2 pixels a frame."""
    x = np.arange(SIZE[0], dtype=np.float32)
    ramp = np.clip((x - 30 - 2 * index) / 30, 0, 1)
    return np.repeat((ramp * 255).round().astype(np.uint8)[None], SIZE[1], 0)


def frames_of(info: StreamInfo) -> list[Frame]:
    """Pictures with transparency in the format of ``info``."""
    found = []
    for index, time in enumerate(SPARSE[:5]):
        rgba = np.dstack([rgb_picture(index, SIZE), alpha_picture(index)])
        frame = from_array(rgba, "rgba", pts=time * 512, time_base=info.time_base)
        frame = frame.convert(info.format.name, colour=info.colour)
        if info.format.channels == 1:
            # Exactly what is asked: swscale's own alpha is off by one here and there.
            top = (1 << info.format.depth) - 1
            frame.planes[3][...] = np.rint(alpha_picture(index) * (top / 255))
        found.append(frame)
    return found


def write(path: Path, native: str, encoding: Encoding | None = None) -> Path:
    """Five frames into a file."""
    info = info_of("rgb24", SIZE)
    format = FORMATS[native]
    info = replace(info, format=format, colour=info.colour if format.rgb else HD)
    sink = open_sink(str(path), encoding)
    sink.open(info)
    for frame in frames_of(info):
        sink.write(frame)
    sink.close()
    return path


def rgba_by_ffmpeg(path: Path, *before: str) -> np.ndarray:  # type: ignore[type-arg]
    """All pictures, by FFmpeg's own tool: another build than the one that wrote them."""
    if shutil.which("ffmpeg") is None:
        missing("needs ffmpeg")
    command = ["ffmpeg", "-v", "error", *before, "-i", str(path), "-fps_mode", "passthrough"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, SIZE[1], SIZE[0], 4).astype(int)


# name, native format, codec, decoder, largest and mean error of alpha, mean error of opaque colour
CASES = {
    "vp9": ("a.webm", "yuva420p", None, ("-c:v", "libvpx-vp9"), 14, 1.5, 4.0),
    "vp9-mkv": ("a.mkv", "yuva420p", "vp9", ("-c:v", "libvpx-vp9"), 14, 1.5, 4.0),
    "vp9-from-444": ("a.webm", "yuva444p", None, ("-c:v", "libvpx-vp9"), 14, 1.5, 4.0),
    "prores": ("a.mov", "yuva444p", None, (), 2, 0.5, 2.5),
    "prores-10": ("a.mov", "yuva444p10le", None, (), 1, 0.5, 2.5),
    "ffv1": ("a.mkv", "yuva420p", None, (), 1, 0.2, 3.0),
    "ffv1-10": ("a.mkv", "yuva444p10le", None, (), 1, 0.5, 1.5),
    "ffv1-rgb": ("a.mkv", "rgba", None, (), 0, 0, 0),
    "qtrle": ("a.mov", "rgba", "qtrle", (), 0, 0, 0),
    "qtrle-yuv": ("a.mov", "yuva420p", "qtrle", (), 1, 0.2, 4.0),
}


@pytest.mark.parametrize("kind", CASES)
def test_alpha_and_colour(kind: str, tmp_path: Path) -> None:
    name, native, codec, decoder, worst, mean, colour = CASES[kind]
    preset = "8" if "vp9" in kind else None
    path = write(tmp_path / name, native, Encoding(codec=codec, preset=preset))
    got = rgba_by_ffmpeg(path, *decoder)
    assert len(got) == 5
    for index, rgba in enumerate(got):
        drawn = alpha_picture(index).astype(int)
        off = np.abs(rgba[:, :, 3] - drawn)
        assert off.max() <= worst, index
        assert off.mean() <= mean, index
        if "vp9" not in kind:
            assert off[(drawn == 0) | (drawn == 255)].max() == 0, index
        opaque = drawn == 255
        error = np.abs(rgba[:, :, :3] - rgb_picture(index, SIZE))[opaque].mean()
        assert error <= colour, index


@pytest.mark.parametrize("name", ["a.webm", "a.mkv"])
def test_vp9_is_marked_for_players(name: str, tmp_path: Path) -> None:
    """Players look for ALPHA_MODE; without it they show the picture opaque."""
    path = write(tmp_path / name, "yuva420p", Encoding(codec="vp9", preset="8"))
    tags = ffprobe(path, "-show_streams")["streams"][0]["tags"]
    assert {k.lower(): v for k, v in tags.items()}["alpha_mode"] == "1"
    slack = Fraction(1, 1000)
    for got, wanted in zip(times_of(path), SPARSE, strict=False):
        assert abs(got - Fraction(wanted, 30)) <= slack
    assert len(packets_of(path, "video")) == 5


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.webp"])
@pytest.mark.parametrize("native", ["rgba", "yuva420p", "yuva444p10le", "gbrap12le"])
def test_images(name: str, native: str, tmp_path: Path) -> None:
    info = replace(info_of("rgb24", SIZE, still=True), format=FORMATS[native])
    if not info.format.rgb:
        info = replace(info, colour=HD)
    sink = open_sink(str(tmp_path / name), still=True)
    sink.open(info)
    sink.write(frames_of(info)[0])
    sink.close()
    rgba = rgba_by_ffmpeg(tmp_path / name)[0]
    drawn = alpha_picture(0).astype(int)
    assert np.abs(rgba[:, :, 3] - drawn).max() <= (0 if native == "rgba" else 1)
    assert (rgba[:, :, 3] == drawn)[(drawn == 0) | (drawn == 255)].all()
    error = np.abs(rgba[:, :, :3] - rgb_picture(0, SIZE))[drawn == 255].mean()
    assert error <= (6 if name == "a.webp" else 4)
    if info.format.depth > 8 and name != "a.webp":
        assert decode(tmp_path / name)[0].format.components[0].bits == 16


def test_gif(tmp_path: Path) -> None:
    """One bit: clear below a half. Nothing of an earlier frame shows through."""
    path = write(tmp_path / "a.gif", "rgba")
    for index, rgba in enumerate(rgba_by_ffmpeg(path)):
        clear = alpha_picture(index) < 112
        solid = alpha_picture(index) > 144
        assert (rgba[:, :, 3][clear] == 0).all(), index
        assert (rgba[:, :, 3][solid] == 255).all(), index


def test_animated_webp(tmp_path: Path) -> None:
    path = write(tmp_path / "a.webp", "rgba")
    found, animation = cv2.imreadanimation(str(path))
    assert found and len(animation.frames) == 5
    for index, bgra in enumerate(animation.frames):
        assert np.abs(bgra[:, :, 3].astype(int) - alpha_picture(index)).max() <= 2


def test_a_whole_job(tmp_path: Path) -> None:
    """The right half is foreground: opaque there, clear elsewhere, in its own colours."""
    source = make_video(tmp_path / "in.mp4", times=range(5))
    for name, decoder in (("a.webm", ("-c:v", "libvpx-vp9")), ("a.mov", ()), ("a.mkv", ())):
        to_file(source, tmp_path / name, "transparent")
        for index, rgba in enumerate(rgba_by_ffmpeg(tmp_path / name, *decoder)):
            assert rgba[:, :44, 3].max() <= 3, name
            assert rgba[:, 52:, 3].min() >= 252, name
            assert np.abs(rgba[:, 56:, :3] - rgb_picture(index)[:, 56:]).mean() <= 6, name
    to_file(make_image(tmp_path / "in.png"), tmp_path / "a.png", "transparent")
    rgba = rgba_by_ffmpeg(tmp_path / "a.png")[0]
    assert (rgba[:, :44, 3] == 0).all() and (rgba[:, 52:, 3] == 255).all()
    assert np.array_equal(rgba[:, 52:, :3], rgb_picture(0)[:, 52:])


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", None), ("a.mp4", "hevc"), ("a.webm", "av1"), ("a.mkv", "h264"), ("a.jpg", None)],
)
def test_formats_without_alpha_say_so(name: str, codec: str | None, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", times=range(2))
    from test_fidelity import run

    with pytest.raises(UnsupportedOutputError, match=r"has no transparency; use .*\.png"):
        run(source, [(open_sink(str(tmp_path / name), Encoding(codec=codec)), "transparent")])
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("native", ["yuva420p", "yuva444p10le", "yuva444p12le", "gbrap10le"])
@pytest.mark.parametrize("wanted", ["yuva444p10le", "yuva420p", "rgba64le", "rgba64be", "rgba"])
def test_opaque_stays_opaque_at_any_depth(native: str, wanted: str) -> None:
    info = replace(info_of("rgb24", SIZE), format=FORMATS[native])
    picture = frames_of(info)[0].convert(wanted, colour=info.colour).picture
    if wanted.startswith("rgba"):
        dtype = {"le": "<u2", "be": ">u2"}.get(wanted[-2:], "u1")
        alpha = np.frombuffer(bytes(picture.planes[0]), dtype).reshape(64, -1)[:, 3 : 96 * 4 : 4]
    else:
        alpha = plane_views(picture)[3]
    top = {"yuva444p10le": 1023, "yuva420p": 255, "rgba": 255}.get(wanted, 65535)
    drawn = alpha_picture(0)
    assert (alpha[drawn == 255] == top).all() and (alpha[drawn == 0] == 0).all()
    assert np.abs(alpha.astype(int) - drawn / 255.0 * top).max() <= max(1, top / 255)


@pytest.mark.parametrize("native", sorted(f for f in FORMATS if not FORMATS[f].alpha))
def test_every_format_has_one_with_alpha(native: str) -> None:
    opaque, transparent = with_alpha(FORMATS[native])
    assert not opaque.alpha and transparent.alpha
    assert transparent.depth >= FORMATS[native].depth or FORMATS[native].depth == 14
    assert av.VideoFormat(transparent.name, 16, 16).name == transparent.name
