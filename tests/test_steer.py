"""What the user is certain of: boxes, scribbles, trimaps, plates, and clean-up."""

import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vmatte.errors import InputError, InputNotFoundError, OptionError
from vmatte.frames import from_array
from vmatte.refine import RefineOptions, refine
from vmatte.steer import Box, SteerOptions, parse_box, steered
from vmatte.steer.clean import fill_holes, keep_parts
from vmatte.testing import FunctionMatter

SIZE = (640, 360)
WORKING = (128, 96)
Picture = NDArray[np.uint8]


def noise(size: tuple[int, int] = SIZE, seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (size[1] // 12, size[0] // 12, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def half(rgb: Picture) -> NDArray[np.float32]:
    """A model that is in doubt everywhere."""
    return np.full(rgb.shape[:2], 0.5, np.float32)


def full(options: SteerOptions, *, still: bool = True, size: tuple[int, int] = SIZE) -> Any:
    """The matte at full size, of a model in doubt that is told ``options``."""
    matter = steered(FunctionMatter(half, WORKING), options, *size, still=still)
    frame = from_array(noise(size), "rgb24", time_base=Fraction(1, 25))
    rgb = frame.rgb(WORKING)
    matte, _ = matter.step(rgb, matter.start(*WORKING))
    plain = RefineOptions(method="off", levels=(0, 1), decontaminate=False)
    return refine(frame, rgb, matte, plain).values()


def write(path: Path, image: Any) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def test_nothing_said_is_nothing_done() -> None:
    matter = FunctionMatter()
    assert steered(matter, SteerOptions(), *SIZE, still=False) is matter


def test_boxes_are_exact_at_full_size() -> None:
    """At 128x96 a working pixel is 5 wide; the boxes lie across such pixels."""
    found = full(SteerOptions(keep=(Box(101, 53, 77, 91),), drop=(Box(0.5, 0.5, 0.25, 0.3),)))
    assert (found[53:144, 101:178] == 1).all()
    assert (found[180:288, 320:480] == 0).all()
    # Elsewhere the model decides, a working pixel or two away from the boxes.
    assert abs(found[20:40, 20:600] - 0.5).max() < 1e-6
    assert found[:, 170].max() == 1 and abs(found[100, 190] - 0.5) < 1e-6


def test_what_is_kept_and_dropped_is_dropped() -> None:
    found = full(SteerOptions(keep=(Box(0, 0, 1, 1),), drop=(Box(100, 100, 50, 50),)))
    assert found[100:150, 100:150].max() == 0 and found[:80].min() == 1


def test_scribbles(tmp_path: Path) -> None:
    image = np.full((180, 320, 4), (128, 128, 128, 255), np.uint8)
    image[20:40, 20:60] = (255, 255, 255, 255)
    image[100:120, 20:60] = (0, 0, 0, 255)
    image[20:40, 200:240] = (255, 255, 255, 0)
    image[100:120, 200:240] = (0, 0, 255, 255)
    found = full(SteerOptions(scribbles=write(tmp_path / "s.png", image)))
    assert found[40:80, 40:120].min() == 1 and found[200:240, 40:120].max() == 0
    # Transparent and coloured strokes say nothing.
    assert abs(found[40:80, 400:480] - 0.5).max() < 1e-6
    assert abs(found[200:240, 400:480] - 0.5).max() < 1e-6


def test_a_trimap_of_a_still_is_exact(tmp_path: Path) -> None:
    trimap = np.full(SIZE[::-1], 128, np.uint8)
    trimap[33:222, 55:333] = 255
    trimap[:, 400:] = 0
    found = full(SteerOptions(trimap=write(tmp_path / "t.png", trimap.astype(np.uint16) * 257)))
    assert found[33:222, 55:333].min() == 1 and found[:, 400:].max() == 0
    assert abs(found[300:, :300] - 0.5).max() < 1e-6


def test_a_trimap_follows_a_video(tmp_path: Path) -> None:
    """A textured square moves by 3 pixels a frame over a room that stands still."""
    room, square = noise(SIZE, 1) // 2, noise((120, 120), 2) // 2 + 120
    trimap = np.full(SIZE[::-1], 128, np.uint8)
    trimap[130:230, 210:310] = 255
    options = SteerOptions(trimap=write(tmp_path / "t.png", trimap))
    matter = steered(FunctionMatter(half, WORKING), options, *SIZE, still=False)
    state = matter.start(*WORKING)
    for n in range(12):
        rgb = room.copy()
        rgb[120:240, 200 + 3 * n : 320 + 3 * n] = square
        small = cv2.resize(rgb, WORKING, interpolation=cv2.INTER_AREA)
        kept = pickle.dumps(state)
        matte, after = matter.step(small, state)
        assert pickle.dumps(state) == kept
        state = after
    inner = (slice(40, 56), slice(50, 62))
    assert matte.alpha[inner].mean() > 0.9
    # Where the square was, and is no more, the model decides.
    assert matte.alpha[40:56, 36:44].mean() < 0.65
    cut, _ = matter.step(np.ascontiguousarray(255 - small[::-1]), state)
    assert abs(cut.alpha - 0.5).max() < 1e-6
    # A stream that begins anew, after a gap, is not at the trimap's frame again.
    again, _ = matter.step(small, matter.start(*WORKING))
    assert abs(again.alpha - 0.5).max() < 1e-6


def test_a_trimap_for_each_frame(tmp_path: Path) -> None:
    folder = tmp_path / "trimaps"
    folder.mkdir()
    for n in range(3):
        trimap = np.full(SIZE[::-1], 128, np.uint8)
        trimap[101:203, 100 + 50 * n : 201 + 50 * n] = 255
        write(folder / f"{n}.png", trimap)
    options = SteerOptions(trimap=folder, drop=(Box(0, 0, 640, 120),))
    matter = steered(FunctionMatter(half, WORKING), options, *SIZE, still=False)
    try:
        frame = from_array(noise(), "rgb24", time_base=Fraction(1, 25))
        rgb = frame.rgb(WORKING)
        plain = RefineOptions(method="off", levels=(0, 1), decontaminate=False)
        state = matter.start(*WORKING)
        for n in range(3):
            if n == 2:
                state = matter.start(*WORKING)  # after a cut: the third frame has the third still
            matte, state = matter.step(rgb, state)
            found = refine(frame, rgb, matte, plain).values()
            assert found[120:203, 100 + 50 * n : 201 + 50 * n].min() == 1
            assert found[:120].max() == 0 and abs(found[150, 20] - 0.5) < 1e-6
        with pytest.raises(InputError, match="ends after 3 trimaps"):
            matter.step(rgb, state)
    finally:
        matter.close()
    with pytest.raises(InputError, match="a folder of trimaps"):
        steered(FunctionMatter(half, WORKING), options, *SIZE, still=True)


@pytest.mark.parametrize("gain", [1.0, 0.8])
def test_what_looks_like_the_plate_is_background(gain: float, tmp_path: Path) -> None:
    room = noise(SIZE, 3) // 2 + 60
    rgb = (room * gain).astype(np.float32)
    rgb[100:300, 200:400] = noise((200, 200), 4)
    rgb += np.random.default_rng(5).normal(0, 2, rgb.shape)
    rgb = np.clip(rgb, 0, 255).astype(np.uint8)
    plate = write(tmp_path / "room.png", room[:, :, ::-1])

    def unsure(small: Picture) -> NDArray[np.float32]:
        alpha = np.full(small.shape[:2], 0.4, np.float32)
        alpha[24:82, 36:84] = 0.9
        return alpha

    matter = steered(FunctionMatter(unsure, WORKING), SteerOptions(plate=plate), *SIZE, still=False)
    small = cv2.resize(rgb, WORKING, interpolation=cv2.INTER_AREA)
    alpha = matter.step(small, matter.start(*WORKING))[0].alpha
    outside = np.ones(alpha.shape, bool)
    outside[25:82, 38:82] = False
    assert alpha[outside].mean() < 0.01 and alpha[30:76, 42:78].mean() > 0.8
    moved = np.ascontiguousarray(np.roll(small, 9, 1)[::-1])
    with pytest.raises(InputError, match="camera"):
        matter.step(moved, matter.start(*WORKING))


def test_holes_are_filled_and_bays_are_not() -> None:
    alpha = np.zeros((60, 80), np.float32)
    cv2.circle(alpha, (40, 30), 24, 1.0, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 1)
    holed = alpha.copy()
    cv2.circle(holed, (40, 30), 6, 0.1, -1)
    cv2.rectangle(holed, (0, 28), (24, 32), 0.0, -1)
    filled = fill_holes(holed)
    assert filled[22:39, 32:49].min() == 1
    np.testing.assert_array_equal(filled[:, :30], holed[:, :30])


def parts() -> NDArray[np.float32]:
    """A small part in the centre, a large one at the side, a speck, and faint fog."""
    alpha = np.zeros((90, 160), np.float32)
    cv2.circle(alpha, (80, 45), 10, 1.0, -1)
    cv2.rectangle(alpha, (10, 10), (50, 80), 1.0, -1)
    cv2.rectangle(alpha, (140, 70), (143, 73), 1.0, -1)
    alpha[5:15, 120:150] = 0.2
    return np.clip(cv2.GaussianBlur(alpha, (0, 0), 1), 0, 1)


def test_parts() -> None:
    alpha = parts()
    side, centre = (slice(0, 90), slice(0, 60)), (slice(30, 60), slice(64, 96))
    largest = keep_parts(alpha, only="largest")
    np.testing.assert_allclose(largest[side], alpha[side], atol=0.02)
    assert largest[:, 62:].max() == 0
    nearest = keep_parts(alpha, only="centre")
    np.testing.assert_allclose(nearest[centre], alpha[centre], atol=0.02)
    assert nearest[:, :60].max() == 0 and nearest[:, 100:].max() == 0
    cleaned = keep_parts(alpha, least=50)
    np.testing.assert_allclose(cleaned[:, :100], alpha[:, :100], atol=0.02)
    assert cleaned[:, 110:].max() == 0
    nothing = np.zeros_like(alpha)
    np.testing.assert_array_equal(keep_parts(nothing, least=50, only="largest"), nothing)


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ("1,2,3", "expected four numbers"),
        ("a,b,c,d", "expected four numbers"),
        ("-1,0,5,5", "may not be negative"),
        ("nan,0,5,5", "may not be negative"),
        ("0,0,0,5", "above 0"),
    ],
)
def test_unusable_boxes(box: str, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        parse_box(box)


def test_steering_that_does_not_fit_the_frame(tmp_path: Path) -> None:
    def refused(error: type[Exception], says: str, **options: Any) -> None:
        with pytest.raises(error, match=says):
            steered(FunctionMatter(), SteerOptions(**options), *SIZE, still=True)

    refused(OptionError, "but the frame is 640x360", keep=(Box(600, 0, 50, 50),))
    refused(OptionError, "less than a pixel", drop=(Box(0.5, 0.5, 1e-5, 0.1),))
    small = write(tmp_path / "small.png", np.zeros((180, 320), np.uint8))
    refused(InputError, "is 320x180, but the frame is 640x360", trimap=small)
    refused(InputError, "plate is 320x180", plate=small)
    square = write(tmp_path / "square.png", np.zeros((64, 64), np.uint8))
    refused(InputError, "is 64x64", scribbles=square)
    refused(InputNotFoundError, "no such file", scribbles=tmp_path / "none.png")
    text = tmp_path / "text.png"
    text.write_text("no image")
    refused(InputError, "not an image", trimap=text)
    text.write_text("")
    refused(InputError, "not an image", trimap=text)
    refused(InputError, "is a directory", scribbles=tmp_path)
    with pytest.raises(OptionError, match="all, largest, centre"):
        SteerOptions(only="biggest")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="drop_specks"):
        SteerOptions(drop_specks=-1)
