"""The pipeline at work: every matte on its own frame, the state, the bounds, the report."""

import threading
import time
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from streams import INFO, SIZE, Endless, brightness, build, frame, frames, opened

from vmatte import pipeline
from vmatte.composite import Composite, parse_background
from vmatte.frames import Frame, Scaling, from_array
from vmatte.pipeline import DEPTH, Pipeline
from vmatte.refine import RefineOptions, refine
from vmatte.testing import FunctionMatter, ListSource, MemorySink


class Counting(FunctionMatter):
    """Counts steps and starts; notes the states it is given."""

    def __init__(self) -> None:
        super().__init__(brightness)
        self.starts: list[tuple[int, int]] = []
        self.states: list[int] = []

    def start(self, width: int, height: int) -> int:
        self.starts.append((width, height))
        return 0

    def step(self, rgb: NDArray[np.uint8], state: int) -> Any:
        self.states.append(state)
        return super().step(rgb, state)


def test_every_matte_lands_on_its_own_frame() -> None:
    """Alpha is the frame's number: in the matte, in the composite, and at its own time."""
    matte, over = MemorySink(), MemorySink()
    outputs = [opened(matte), opened(over, Composite(parse_background("black")))]  # type: ignore[arg-type]
    source, matter = ListSource(INFO, frames(120)), Counting()
    options = RefineOptions(method="off", levels=(0, 1), decontaminate=False)
    stats = Pipeline(source, matter, outputs, options=options, workers=4).run()
    assert (stats.frames, stats.dropped, stats.skipped, stats.interrupted) == (120, 0, 0, False)
    # Several outputs, one inference.
    assert len(matter.states) == 120
    for sink in (matte, over):
        assert sink.state == "closed"
        assert [f.pts for f in sink.frames] == [n * n * 1000 + 7 for n in range(120)]
        assert {f.time_base for f in sink.frames} == {INFO.time_base}
    for n, (alpha, picture) in enumerate(zip(matte.frames, over.frames, strict=True)):
        assert np.all(alpha.planes[0] == n)
        assert np.abs(picture.planes[0] - n * n / 255).max() <= 1
    assert source.closed


@pytest.mark.parametrize("still", [False, True])
def test_opencv_has_its_threads_for_pictures_alone(still: bool) -> None:
    """A video's stages fill the cores; what OpenCV had is given back."""
    seen = set()

    def look(rgb: NDArray[np.uint8]) -> Any:
        seen.add(cv2.getNumThreads())
        return brightness(rgb)

    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        source = ListSource(replace(INFO, still=still), frames(1 if still else 8))
        Pipeline(source, FunctionMatter(look), [opened(MemorySink())]).run()
        assert (seen, cv2.getNumThreads()) == ({3 if still else 1}, 3)
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("coloured", [False, True])
def test_colours_are_worked_out_only_where_they_show(
    coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def spy(frame: Frame, rgb: Any, matte: Any, options: RefineOptions) -> Any:
        asked.append(options.decontaminate)
        return refine(frame, rgb, matte, options)

    monkeypatch.setattr(pipeline, "refine", spy)
    outputs = [opened(MemorySink())]
    if coloured:
        outputs.append(opened(MemorySink(), Composite(parse_background("black"))))  # type: ignore[arg-type]
    Pipeline(ListSource(INFO, frames(3)), Counting(), outputs).run()
    assert asked == [coloured] * 3


def test_what_a_run_tells() -> None:
    seen: list[int] = []
    sink = MemorySink()
    sink.notes.append("odd size kept")
    source = ListSource(replace(INFO, notes=("turned",)), frames(5))
    source.skipped = 2
    stats = build(source, [sink], progress=lambda n, info: seen.append(n)).run()
    assert seen == [1, 2, 3, 4, 5]
    assert stats.skipped == 2
    assert stats.notes == ("turned", "memory: odd size kept")
    assert set(stats.stages) == {
        "decode", "scale", "infer", "background", "refine", "composite", "encode"
    }  # fmt: skip
    assert stats.fps == pytest.approx(5 / stats.seconds)
    assert stats.engine.model == "function"
    assert stats.peak_memory is None or 10e6 < stats.peak_memory < 10e9


@pytest.mark.parametrize("scaling", ["bicubic", "area"])
def test_pictures_are_scaled_as_the_model_says(scaling: Scaling) -> None:
    """A checkerboard of 2x2 pixels at 2/3: box filter and cubic one give other values, one mean."""
    rows, columns = np.mgrid[:96, :96] // 2 % 2
    board = from_array(((rows ^ columns) * 255).astype(np.uint8)[..., None].repeat(3, 2), "rgb24")
    info = replace(INFO, width=96, height=96, format=board.format)
    seen: list[NDArray[np.uint8]] = []

    def look(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(rgb)
        return brightness(rgb)

    matter = FunctionMatter(look, size=(64, 64))
    matter.engine = replace(matter.engine, scaling=scaling)
    build(ListSource(info, [board]), [MemorySink()], matter).run()
    assert np.array_equal(seen[0], board.rgb((64, 64), scaling))
    other: Scaling = "area" if scaling == "bicubic" else "bicubic"
    assert np.abs(seen[0].astype(int) - board.rgb((64, 64), other)).mean() > 5
    assert seen[0].mean() == pytest.approx(127.5, abs=1)


def test_state_is_carried_and_reset() -> None:
    """A new segment, and a new working size, begin anew."""
    parts = [frame(n, segment=n // 3) for n in range(7)] + [frame(7, 2, (32, 16))]
    matter = Counting()
    build(ListSource(INFO, parts), [MemorySink()], matter).run()
    assert matter.states == [0, 1, 2, 0, 1, 2, 0, 0]
    assert matter.starts == [SIZE, SIZE, SIZE, (32, 16)]


def test_memory_is_bounded() -> None:
    """However slow the sink, only so many frames wait."""
    gate = threading.Event()

    class Stuck(MemorySink):
        def write(self, frame: Frame) -> None:
            gate.wait(10)
            super().write(frame)

    source = Endless()
    running = build(source, [Stuck(), MemorySink()])
    thread = threading.Thread(target=running.run)
    thread.start()
    time.sleep(0.5)
    # Two queues, and one frame in the hands of each stage.
    assert DEPTH < source.read <= 2 * DEPTH + 4
    running.stop()
    gate.set()
    thread.join(5)
    assert not thread.is_alive()
