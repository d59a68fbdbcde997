"""No frame that is too old is sent, by the very last look; none that would be is begun with."""

import threading
import time
from typing import Any

import numpy as np
import pytest
from live_feed import Clock
from live_run import Start, frames, over, start
from live_sources import Room, info, picture, subject, until
from numpy.typing import NDArray

from vmatte.frames import Frame
from vmatte.live import Captured, LiveOptions
from vmatte.live.age import Spent, limit
from vmatte.live.lane import Item, Lane
from vmatte.live.stages import Stages
from vmatte.live.stats import Latencies
from vmatte.live.tally import Tally
from vmatte.live.timeline import Timeline
from vmatte.testing import FunctionMatter, MemorySink

__all__ = ["start"]


@pytest.mark.parametrize(
    ("interval", "busy", "expected"),
    [
        (1 / 30, 0.0, 2 / 30),  # before the first frame
        (1 / 30, 0.027, 2 / 30),
        (1 / 30, 0.057, 2 / 30),  # can just be done
        (1 / 30, 0.080, 0.160),  # cannot
        (1 / 10, 0.080, 2 / 10),
    ],
)
def test_the_limit(interval: float, busy: float, expected: float) -> None:
    assert limit(interval, busy) == pytest.approx(expected)


@pytest.mark.parametrize("interval", [1 / 60, 1 / 30, 1 / 15])
def test_a_fresh_frame_always_makes_it(interval: float) -> None:
    """Otherwise a slow machine would show nothing."""
    for busy in np.linspace(0, 5 * interval, 200):
        assert limit(interval, busy) - busy >= 0.2 * interval


def test_a_burst_does_not_change_what_is_usual() -> None:
    spent = Spent()
    assert spent.usual == 0
    for seconds in (*([0.03] * 60), *([0.2] * 40)):
        spent.add(seconds)
    assert spent.usual == 0.03
    for _ in range(60):
        spent.add(0.2)
    assert spent.usual == 0.2
    spent.clear()
    assert spent.usual == 0


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ([1 / 30] * 60, 1 / 30),
        ([0.034] * 60, 1 / 30),
        ([0.0, 2 / 30] * 30, 1 / 30),  # two at a time
        ([*([1 / 30] * 80), 0.5], 1 / 30),  # a pause
        ([1 / 15] * 60, 1 / 15),  # a camera in the dark
        ([1 / 15] * 10, 1 / 30),  # too few to tell
    ],
)
def test_the_interval_is_what_the_source_says_where_that_is_true(
    gaps: list[float], expected: float
) -> None:
    clock = Clock()
    timeline = Timeline(clock)
    timeline.nominal = 1 / 30
    timeline.stamped(picture(1), clock.time, "a")
    for gap in gaps:
        clock.time += gap
        timeline.stamped(picture(1), clock.time, "a")
    assert timeline.interval == pytest.approx(expected)


class Converting(MemorySink):
    """Its frames need ``seconds`` of a clock until they can be written."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self._clock, self._seconds = clock, seconds

    def prepare(self, frame: Frame) -> Frame:
        self._clock.time += self._seconds
        return frame


@pytest.mark.parametrize(
    ("age", "takes", "sent"),
    [(0.030, 0.005, 1), (0.064, 0.001, 1), (0.064, 0.005, 0), (0.070, 0.0, 0), (0.030, 1.0, 0)],
)
def test_the_last_look_is_after_the_conversion(age: float, takes: float, sent: int) -> None:
    clock = Clock()
    sink = Converting(clock, takes)
    lane = Lane(over(sink), Latencies(), Latencies(), lambda _: None, clock)
    lane.open(info())
    lane.put(Item(picture(1), clock.time - age, 0.0, 2 / 30))
    lane.end()
    assert lane.join(5)
    assert (len(sink.frames), lane.sent, lane.stale) == (sent, sent, 1 - sent)


def test_slates_and_recordings_have_no_age() -> None:
    class Kept(Converting):
        recording = True

    clock = Clock()
    for sink, at in ((Kept(clock, 9), 0.0), (Converting(clock, 9), None)):
        lane = Lane(over(sink), Latencies(), Latencies(), lambda _: None, clock)
        lane.open(info())
        lane.put(Item(picture(1), at, 0.0, 2 / 30))
        lane.end()
        assert lane.join(5) and len(sink.frames) == 1


def test_late_frames_are_not_sent(start: Start) -> None:
    """Steps that take much longer than usual: their frames are too old when they are done."""
    over_limit: list[float] = []

    class Sink(MemorySink):
        def write(self, frame: Frame) -> None:
            if frame.segment >= 0:
                age = live.feed.now / 90000 - float(frame.time)
                over_limit.append(age - 2 * live.feed.interval)
            super().write(frame)

    count = [0]

    def slow(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        count[0] += 1
        time.sleep(0.3 if count[0] % 20 == 0 else 0.002)
        return subject(rgb)  # type: ignore[no-any-return]

    sink = Sink()
    live = start(Room(rate=25), FunctionMatter(slow), over(sink))
    until(lambda: count[0] > 65, 40)
    stats = live.stop()
    assert stats.dropped["stale"] >= 3
    # A machine that is busy may take the processor from it between the look and this count.
    assert len(over_limit) > 20 and max(over_limit) < 0.02


def test_a_model_slower_than_the_source_is_shown_all_the_same(start: Start) -> None:
    """Two of the source's intervals would be over with every frame."""
    matter = FunctionMatter(lambda rgb: (time.sleep(0.1), subject(rgb))[1])
    sink = MemorySink()
    live = start(Room(), matter, over(sink))
    until(lambda: len(frames(sink)) >= 8)
    stats = live.stop()
    assert stats.dropped["stale"] <= 3


class Script:
    """A feed of frames that have come so many seconds before they are taken. See Feed."""

    def __init__(self, ages: list[float]) -> None:
        self.info, self.interval, self.stands, self.now = info(rate=30), 1 / 30, False, 0
        self._ages = iter(enumerate(ages))
        self.over = threading.Event()

    def newest(self, timeout: float) -> Captured | None:
        found = next(self._ages, None)
        if found is None:
            self.over.set()
            time.sleep(timeout)
            return None
        return Captured(picture(20 * found[0]), time.monotonic() - found[1])


class Outward:
    """Takes what would be sent. See Composer."""

    def send(self, matted: Any, limit: float) -> None:
        pass

    def slate(self, pts: int) -> None:
        pass


def test_what_would_be_late_is_not_computed() -> None:
    """A frame that has come 60 ms ago and needs 20 or more would be 80 old, of 67."""
    seen: list[int] = []

    def slow(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(round(float(rgb.mean()) / 20))
        time.sleep(0.02)
        return subject(rgb)  # type: ignore[no-any-return]

    feed: Any = Script([0, 0.06, 0, 0.06, 0.06, 0, 0.01])
    tally = Tally()
    stages = Stages(feed, LiveOptions(), tally, lambda error: None)
    outward: Any = Outward()
    stages.start(outward, lambda: FunctionMatter(slow), owned=False)
    assert feed.over.wait(10)
    assert stages.stop(5) and stages.join(5)
    # The first is of the warm-up. Never two in a row: what comes after one left out is new.
    assert seen == [0, 0, 2, 4, 5, 6]
    assert tally.stale >= 2
