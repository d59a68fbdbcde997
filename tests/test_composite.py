"""Compositing on native planes: exact where it can be, within a level elsewhere."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from av.filter import Graph
from numpy.typing import NDArray

from vmatte.colour import FULL, LIMITED, Colour
from vmatte.composite import AlphaOutput, Composite, Subject, parse_background
from vmatte.composite.blend import over, with_alpha
from vmatte.frames import Frame, Pictures, StreamInfo, from_array, new_picture, plane_views
from vmatte.fullmatte import FullMatte
from vmatte.matting import Matte
from vmatte.pixels import FORMATS
from vmatte.refine import RefineOptions, refine

SIZE = (131, 73)
EVERY = ["yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv420p10le", "yuv444p12le",
         "yuv422p16le", "gray", "gray10le", "gbrp", "gbrp10le", "rgb24", "bgr24"]  # fmt: skip
PLAIN = RefineOptions(method="off", levels=(0, 1), decontaminate=False)


def noise(format: str, seed: int = 0, size: tuple[int, int] = SIZE, **more: Any) -> Frame:
    """Random code values in every plane."""
    native = FORMATS[format]
    picture = new_picture(*size, format)
    random = np.random.default_rng(seed)
    for plane in plane_views(picture):
        plane[...] = random.integers(0, 1 << native.depth, plane.shape)
    colour = Colour(matrix=1, range=FULL if native.rgb else LIMITED)
    return Frame(picture, 5, Fraction(1, 25), more.pop("colour", colour), **more)


def info_of(frame: Frame, **more: Any) -> StreamInfo:
    return StreamInfo(
        width=frame.width, height=frame.height, format=frame.format, colour=frame.colour,
        time_base=frame.time_base, **more,
    )  # fmt: skip


def ramp(size: tuple[int, int] = SIZE) -> NDArray[np.float32]:
    """Background on the left, foreground on the right, 40 pixels of slope between."""
    x = np.arange(size[0], dtype=np.float32)[None, :] + np.zeros((size[1], 1), np.float32)
    return np.clip((x - size[0] * 0.4) / 40, 0, 1).astype(np.float32)


def matte_for(frame: Frame, alpha: NDArray[np.float32]) -> FullMatte:
    rgb = np.zeros((*alpha.shape, 3), np.uint8)
    return refine(frame, rgb, Matte(alpha), PLAIN)


def reference(frame: Frame, behind: Frame, alpha: NDArray[np.float32]) -> list[Any]:
    """Return the float blend of every plane; chroma's alpha is the mean over its pixels."""
    blended = []
    for index, (a, b) in enumerate(zip(frame.planes, behind.planes, strict=True)):
        sx, sy = frame.format.shift(index)
        h, w = a.shape[:2]
        weight = np.empty((h, w))
        for y in range(h):
            rows = alpha[y << sy : (y + 1) << sy]
            for x in range(w):
                weight[y, x] = rows[:, x << sx : (x + 1) << sx].mean()
        weight = weight[:, :, None] if a.ndim == 3 else weight
        blended.append(a * weight + b * (1 - weight))
    return blended


@pytest.mark.parametrize("format", EVERY)
def test_blend(format: str) -> None:
    frame, behind = noise(format), noise(format, 1)
    alpha = ramp()
    result = plane_views(over(frame, matte_for(frame, alpha), behind.planes))
    for index, (got, wanted) in enumerate(
        zip(result, reference(frame, behind, alpha), strict=True)
    ):
        difference = np.abs(got.astype(float) - wanted)
        # A sample that hangs over an odd edge has no pixels there to be the mean of.
        sx, sy = frame.format.shift(index)
        inner = difference[: SIZE[1] >> sy, : SIZE[0] >> sx]
        assert inner.max() <= 1, (index, inner.max())
        assert difference.max() <= (1 if (sx, sy) == (0, 0) else 0.12 * (1 << frame.format.depth))
        # Bit for bit where alpha is 0 or 1.
        whole = [alpha[y :: 1 << sy, x :: 1 << sx] for y in range(1 << sy) for x in range(1 << sx)]
        h, w = (min(p.shape[k] for p in whole) for k in (0, 1))
        stack = np.stack([p[:h, :w] for p in whole])
        for level, source in ((1, frame), (0, behind)):
            pure = (stack == level).all(0)
            assert pure.any()
            np.testing.assert_array_equal(got[:h, :w][pure], source.planes[index][:h, :w][pure])


def opened(compositor: Any, frame: Frame) -> StreamInfo:
    result: StreamInfo = compositor.open(info_of(frame))
    return result


def composed(compositor: Any, frame: Frame, alpha: NDArray[np.float32]) -> Frame:
    info = opened(compositor, frame)
    result: Frame = compositor.compose(frame, matte_for(frame, alpha), compositor.advance(frame))
    compositor.close()
    # What was announced is what comes, at the frame's own time.
    assert (result.format, result.colour) == (info.format, info.colour)
    assert (result.pts, result.time_base, result.segment) == (5, Fraction(1, 25), 3)
    assert (result.width, result.height) == SIZE
    return result


@pytest.mark.parametrize("format", EVERY)
def test_alpha_output(format: str) -> None:
    alpha = ramp()
    result = composed(AlphaOutput(), noise(format, segment=3), alpha)
    top = (1 << result.format.depth) - 1
    assert result.format.gray and result.format.depth >= FORMATS[format].depth
    assert result.colour.range == FULL
    assert np.abs(result.planes[0] - alpha * top).max() <= 0.51


@pytest.mark.parametrize("format", EVERY)
def test_transparent_subject(format: str) -> None:
    alpha = ramp()
    frame = noise(format, segment=3)
    result = composed(Subject(transparent=True), frame, alpha)
    assert result.format.alpha
    assert result.format.depth >= FORMATS[format].depth
    top = (1 << result.format.depth) - 1
    packed = result.format.channels == 4
    plane = result.planes[0][:, :, 3] if packed else result.planes[3]
    assert np.abs(plane - alpha * top).max() <= 0.51
    opaque, _ = with_alpha(frame.format)
    if opaque == frame.format:
        colours = result.planes[0][:, :, :3] if packed else result.planes[0]
        np.testing.assert_array_equal(colours[alpha == 1], frame.planes[0][alpha == 1])


@pytest.mark.parametrize("format", EVERY)
def test_subject_on_black(format: str) -> None:
    alpha = ramp()
    result = composed(Subject(transparent=False), noise(format, segment=3), alpha)
    assert not result.format.alpha
    rgb = result.rgb(SIZE)
    assert rgb[:, :30].max() <= 1
    assert rgb[:, -30:].std() > 20


# Code values of sRGB 0, 177, 64, worked out by hand from the figures of each standard.
SOLID = {
    # 709: Y = .2126 R + .7152 G + .0722 B = .51456; Cb = (B - Y) / 1.8556; Cr = (R - Y) / 1.5748
    ("yuv420p", 1, LIMITED): (129, 96, 55),
    ("yuv420p", 1, FULL): (131, 92, 45),
    # 601: Y = .299 R + .587 G + .114 B = .43606; Cb = (B - Y) / 1.772; Cr = (R - Y) / 1.402
    ("yuv420p", 5, LIMITED): (111, 105, 58),
    ("yuv420p", 6, FULL): (111, 101, 49),
    # 2020: Y = .2627 R + .6780 G + .0593 B = .48550; Cb = (B - Y) / 1.8814; Cr = (R - Y) / 1.4746
    ("yuv420p10le", 9, LIMITED): (489, 400, 217),
    ("yuv444p10le", 9, FULL): (497, 384, 175),
}


@pytest.mark.parametrize(("format", "matrix", "range"), SOLID)
def test_colours_are_exact(format: str, matrix: int, range: int) -> None:
    """Everywhere: a dithered colour flickers, cannot be keyed, and costs bits."""
    frame = noise(format, segment=3, colour=Colour(matrix=matrix, range=range))
    background = parse_background("green")
    assert background is not None
    result = composed(Composite(background), frame, np.zeros(SIZE[::-1], np.float32))
    for plane, wanted in zip(result.planes, SOLID[format, matrix, range], strict=True):
        assert set(np.unique(plane)) == {wanted}


@pytest.mark.parametrize("format", ["rgb24", "bgr24", "gbrp"])
def test_colours_in_rgb_are_exact(format: str) -> None:
    frame = noise(format, segment=3)
    background = parse_background("#0a80ff")
    assert background is not None
    result = composed(Composite(background), frame, np.zeros(SIZE[::-1], np.float32))
    assert np.all(result.rgb(SIZE) == (10, 128, 255))


def test_subject_keeps_its_own_colour_over_any_background() -> None:
    """Decontaminated, a known subject before green looks over black as it does over nothing."""
    alpha = cv2.GaussianBlur((ramp((256, 128)) > 0.5).astype(np.float32), (0, 0), 6)
    subject, room = np.array([210, 90, 60.0]), np.array([20, 200, 40.0])
    a = alpha[:, :, None]
    rgb = np.rint(a * subject + (1 - a) * room).astype(np.uint8)
    frame = from_array(rgb, "rgb24").convert("yuv444p", colour=Colour(matrix=1, range=LIMITED))
    wanted = a * subject + (1 - a) * 0
    errors = []
    black = parse_background("black")
    assert black is not None
    black.open(info_of(frame))
    for clean in (False, True):
        options = replace(PLAIN, decontaminate=clean)
        full = refine(frame, rgb, Matte(alpha), options)
        result = replace(frame, picture=over(frame, full, black.planes(frame, full, None)))
        edge = (alpha > 0.05) & (alpha < 0.95)
        errors.append(np.abs(result.rgb((256, 128)).astype(float) - wanted)[edge].mean())
    # Measured: 21 levels without, 3 with.
    assert errors[1] < 0.3 * errors[0], errors


def test_memory_of_pictures_is_used_again_only_when_nobody_reads_it() -> None:
    pictures = Pictures()
    first = pictures.take(64, 48, "yuv420p")
    first.pts, first.color_range = 7, FULL
    address = first.planes[0].buffer_ptr
    second = pictures.take(64, 48, "yuv420p")
    assert second.planes[0].buffer_ptr != address
    luma = plane_views(first)[0]
    del first
    assert pictures.take(64, 48, "yuv420p").planes[0].buffer_ptr != address
    luma[...] = 99
    del luma
    again = pictures.take(64, 48, "yuv420p")
    assert again.planes[0].buffer_ptr == address
    assert again.pts is None and again.color_range == 0
    other = pictures.take(32, 48, "yuv420p")
    assert (other.width, other.height) == (32, 48)


def test_pictures_that_only_a_moment_needed_are_let_go() -> None:
    pictures = Pictures()
    moment = [pictures.take(64, 48, "yuv420p") for _ in range(9)]
    addresses = {m.planes[0].buffer_ptr for m in moment}
    assert len(addresses) == 9
    del moment

    def held() -> int:
        return len(pictures._held)

    before = pictures.take(64, 48, "yuv420p")
    for _ in range(300):
        # As a run does: one is read while the next is filled.
        now = pictures.take(64, 48, "yuv420p")
        before = now
    assert held() == 9  # Until then the moment was part of what was looked at.
    for _ in range(300):
        now = pictures.take(64, 48, "yuv420p")
        before = now
    assert held() == 2 and before is now


def test_memory_that_a_filter_still_reads_is_left_alone() -> None:
    """Encoders and filters hold the memory, not the picture that Python knows."""
    pictures = Pictures()
    picture = pictures.take(64, 48, "yuv420p")
    for plane in plane_views(picture):
        plane[...] = 10
    graph = Graph()
    source = graph.add_buffer(width=64, height=48, format=picture.format, time_base=Fraction(1, 25))
    sink = graph.add("buffersink")
    source.link_to(sink)
    graph.configure()
    graph.vpush(picture)
    del picture, plane
    for plane in plane_views(pictures.take(64, 48, "yuv420p")):
        plane[...] = 200
    assert {int(p.max()) for p in plane_views(graph.vpull())} == {10}
