"""Backgrounds: fitted as they will be seen, paced by their own times, blurred without a halo."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media import CORNERS, make_image, make_video
from numpy.typing import NDArray

from vmatte.colour import FULL, LIMITED, Colour
from vmatte.composite import Background, parse_background
from vmatte.composite.place import place
from vmatte.errors import InputError, OptionError
from vmatte.frames import Frame, StreamInfo, from_array
from vmatte.matting import Matte
from vmatte.pixels import FORMATS
from vmatte.refine import RefineOptions, refine

INFO = StreamInfo(
    width=200, height=100, format=FORMATS["yuv420p"],
    colour=Colour(matrix=1, range=LIMITED), time_base=Fraction(1, 30),
)  # fmt: skip
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def cross(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Red left, green right, blue top and bottom edges, a white square in the middle."""
    w, h = size
    picture = np.zeros((h, w, 3), np.uint8)
    picture[:, : w // 8], picture[:, -(w // 8) :] = RED, GREEN
    picture[: h // 8], picture[-(h // 8) :] = BLUE, BLUE
    side = min(w, h) // 4
    y, x = (h - side) // 2, (w - side) // 2
    picture[y : y + side, x : x + side] = WHITE
    return picture


def near(pixel: Any, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() < 12)


def white_box(picture: NDArray[np.uint8]) -> tuple[int, int]:
    """(width, height) of the white square, wherever it went."""
    white = picture.min(2) > 128
    return int(white.any(0).sum()), int(white.any(1).sum())


@pytest.mark.parametrize("size", [(400, 400), (40, 40), (100, 300), (333, 117)])
@pytest.mark.parametrize("shape", [None, Fraction(2), Fraction(1, 2), Fraction(4, 3)])
def test_proportions_as_shown(size: tuple[int, int], shape: Fraction | None) -> None:
    """A square stays square once pixels have the shape that the stream says they have."""
    info = replace(INFO, sample_aspect_ratio=shape)
    for fit in ("cover", "contain"):
        placed = place(cross(size), info, fit)  # type: ignore[arg-type]
        assert placed.shape == (100, 200, 3)
        w, h = white_box(placed)
        assert abs(w * float(shape or 1) - h) <= max(2.5, 0.12 * h), (fit, w, h)
        white = np.argwhere(placed.min(2) > 128)
        # It is cut at whole pixels of its own, which may be many of the frame's.
        slack = 1.5 + 0.5 * max(w, h) / (min(size) // 4)
        assert np.abs(white.mean(0) - (49.5, 99.5)).max() <= slack


def test_cover_fills_and_cuts_the_longer_side() -> None:
    tall = place(cross((400, 400)), INFO, "cover")
    assert near(tall[50, 2], RED) and near(tall[50, -3], GREEN)
    assert not near(tall[1, 100], BLUE)
    wide = place(cross((800, 100)), INFO, "cover")
    assert near(wide[2, 100], BLUE) and not near(wide[50, 2], RED)


def test_contain_shows_all_on_black() -> None:
    placed = place(cross((400, 400)), INFO, "contain")
    assert placed[:, :49].max() == 0 and placed[:, -49:].max() == 0
    assert near(placed[50, 52], RED) and near(placed[50, -53], GREEN) and near(placed[1, 100], BLUE)


def test_stretch_shows_all_and_fills() -> None:
    placed = place(cross((400, 400)), INFO, "stretch")
    assert near(placed[50, 2], RED) and near(placed[50, -3], GREEN) and near(placed[1, 100], BLUE)
    w, h = white_box(placed)
    assert abs(w - 2 * h) <= 2


def frame_at(count: int, time_base: Fraction = Fraction(1, 30)) -> Frame:
    rgb = np.zeros((100, 200, 3), np.uint8)
    return replace(
        from_array(rgb, "rgb24", pts=count, time_base=time_base).convert("yuv420p"),
        colour=INFO.colour,
    )


@contextlib.contextmanager
def opened(name: str, info: StreamInfo = INFO) -> Iterator[Background]:
    background = parse_background(name)
    assert background is not None
    try:
        background.open(info)
        yield background
    finally:
        background.close()


def shown(path: Path, times: list[int], base: Fraction) -> list[int]:
    """Number of the background's frame that is behind each frame: told by its brightness."""
    found = []
    with opened(str(path)) as background:
        for count in times:
            frame = frame_at(count, base)
            advanced = background.advance(frame)
            planes = background.planes(frame, None, advanced)  # type: ignore[arg-type]
            found.append(round((float(planes[0].mean()) - 20) / 20))
    return found


def numbered(path: Path, times: list[int], base: Fraction) -> Path:
    """A video whose frame number n has luma 20 + 20 n."""
    import av

    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=Fraction(1 / base), options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p"
        stream.codec_context.time_base = base
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1
        for n, pts in enumerate(times):
            picture = av.VideoFrame.from_ndarray(np.full((72, 96), 128, np.uint8), format="yuv420p")
            np.frombuffer(picture.planes[0], np.uint8)[:] = 20 + 20 * n  # type: ignore[call-overload]
            picture.pts, picture.time_base = pts, base
            picture.colorspace, picture.color_range = 1, 1
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


def test_video_is_paced_by_its_times_and_looped(tmp_path: Path) -> None:
    video = numbered(tmp_path / "b.mp4", list(range(5)), Fraction(1, 10))
    # 30 frames a second before 10: each is shown three times; then it begins again.
    got = shown(video, list(range(30)), Fraction(1, 30))
    assert got == [n // 3 % 5 for n in range(30)]
    # 5 before 10: every second one.
    assert shown(video, list(range(8)), Fraction(1, 5)) == [2 * n % 5 for n in range(8)]


def test_video_of_variable_rate(tmp_path: Path) -> None:
    video = numbered(tmp_path / "b.mkv", [0, 1, 4, 9], Fraction(1, 10))
    got = shown(video, list(range(10)), Fraction(1, 10))
    assert got == [0, 1, 1, 1, 2, 2, 2, 2, 2, 3]


def test_time_begins_at_the_first_frame(tmp_path: Path) -> None:
    """A source that begins late, or has gaps, begins with the background's first frame."""
    video = numbered(tmp_path / "b.mp4", list(range(5)), Fraction(1, 10))
    assert shown(video, [1000, 1003, 1009], Fraction(1, 30)) == [0, 1, 3]


def test_a_video_of_one_frame(tmp_path: Path) -> None:
    video = numbered(tmp_path / "b.mkv", [0], Fraction(1, 10))
    assert shown(video, [0, 5, 500], Fraction(1, 30)) == [0, 0, 0]


def test_a_video_whose_pixels_are_not_square(tmp_path: Path) -> None:
    """96x64 pixels, each 4/3 as wide as high, are shown as 2:1 and fill such a frame uncut."""
    make_video(tmp_path / "b.mp4", size=(96, 64), shape=Fraction(4, 3), times=range(2), tags=None)
    with opened(str(tmp_path / "b.mp4")) as background:
        frame = frame_at(0)
        planes = background.planes(frame, None, background.advance(frame))  # type: ignore[arg-type]
    got = Frame(frame.picture, 0, frame.time_base, frame.colour)
    for plane, view in zip(planes, got.planes, strict=True):
        view[...] = plane
    shown = got.rgb((200, 100))
    for y, x, corner in ((8, 8, "tl"), (8, -8, "tr"), (-8, 8, "bl"), (-8, -8, "br")):
        assert np.abs(shown[y, x].astype(int) - CORNERS[corner]).max() < 25, corner


def test_a_picture_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_text("not a picture")
    with pytest.raises(InputError):
        parse_background(str(tmp_path / "b.png"))
    with pytest.raises(InputError, match="green"):
        parse_background("grren")
    for radius in ("0", "501", "x", "-3"):
        with pytest.raises(OptionError, match="radius"):
            parse_background(f"blur:{radius}")
    assert parse_background("transparent") is None


@pytest.mark.parametrize("format", ["yuv420p10le", "gbrp", "gray", "rgb24", "yuv422p"])
def test_a_picture_in_the_format_of_the_frame(tmp_path: Path, format: str) -> None:
    native = FORMATS[format]
    info = replace(
        INFO, format=native, width=131, height=73,
        colour=Colour(matrix=1, range=FULL if native.rgb else LIMITED),
    )  # fmt: skip
    make_image(tmp_path / "b.png", size=(131, 73))
    make_video(tmp_path / "b.mp4", size=(132, 74))
    for name in ("b.png", "b.mp4"):
        with opened(str(tmp_path / name), info) as background:
            frame = Frame(from_array(np.zeros((73, 131, 3), np.uint8), "rgb24").convert(
                format, colour=info.colour).picture, 0, INFO.time_base, info.colour)  # fmt: skip
            advanced = background.advance(frame)
            planes = background.planes(frame, None, advanced)  # type: ignore[arg-type]
        assert [p.shape for p in planes] == [p.shape for p in frame.planes]
        assert {p.dtype for p in planes} == {native.dtype}
        assert planes[0].max() < 1 << native.depth


@pytest.mark.parametrize("format", ["yuv420p", "yuv420p10le", "rgb24", "gray"])
def test_blur_has_no_halo(format: str) -> None:
    """A bright subject must not shine into its dark, blurred room, and texture must go."""
    rgb = np.zeros((120, 200, 3), np.uint8)
    stripes = (np.arange(200) // 4 % 2 * 40 + 30).astype(np.uint8)
    rgb[:] = stripes[None, :, None]
    alpha = np.zeros((120, 200), np.float32)
    cv2.circle(alpha, (100, 60), 30, 1.0, -1)
    rgb[alpha > 0] = 250
    frame = from_array(rgb, "rgb24").convert(format, colour=Colour(matrix=1, range=FULL))
    options = RefineOptions(method="off", levels=(0, 1), decontaminate=False)
    full = refine(frame, rgb, Matte(alpha), options)
    info = replace(INFO, width=200, height=120, format=frame.format, colour=frame.colour)
    with opened("blur:20", info) as background:
        planes = background.planes(frame, full, background.advance(frame))
    behind = replace(frame, picture=frame.picture)
    assert [p.shape for p in planes] == [p.shape for p in behind.planes]
    scale = 1 << (frame.format.depth - 8)
    luma = planes[0].astype(float) / scale
    ring = cv2.dilate(alpha, np.ones((9, 9), np.uint8)) - alpha > 0
    # The room's mean is 50; a plain blur would show over 100 beside the subject.
    assert luma[ring].max() < 75
    away = luma[:, :20] if luma.ndim == 2 else luma[:, :20, 1]
    assert away.std() < 4 and abs(away.mean() - 50) < 8
