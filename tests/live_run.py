"""A live run in a thread of its own, for tests."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from live_sources import until
from numpy.typing import NDArray

from vmatte.composite import AlphaOutput, Composite, parse_background
from vmatte.frames import Frame
from vmatte.live import Feed, LivePipeline, LiveStats
from vmatte.output import Output
from vmatte.refine import RefineOptions
from vmatte.testing import MemorySink

PLAIN = RefineOptions(method="off", decontaminate=False, levels=(0, 1))


class Live:
    """A live run in a thread of its own."""

    def __init__(self, source: Any, matter: Any, *outputs: Output, **more: Any) -> None:
        sources = source if isinstance(source, list) else [source]
        opened = iter(sources)
        self.sources = sources
        self.feed = Feed(lambda: next(opened), backoff=(0.25, 0.4), stall=0.3, lost=0.6)
        more.setdefault("refine", PLAIN)
        self.pipeline = LivePipeline(self.feed, matter, outputs, **more)
        self.result: list[Any] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result.append(self.pipeline.run())
        except BaseException as e:
            self.result.append(e)

    def until(self, state: str) -> None:
        until(lambda: self.pipeline.state == state or self.result)
        assert self.pipeline.state == state

    def wait(self, seconds: float = 3) -> Any:
        self._thread.join(seconds)
        assert self.result, "the run hangs"
        return self.result[0]

    def stop(self) -> LiveStats:
        begin = time.monotonic()
        self.pipeline.stop()
        result = self.wait()
        assert time.monotonic() - begin < 1
        assert isinstance(result, LiveStats), result
        return result

    def end(self) -> None:
        self.pipeline.stop()
        for source in self.sources:
            for name in ("end", "close"):
                getattr(source, name, lambda: None)()
        self._thread.join(5)


Start = Callable[..., Live]


@pytest.fixture
def start() -> Iterator[Start]:
    made: list[Live] = []

    def begin(*words: Any, **more: Any) -> Live:
        made.append(Live(*words, **more))
        return made[-1]

    yield begin
    for live in made:
        live.end()


def matte(sink: Any) -> Output:
    return Output(AlphaOutput(), sink)


def over(sink: Any, background: str = "green") -> Output:
    behind = parse_background(background)
    assert behind is not None
    return Output(Composite(behind), sink)


def brightness(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return rgb[:, :, 0].astype(np.float32) / 255


def frames(sink: MemorySink) -> list[Frame]:
    """What was sent, without slates."""
    return [f for f in sink.frames if f.segment >= 0]
