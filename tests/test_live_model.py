"""Never the raw room where the model fails, hangs, or gives nonsense."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from live_run import Start, frames, start
from live_sources import Room, until
from numpy.typing import NDArray
from slates import GREEN, SIZE, Model, Views, near

from vmatte.errors import InferenceError
from vmatte.frames import Frame
from vmatte.live import LiveOptions
from vmatte.testing import FunctionMatter

__all__ = ["start"]


def test_a_model_that_fails(start: Start) -> None:
    """The slate at once, and again the picture, from a fresh state, when it works again."""
    views, model = Views(), Model()
    live = start(Room(), model, *views.outputs)
    live.until("live")
    model.fails = True
    live.until("error")
    views.shows_slates(live)
    assert near(views.slates()[-1], GREEN)
    model.fails = False
    tried = len(model.states)
    live.until("live")
    assert 0 in model.states[tried - 1 :]
    stats = live.stop()
    assert stats.errors >= 1
    assert any("InferenceError: out of memory" in n for n in stats.notes)
    assert len([n for n in stats.notes if "out of memory" in n]) == 1
    views.check()


def test_a_model_that_hangs(start: Start) -> None:
    views, model = Views(), Model()
    live = start(Room(), model, *views.outputs)
    live.until("live")
    model.go.clear()
    live.until("stalled")
    views.shows_slates(live)
    model.go.set()
    live.until("live")
    stats = live.stop()
    assert stats.stalls == 1
    views.check()


def wrong_shape(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.zeros((2, 2, 2), np.float32)


def no_number(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.full(rgb.shape[:2], np.nan, np.float32)


def infinite(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.full(rgb.shape[:2], np.inf, np.float32)


@pytest.mark.parametrize("alpha", [wrong_shape, no_number, infinite, lambda rgb: "nonsense"])
def test_nonsense_from_a_model(start: Start, alpha: Callable[..., Any]) -> None:
    views = Views()
    live = start(Room(), FunctionMatter(alpha), *views.outputs)
    until(lambda: live.pipeline.snapshot().errors > 3)
    assert live.pipeline.state == "error"
    assert not frames(views.sinks["green"])
    live.stop()
    views.check()


def test_hold_shows_the_last_good_picture(start: Start) -> None:
    views, model = Views(), Model()
    live = start(Room(), model, *views.outputs, options=LiveOptions(on_error="hold"))
    model.fails = True
    live.until("error")
    # There is none yet.
    assert not frames(views.sinks["green"])
    model.fails = False
    live.until("live")
    model.fails = True
    live.until("error")
    time.sleep(0.3)
    sink = views.sinks["green"]
    count = len(sink.frames)
    until(lambda: len(sink.frames) > count + 2)
    held = sink.frames[-3:]
    assert len({f.picture for f in held}) == 1 and not near_green(held[0])
    assert len({f.pts for f in held}) == 3
    # A source that is gone is another matter: who is away is not to be shown.
    live.sources[0].error = OSError("gone")
    until(lambda: live.pipeline.state == "lost")
    views.shows_slates(live)
    live.stop()
    views.check()


def test_nothing_is_held_while_paused(start: Start) -> None:
    """The model fails at a frame that was taken before the pause."""
    views, model = Views(), Model()
    live = start(Room(), model, *views.outputs, options=LiveOptions(on_error="hold"))
    live.until("live")
    model.go.clear()
    time.sleep(0.1)
    live.pipeline.pause()
    sink = views.sinks["green"]
    until(lambda: sink.frames[-1].segment < 0)
    count = len(sink.frames)
    model.fails = True
    model.go.set()
    until(lambda: live.pipeline.snapshot().errors)
    until(lambda: len(sink.frames) > count + 2)
    assert all(f.segment < 0 for f in sink.frames[count:])
    live.stop()
    views.check()


def near_green(frame: Frame) -> bool:
    rgb = frame.rgb(SIZE)[32, 48].astype(int)
    return bool(np.abs(rgb - GREEN).max() <= 6)


def test_stop_on_error(start: Start) -> None:
    views, model = Views(), Model()
    live = start(Room(), model, *views.outputs, options=LiveOptions(on_error="stop"))
    live.until("live")
    model.fails = True
    result = live.wait()
    assert isinstance(result, InferenceError)
    assert all(s.state == "closed" for s in views.sinks.values())
    views.check()
