"""The one-frame-delay rule: single frames that flicker are mended, and nothing else is touched."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from media import Sound, make_video, packets_of, times_of
from streams import INFO, Endless, bounded, brightness, frame, frames, opened
from user import TINY, Call, User, call, user

from vmatte.frames import Frame
from vmatte.matting.base import Matte
from vmatte.matting.delay import one_frame_delay, settled
from vmatte.pipeline import Pipeline
from vmatte.refine import RefineOptions
from vmatte.testing import FunctionMatter, ListSource, MemorySink

__all__ = ["call", "user"]

PLAIN = RefineOptions(method="off", levels=(0, 1), decontaminate=False)


def run(source: Any, levels: Sequence[float], **more: Any) -> list[Frame]:
    """Mattes of a model that says ``levels`` of its frames, one after the other."""
    said = iter(levels)
    matter = FunctionMatter(lambda rgb: np.full(rgb.shape[:2], next(said), np.float32))
    sink = MemorySink()
    Pipeline(source, matter, [opened(sink)], options=PLAIN, **more).run()
    assert sink.state == "closed"
    return sink.frames


def shown(mattes: Sequence[Frame]) -> list[float]:
    return [round(float(f.planes[0].mean()) / 255, 2) for f in mattes]


FLICKER = [1, 1, 0, 1, 1, 0.2, 0.25, 0.9, 0.2, 0]


def test_a_single_frames_flicker_is_removed() -> None:
    plain = run(ListSource(INFO, frames(10)), FLICKER)
    settled = run(ListSource(INFO, frames(10)), FLICKER, delay_one=True)
    assert shown(plain) == pytest.approx(FLICKER, abs=0.005)
    # Frame 2 fell out and 7 flashed up: each takes the mean of its neighbours.
    assert shown(settled) == pytest.approx([1, 1, 1, 1, 1, 0.2, 0.25, 0.22, 0.2, 0], abs=0.006)
    # Each frame once, at its own time, the last one too.
    assert [f.pts for f in settled] == [f.pts for f in plain] == [f.pts for f in frames(10)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_sources(count: int) -> None:
    found = run(ListSource(INFO, frames(count)), FLICKER[1:], delay_one=True)
    assert [f.pts for f in found] == [f.pts for f in frames(count)]
    assert shown(found) == [1, 1, 1][:count] if count == 3 else [1, 0][:count]


def test_what_changes_for_good_is_not_held_up() -> None:
    """A step, a ramp and a flicker of two frames are no flicker of one."""
    levels = [0, 0, 1, 1, 0.8, 0.6, 0.4, 0.2, 0.2, 1, 1, 0.2, 0.2]
    found = run(ListSource(INFO, frames(len(levels))), levels, delay_one=True)
    assert shown(found) == pytest.approx(levels, abs=0.005)


def test_nothing_is_taken_over_a_gap() -> None:
    parts = [replace(frame(n), segment=int(n >= 3)) for n in range(6)]
    levels = [1, 1, 0, 1, 0.1, 1]
    found = run(ListSource(INFO, parts), levels, delay_one=True)
    # Frame 2 is the last of its segment and has no neighbour after it; 4 has two.
    assert shown(found) == pytest.approx([1, 1, 0, 1, 1, 1], abs=0.005)


def test_each_pixel_by_itself() -> None:
    before, alpha, after = (np.full((2, 2), v, np.float32) for v in (0.5, 0.5, 0.55))
    alpha[0, 0], alpha[1, 1], after[1, 1] = 0.9, 0.9, 0.9
    found = settled(before, alpha, after)
    np.testing.assert_allclose(found, [[0.525, 0.5], [0.5, 0.9]], atol=1e-6)
    assert found.dtype == np.float32


def test_every_frame_keeps_its_own_matte_and_colours() -> None:
    """The frame that is held back is the frame that comes out, with what else its matte says."""
    colours = [np.full((32, 64, 3), n / 10, np.float32) for n in range(4)]
    given = []
    for n in range(4):
        alpha = np.full((32, 64), (1, 1, 0, 1)[n], np.float32)
        given.append((frame(n), np.zeros((32, 64, 3), np.uint8), Matte(alpha, colours[n])))
    found = list(one_frame_delay(iter(given)))
    for (a, _, matte), (b, _, _), own in zip(found, given, colours, strict=True):
        assert a is b and matte.foreground is own
        assert (matte.alpha == 1).all()
    assert (given[2][2].alpha == 0).all()


def test_a_stop_leaves_what_was_done_whole() -> None:
    source, sink = Endless(), MemorySink()
    pipeline: Any = None

    def stop(count: int, info: Any) -> None:
        if count == 5:
            pipeline.stop()

    pipeline = Pipeline(
        source, FunctionMatter(brightness), [opened(sink)], options=PLAIN, progress=stop,
        delay_one=True,
    )  # fmt: skip
    stats: Any = bounded(pipeline.run)
    assert stats.interrupted and sink.state == "closed"
    assert [f.pts for f in sink.frames] == [frame(n + 1).pts for n in range(stats.frames)]


def test_files_keep_times_and_sound(call: Call, user: User) -> None:
    uneven = [0, 1, 2, 5, 6, 9, 10, 11]
    source = make_video(user.here / "uneven.mp4", times=uneven, sounds=[Sound()])
    for name, more in (("a.mp4", ()), ("b.mp4", ("--delay-one",))):
        assert call("run", "uneven.mp4", "-o", name, *TINY, *more, "--quiet") == (0, "", "")
    made, plain = user.here / "b.mp4", user.here / "a.mp4"
    assert times_of(made) == times_of(source) == times_of(plain) and len(times_of(made)) == 8
    assert packets_of(made, "audio") == packets_of(source, "audio") != []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("live", "camera:0", "-o", "null:"), "live there is none: --stabilise flow"),
        (("preview", "clip.mp4"), "live there is none"),
        (("image", "clip.mp4", "-o", "out.png"), "a picture on its own has none"),
        (("batch", "clip.mp4", "-o", "out", "--split", "10"), "parts of --split"),
    ],
)
def test_verbs_without_the_frame_to_come_refuse(
    words: tuple[str, ...], why: str, call: Call
) -> None:
    code, out, err = call(*words, "--delay-one")
    assert (code, out) == (1, "")
    assert err.startswith("OptionError: --delay-one needs the frame to come;") and why in err
