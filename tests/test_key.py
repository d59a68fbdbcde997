"""The chroma key: exact edges, no spill, and the model's word on what is not the edge."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vmatte.colour import LIMITED, Colour
from vmatte.composite import Composite, Subject
from vmatte.composite.background import ColourBackground
from vmatte.errors import OptionError
from vmatte.frames import Frame, StreamInfo, from_array
from vmatte.matting import Matte, MatterOptions, build_matter
from vmatte.output import Output
from vmatte.pipeline import Pipeline
from vmatte.refine import RefineOptions, refine
from vmatte.registry import find_places, load_registry
from vmatte.runtimes import RuntimeOptions
from vmatte.sources import open_source
from vmatte.steer.keyoptions import KeyOptions, parse_key
from vmatte.testing import FunctionMatter, ListSource, MemorySink

Array = NDArray[np.float32]
GREEN, BLUE = np.float32([40, 170, 75]), np.float32([30, 70, 190])
SIZE = (480, 270)


def scene(screen: Any = GREEN, spill: float = 0.0) -> tuple[Array, NDArray[np.uint8]]:
    """True alpha of a head with hairs, and its picture before an unevenly lit screen."""
    w, h = SIZE
    big = np.zeros((h * 4, w * 4), np.uint8)
    cv2.ellipse(big, (w * 2, h * 2), (260, 380), 0, 0, 360, 255, -1, cv2.LINE_AA)
    for angle in range(0, 360, 15):
        tip = (int(w * 2 + 380 * np.cos(angle)), int(h * 2 + 480 * np.sin(angle)))
        cv2.line(big, (w * 2, h * 2), tip, 255, 6, cv2.LINE_AA)
    alpha = cv2.resize(big, SIZE, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    light = np.linspace(0.8, 1.1, w, dtype=np.float32)[None, :, None]
    behind = np.broadcast_to(light * screen, (h, w, 3))
    figure = np.full((h, w, 3), (112, 106, 104), np.float32) + np.float32(spill) * screen
    rgb = figure * alpha[:, :, None] + behind * (1 - alpha[:, :, None])
    grain = np.random.default_rng(0).normal(0, 1.5, (h, w, 1))
    return alpha, np.clip(rgb + grain, 0, 255).astype(np.uint8)


def model(alpha: Array) -> Matte:
    """What a model would say of it: the head, roughly, without the hairs."""
    small = cv2.resize(alpha, (120, 68), interpolation=cv2.INTER_AREA)
    opened = cv2.morphologyEx(small, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    return Matte(np.clip(cv2.GaussianBlur(opened, (0, 0), 1.5), 0, 1))


def native(rgb: NDArray[np.uint8], format: str = "yuv420p") -> Frame:
    frame = from_array(rgb, "rgb24", time_base=Fraction(1, 25))
    if format == "rgb24":
        return frame
    return frame.convert(format, colour=Colour(matrix=1, range=LIMITED))


def run(
    rgb: NDArray[np.uint8], matte: Matte, key: str | None = "green", format: str = "yuv420p"
) -> tuple[Any, Frame]:
    frame = native(rgb, format)
    small = cv2.resize(rgb, matte.alpha.shape[::-1], interpolation=cv2.INTER_AREA)
    options = RefineOptions(key=parse_key(key) if key else None)
    return refine(frame, small, matte, options), frame


def over(frame: Frame, full: Any, colour: tuple[int, int, int]) -> NDArray[np.int32]:
    """The composite as its output shows it, RGB."""
    composite = Composite(ColourBackground(colour))
    composite.open(info_of(frame))
    made = composite.compose(frame, full, composite.advance(frame))
    return made.rgb((frame.width, frame.height)).astype(np.int32)


def info_of(frame: Frame) -> StreamInfo:
    return StreamInfo(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        colour=frame.colour,
        time_base=frame.time_base,
    )


def greenness(rgb: NDArray[np.int32]) -> NDArray[np.int32]:
    return rgb[:, :, 1] - np.maximum(rgb[:, :, 0], rgb[:, :, 2])


@pytest.mark.parametrize("format", ["yuv420p", "yuv444p", "yuv422p10le", "rgb24", "gbrp"])
def test_the_edge_is_the_keys(format: str) -> None:
    alpha, rgb = scene()
    matte = model(alpha)
    keyed, frame = run(rgb, matte, format=format)
    plain, _ = run(rgb, matte, None, format)
    error = float(np.abs(keyed.values() - alpha).mean() * 1000)
    without = float(np.abs(plain.values() - alpha).mean() * 1000)
    # Hairs of a pixel and a half: chroma at half the size shows them less well.
    limit = 11 if format in ("yuv444p", "rgb24", "gbrp") else 15
    assert error < limit and error < 0.6 * without, (error, without)
    for colour in ((0, 0, 0), (255, 255, 255)):
        assert np.percentile(greenness(over(frame, keyed, colour)), 99.9) <= 8


def test_blue_and_a_colour_of_ones_own() -> None:
    alpha, rgb = scene(BLUE)
    for key in ("blue", "#2040c0", "blue:0.2"):
        keyed, _ = run(rgb, model(alpha), key)
        assert float(np.abs(keyed.values() - alpha).mean() * 1000) < 15


def test_spill_goes_and_other_colours_stay() -> None:
    alpha, rgb = scene(spill=0.2)
    solid = cv2.erode(alpha, np.ones((15, 15))) == 1
    assert greenness(rgb.astype(np.int32))[solid].mean() > 12
    keyed, frame = run(rgb, model(alpha))
    assert greenness(over(frame, keyed, (0, 0, 0)))[solid].mean() < 3
    alpha, rgb = scene()
    keyed, frame = run(rgb, model(alpha))
    as_it_was = frame.rgb(SIZE).astype(np.int32)
    difference = np.abs(over(frame, keyed, (0, 0, 0)) - as_it_was)[solid]
    assert np.percentile(difference, 99) <= 4


def test_something_green_on_the_subject_stays() -> None:
    alpha, rgb = scene()
    badge = (slice(120, 150), slice(225, 255))
    rgb[badge] = (30, 150, 60)
    keyed, frame = run(rgb, model(alpha))
    assert keyed.values()[badge].min() == 1
    inner = (slice(124, 146), slice(229, 251))
    difference = np.abs(over(frame, keyed, (0, 0, 0)) - frame.rgb(SIZE).astype(np.int32))
    assert difference[inner].max() <= 4


def test_a_lamp_beside_the_subject_goes() -> None:
    alpha, rgb = scene()
    rgb[40:220, 20:60] = 90
    keyed, _ = run(rgb, model(alpha))
    assert keyed.values()[:, :90].max() == 0


def test_without_a_screen_the_model_decides() -> None:
    alpha, rgb = scene(np.float32([120, 110, 100]))
    keyed, _ = run(rgb, model(alpha))
    plain, _ = run(rgb, model(alpha), None)
    np.testing.assert_array_equal(keyed.values(), plain.values())
    assert not keyed.screen
    assert plain.screen
    assert run(scene()[1], model(alpha))[0].screen


def test_frames_without_a_screen_are_told() -> None:
    """One cut to a room in a video before a screen: how many frames the key had no say in."""
    alpha, before = scene()
    room = scene(np.float32([120, 110, 100]))[1]
    shown = [native(rgb) for rgb in (before, room, before, room, room)]
    given = [replace(f, pts=n) for n, f in enumerate(shown)]
    low = model(alpha).alpha
    matter = FunctionMatter(lambda rgb: low, size=low.shape[::-1])
    output = Output(Composite(ColourBackground((0, 0, 0))), MemorySink())
    output.open(info_of(given[0]))
    options = RefineOptions(key=parse_key("green"))
    stats = Pipeline(ListSource(info_of(given[0]), given), matter, [output], options=options).run()
    assert [n for n in stats.notes if "--key" in n] == [
        "--key: no screen of that colour was seen in 3 of 5 frames: there the model's matte "
        "stands alone"
    ]


def test_the_subject_alone_has_its_own_colours() -> None:
    alpha, rgb = scene()
    full, frame = run(rgb, model(alpha))
    subject = Subject(transparent=True)
    subject.open(info_of(frame))
    made = subject.compose(frame, full, None)
    assert made.format.alpha
    seen = made.planes[3] > 40
    colours = made.convert("rgb24").rgb(SIZE).astype(np.int32)
    assert np.percentile(greenness(colours)[seen], 99) <= 8


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("grün", "expected green, blue or #rrggbb"),
        ("#777777", "nearly gray"),
        ("green:", "not a number"),
        ("green:2", "0.01 to 0.8"),
        ("green:nan", "0.01 to 0.8"),
    ],
)
def test_unusable_keys(text: str, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        parse_key(text)


def test_gray_pictures_have_no_key() -> None:
    _, rgb = scene()
    with pytest.raises(OptionError, match="no colour to key"):
        run(rgb, Matte(np.ones((68, 120), np.float32)), format="gray")
    assert parse_key("green:0.3") == KeyOptions(colour=parse_key("green").colour, tolerance=0.3)


def test_a_real_screen(shared: Callable[[str], Path]) -> None:
    """The actor before the green screen, with the matte of a small model."""
    record = load_registry(find_places(Path("/nowhere"))).get("u2netp")
    options = MatterOptions(runtime=RuntimeOptions(runtime="onnxruntime"))
    matter = build_matter(record, shared("weights/u2netp_fp16w.onnx"), options)
    source = open_source(str(shared("clips/th_actor_green_screen.mp4")))
    try:
        frame = next(islice(source, 5, None))
    finally:
        source.close()
    rgb = frame.rgb(matter.working_size(512, 512))
    matte, _ = matter.step(rgb, None)
    matter.close()
    keyed = refine(frame, rgb, matte, RefineOptions(key=parse_key("green")))
    plain = refine(frame, rgb, matte, RefineOptions())
    # Of the composite on black, where the jacket and the bar below it are left out.
    left = [
        np.percentile(greenness(over(frame, full, (0, 0, 0)))[:380], 99.9)
        for full in (keyed, plain)
    ]
    assert left[0] <= 6 and left[1] > 15, left
