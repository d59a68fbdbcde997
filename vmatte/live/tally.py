"""What is counted and noted in a live run, and the two reports made of it."""

import time
from collections.abc import Sequence

from vmatte.errors import mask
from vmatte.live.feed import Feed
from vmatte.live.inference import Inference
from vmatte.live.lane import Lane
from vmatte.live.stats import Latencies, LiveSnapshot, LiveState, LiveStats, Rate
from vmatte.stats import Clock, peak_memory

_NOTES = 100


class Tally:
    """Counts of the parts that have none of their own."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.clock = Clock()
        self.latency, self.overhead, self.rate = Latencies(), Latencies(), Rate()
        self.errors = self.stale = self.hangs = 0
        self.notes: list[str] = []
        self.begin = 0.0

    def note(self, text: str) -> None:
        """Keep what is to be told to the user, once."""
        if text not in self.notes and len(self.notes) < _NOTES:
            self.notes.append(text)

    def error(self, error: BaseException) -> None:
        """Count and note what went wrong."""
        self.errors += 1
        self.note(mask(f"{type(error).__name__}: {error}"))

    def dropped(self, feed: Feed, lanes: Sequence[Lane], composing: int) -> dict[str, int]:
        """Return frames left out for newer ones, by place."""
        found = {
            "capture": feed.dropped,
            "compose": composing,
            "stale": self.stale + sum(x.stale for x in lanes),
        }
        for lane in lanes:
            found[lane.name] = found.get(lane.name, 0) + lane.dropped
        return found

    def snapshot(
        self,
        state: LiveState,
        feed: Feed,
        lanes: Sequence[Lane],
        composing: int,
        inference: Inference | None,
        scale: float,
    ) -> LiveSnapshot:
        """Return what goes on now."""
        recent = self.latency.recent()
        return LiveSnapshot(
            state=state,
            seconds=time.monotonic() - self.begin if self.begin else 0.0,
            fps=self.rate.value(),
            latency_p50=recent[0] if recent else None,
            latency_p95=recent[1] if recent else None,
            captured=feed.captured,
            sent=max((x.sent for x in lanes), default=0),
            dropped=sum(self.dropped(feed, lanes, composing).values()),
            slates=max((x.slates for x in lanes), default=0),
            stalls=feed.stalls + self.hangs,
            reconnects=feed.reconnects,
            errors=self.errors,
            reused=inference.reused if inference else 0,
            engine=inference.matter.engine if inference else None,
            working=inference.working if inference else None,
            share=inference.share if inference else scale,
            source=feed.description,
            notes=tuple(self.notes),
        )

    def stats(
        self,
        feed: Feed,
        lanes: Sequence[Lane],
        composing: int,
        inference: Inference | None,
        interrupted: bool,
    ) -> LiveStats:
        """Return what was done."""
        return LiveStats(
            captured=feed.captured,
            composed=self.rate.count,
            sent={x.name: x.sent for x in lanes},
            dropped=self.dropped(feed, lanes, composing),
            slates=max((x.slates for x in lanes), default=0),
            stalls=feed.stalls + self.hangs,
            losses=feed.losses,
            reconnects=feed.reconnects,
            errors=self.errors,
            reused=inference.reused if inference else 0,
            seconds=time.monotonic() - self.begin,
            latency=self.latency.overall(),
            overhead=self.overhead.overall(),
            stages=dict(self.clock.stages),
            engine=inference.matter.engine if inference else None,
            peak_memory=peak_memory(),
            interrupted=interrupted,
            notes=tuple(self.notes),
        )
