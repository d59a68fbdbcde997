"""How late live frames are, and whether a live run survives its failures.

A 720p30 clip, with a marker painted into its background, is played by the clock from memory, into
a null sink and into pyvirtualcam's Camera with a backend that keeps times only. Ages are counted
when the sink gets the frame. Then, with --minutes, a soak: failures of all kinds are injected in
turn; memory, threads and descriptors are watched, and every frame sent is searched for the marker.

    python -m benchmarks.live --shared ../shared --minutes 30 --fail-every 60
"""

import gc
import itertools
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RVM, arguments, models, table, write
from benchmarks.memory import resident
from vmatte.composite import Composite, parse_background
from vmatte.errors import InferenceError, InputError, SourceLostError
from vmatte.frames import Frame, StreamInfo, from_array
from vmatte.live import Feed, LivePipeline, LiveStats
from vmatte.matting import load_matter
from vmatte.pipeline import Output
from vmatte.sinks import NullSink
from vmatte.sinks.virtualcam import VirtualCameraSink
from vmatte.sources import open_source
from vmatte.sources.synthetic import paint_marker, shows_marker
from vmatte.testing import FunctionMatter

CLIP = "hb_woman_plants_room.mp4"
RATE, FRAMES = 30, 60
WARM_UP = 3.0
"""Seconds of each timing that do not count."""

AGE, OVERHEAD, SLOPE = 2.0, 15.0, 2.0
"""Goals: intervals, ms at the 95th percentile, MB an hour."""


class Clip:
    """Opens live sources that play the same pictures, and makes them fail when told to."""

    def __init__(self, path: Path) -> None:
        """Decode the beginning of ``path`` and paint the marker into it."""
        source = open_source(str(path))
        self._info = source.info
        self._frames: list[Frame] = []
        for frame in itertools.islice(source, FRAMES):
            rgb = frame.rgb((frame.width, frame.height))
            paint_marker(rgb)
            painted = from_array(rgb, "rgb24").convert(frame.format.name, colour=frame.colour)
            self._frames.append(painted)
        source.close()
        # Made once: what the benchmark itself allocates must not be taken for the run's.
        self._small = [f.convert(f.format.name, (640, 360)) for f in self._frames]
        self.small = False
        self.silent = threading.Event()
        self.error: Exception | None = None
        self.away_until = 0.0

    def open(self) -> "Playing":
        """Connect."""
        if time.monotonic() < self.away_until:
            raise InputError("refused")
        frames = self._small if self.small else self._frames
        size = (frames[0].width, frames[0].height)
        info = replace(self._info, width=size[0], height=size[1], rate=Fraction(RATE), live=True)
        return Playing(self, info, frames)


class Playing:
    """One connection. See FrameSource."""

    def __init__(self, clip: Clip, info: StreamInfo, frames: list[Frame]) -> None:
        """Play ``frames`` over and over."""
        self.info, self.skipped, self._clip, self._frames = info, 0, clip, frames
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield each frame at its time."""
        begin = time.monotonic()
        for count in itertools.count():
            wait = begin + count / RATE - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            elif wait < -0.5:
                begin -= wait  # A camera does not catch up.
            while self._clip.silent.is_set() and not self._closed:
                time.sleep(0.02)
            if self._closed:
                return
            if self._clip.error is not None:
                error, self._clip.error = self._clip.error, None
                raise error
            yield replace(self._frames[count % len(self._frames)], pts=count)

    def close(self) -> None:
        """End."""
        self._closed = True


class Measured(NullSink):
    """Keeps the age of each frame, in ms, or looks for the marker."""

    feed: Feed

    def __init__(self, search: str = "") -> None:
        """Look for the marker in 'all' frames, or in 'slates' alone."""
        super().__init__()
        self._search = search
        self.ages: list[tuple[float, float]] = []
        self.raw = self.slates = self.searched = 0

    def write(self, frame: Frame) -> None:
        """Note how old the frame is."""
        super().write(frame)
        if frame.segment < 0:
            self.slates += 1
        elif not self._search:
            age = self.feed.now / 90000 - float(frame.time)
            self.ages.append((time.monotonic(), age * 1000))
        if self._search == "all" or (self._search and frame.segment < 0):
            self.searched += 1
            self.raw += shows_marker(frame.rgb((320, 180)))


class Silent:
    """A backend of pyvirtualcam that keeps times only."""

    def __init__(self, **_: Any) -> None:
        """Begin."""
        self.times: list[float] = []

    def send(self, frame: Any) -> None:
        """Keep the time."""
        self.times.append(time.monotonic())

    def close(self) -> None:
        """Nothing is held."""

    def device(self) -> str:
        """Name it."""
        return "silent"

    def native_fourcc(self) -> int | None:
        """Take anything."""
        return None


class MeasuredCamera(VirtualCameraSink):
    """The virtual camera, with the age of each frame. See Measured."""

    feed: Feed

    def __init__(self) -> None:
        """Use the silent backend."""
        import pyvirtualcam

        pyvirtualcam.camera.BACKENDS["silent"] = Silent
        super().__init__("silent")
        self.ages: list[tuple[float, float]] = []

    def write(self, frame: Frame) -> None:
        """Send it, and note how old it was."""
        if frame.segment >= 0:
            age = self.feed.now / 90000 - float(frame.time)
            self.ages.append((time.monotonic(), age * 1000))
        super().write(frame)


def over(sink: Any, background: str) -> Output:
    """Return an output over ``background``."""
    behind = parse_background(background)
    assert behind is not None
    return Output(Composite(behind), sink)


def timing(clip: Clip, model: str | None, kind: str, background: str, seconds: float) -> Any:
    """Run for ``seconds`` and return a row of figures."""
    feed = Feed(clip.open)
    sink: Any = Measured() if kind == "null" else MeasuredCamera()
    sink.feed = feed
    begun = [0.0]

    def progress(now: Any) -> None:
        if now.state == "live" and not begun[0]:
            begun[0] = time.monotonic()
        if begun[0] and time.monotonic() - begun[0] > seconds + WARM_UP:
            pipeline.stop()

    pipeline = LivePipeline(
        feed, lambda: load_matter(model), [over(sink, background)], progress=progress, every=0.2
    )
    stats = pipeline.run()
    ages = [a for t, a in sink.ages if t > begun[0] + WARM_UP]
    latency, overhead = stats.latency or (0, 0), stats.overhead or (0, 0)
    dropped = {k: v for k, v in stats.dropped.items() if v}
    assert stats.engine is not None
    return {
        "fps": len(ages) / seconds,
        "oldest": max(ages) / 1000 * RATE if ages else None,
        "p50_ms": latency[0],
        "p95_ms": latency[1],
        "other_p50_ms": overhead[0],
        "other_p95_ms": overhead[1],
        "captured": stats.captured,
        "dropped": dropped,
        "engine": f"{stats.engine.runtime} {stats.engine.precision}",
        "stages_ms": {k: 1000 * v / max(1, stats.composed) for k, v in stats.stages.items()},
    }


class Fragile:
    """A matter that fails or hangs when told to. See Matter."""

    def __init__(self, matter: Any) -> None:
        """Pass all on to ``matter``."""
        self._matter, self.engine = matter, matter.engine
        self.working_size, self.start = matter.working_size, matter.start
        self.fails = self.hangs = False

    def step(self, rgb: Any, state: Any) -> Any:
        """Matte, fail or hang."""
        while self.hangs:
            time.sleep(0.02)
        if self.fails:
            raise InferenceError("injected")
        return self._matter.step(rgb, state)

    def close(self) -> None:
        """Free the network."""
        self._matter.close()


FAILURES = ("raises", "stalls", "away", "size", "model fails", "model hangs", "paused")


def inject(kind: str, clip: Clip, matter: Fragile, pipeline: LivePipeline) -> None:
    """Let one thing go wrong for a few seconds, then right again."""
    if kind == "raises":
        clip.error = SourceLostError("unplugged")
    elif kind == "stalls":
        clip.silent.set()
        time.sleep(4)
        clip.silent.clear()
    elif kind == "away":
        clip.away_until = time.monotonic() + 6
        clip.error = SourceLostError("server gone")
        time.sleep(6)
    elif kind == "size":
        clip.small = not clip.small
        clip.error = SourceLostError("changed")
    elif kind == "model fails":
        matter.fails = True
        time.sleep(1)
        matter.fails = False
    elif kind == "model hangs":
        matter.hangs = True
        time.sleep(3)
        matter.hangs = False
    else:
        pipeline.pause()
        time.sleep(1)
        pipeline.resume()


def descriptors() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def soak(clip: Clip, model: str | None, minutes: float, fail_every: float) -> dict[str, Any]:
    """Run for ``minutes``, with a failure every so many seconds."""
    before = (threading.active_count(), descriptors())
    matter = Fragile(load_matter(model))
    feed = Feed(clip.open)
    # A blurred room has the marker in it, blurred: there it is looked for in slates.
    sinks = [Measured("all"), Measured("slates")]
    for sink, name in zip(sinks, ("green", "blur"), strict=True):
        sink.name = name
    pipeline = LivePipeline(feed, matter, [over(sinks[0], "green"), over(sinks[1], "blur:40")])
    results: list[LiveStats] = []
    thread = threading.Thread(target=lambda: results.append(pipeline.run()))
    thread.start()
    begin = time.monotonic()
    samples: list[tuple[float, float]] = []
    injected: dict[str, list[float]] = {k: [] for k in FAILURES}
    lost: list[str] = []
    kinds = itertools.cycle(FAILURES)
    next_failure = begin + min(fail_every, 20)
    while (now := time.monotonic()) < begin + minutes * 60 and thread.is_alive():
        samples.append((now - begin, resident()))
        if now >= next_failure:
            next_failure += fail_every
            kind = next(kinds)
            inject(kind, clip, matter, pipeline)
            took = recovery(pipeline)
            if took is None:
                lost.append(kind)
            else:
                injected[kind].append(took)
        time.sleep(1)
    during = (threading.active_count(), descriptors())
    pipeline.stop()
    thread.join(20)
    matter.close()
    gc.collect()
    stats = results[0]
    late = np.array([s for s in samples if s[0] > 0.2 * minutes * 60], float)
    (gain, _), spread = np.polyfit(late[:, 0] / 3600, late[:, 1], 1, cov=True)
    return {
        "minutes": minutes,
        "fail_every": fail_every,
        "failures": sum(map(len, injected.values())) + len(lost),
        "not_recovered": lost,
        "recovery_seconds": {k: v for k, v in injected.items() if v},
        "raw_frames": sum(s.raw for s in sinks),
        "frames_searched": sum(s.searched for s in sinks),
        "slates": stats.slates,
        "mb_per_hour": float(gain),
        "mb_per_hour_error": float(spread[0, 0] ** 0.5),
        "peak_mb": (stats.peak_memory or 0) / 1e6,
        "threads": {"before": before[0], "during": during[0], "after": threading.active_count()},
        "descriptors": {"before": before[1], "during": during[1], "after": descriptors()},
        "stats": {
            k: getattr(stats, k)
            for k in ("captured", "composed", "stalls", "losses", "reconnects", "errors")
        },
        "fps": stats.fps,
        "memory": [s for i, s in enumerate(samples) if i % 10 == 0],
    }


def recovery(pipeline: LivePipeline) -> float | None:
    """Wait until composites flow again; return the seconds it took, None where they do not."""
    begin, sent = time.monotonic(), pipeline.snapshot().sent
    while time.monotonic() - begin < 20:
        if pipeline.state == "live" and pipeline.snapshot().sent > sent + 5:
            return time.monotonic() - begin
        time.sleep(0.05)
    return None


def main() -> int:
    """Measure, print, write and judge."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each timing")
    parser.add_argument("--minutes", type=float, default=0, help="of the soak; 0: none")
    parser.add_argument("--fail-every", type=float, default=60, help="seconds between failures")
    parser.add_argument("--model", help="of the soak; default: the bundled one")
    args = parser.parse_args()
    clip = Clip(args.shared / "clips" / CLIP)
    rgb = next(iter(clip.open())).rgb((320, 180))
    assert shows_marker(rgb), "the marker is not seen: the soak would prove nothing"
    good = True
    with models(args.shared):
        rows: dict[str, Any] = {}
        if args.seconds:
            # Once more for what is loaded and compiled only once.
            quick = LivePipeline(Feed(clip.open), FunctionMatter(), [over(NullSink(), "green")])
            threading.Timer(1, quick.stop).start()
            quick.run()
        for name, model in (("bundled", None), ("RVM", RVM)) if args.seconds else ():
            for kind in ("null", "virtualcam"):
                rows[f"{name}, {kind}"] = timing(clip, model, kind, "green", args.seconds)
        if args.seconds:
            rows["bundled, null, blur"] = timing(clip, None, "null", "blur", args.seconds)
        keys = ("fps", "oldest", "p50_ms", "p95_ms", "other_p50_ms", "other_p95_ms")
        table(["run", *keys, "dropped"], [[n, *(r[k] for k in keys), sum(r["dropped"].values())]
                                          for n, r in rows.items()])  # fmt: skip
        found: dict[str, Any] = {"clip": CLIP, "rate": RATE, "timings": rows}
        for row in rows.values():
            good &= row["oldest"] is not None and row["oldest"] <= AGE
            good &= row["other_p95_ms"] <= OVERHEAD
        if args.minutes:
            found["soak"] = done = soak(clip, args.model, args.minutes, args.fail_every)
            shown = [[k, str(v)] for k, v in done.items() if k not in ("memory", "stats")]
            table(["soak", ""], shown)
            threads, files = done["threads"], done["descriptors"]
            good &= not done["not_recovered"] and done["raw_frames"] == 0
            good &= done["mb_per_hour"] < SLOPE and threads["after"] <= threads["before"]
            good &= files["after"] <= files["before"]
        write("live", found)
    print(
        "all goals are met"
        if good
        else f"goals: no frame older than {AGE:g} intervals, at most {OVERHEAD:g} ms beside the "
        f"network, all recovered, no raw frame, below {SLOPE:g} MB an hour, nothing leaked"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
