"""How late live frames are, what reuse of a still scene saves, and whether a run survives failures.

A 720p30 clip, with a marker painted into its background, is played by the clock from memory, into
a null sink and into pyvirtualcam's Camera with a backend that drops what it gets. Ages are counted
when the sink has taken the frame. Then, with --minutes, a soak: see benchmarks/soak.py.

    python -m benchmarks.live --shared ../shared --minutes 30 --fail-every 60
"""

import sys
import threading
import time
from typing import Any

from benchmarks.common import RVM, arguments, models, table, write
from benchmarks.soak import soak
from benchmarks.stand_in import CLIP, RATE, Clip, over
from vmatte.allocator import share_one_heap
from vmatte.frames import Frame
from vmatte.live import Feed, LiveOptions, LivePipeline
from vmatte.matting import load_matter
from vmatte.sinks import NullSink
from vmatte.sinks.virtualcam import VirtualCameraSink
from vmatte.sources.synthetic import shows_marker
from vmatte.testing import FunctionMatter

WARM_UP = 3.0
"""Seconds of each timing that do not count."""

AGE, OVERHEAD, SLOPE = 2.0, 15.0, 2.0
"""Goals: intervals, ms at the 95th percentile, MB an hour."""


class Measured(NullSink):
    """Keeps the age of each frame, in ms."""

    feed: Feed

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.ages: list[tuple[float, float]] = []

    def write(self, frame: Frame) -> None:
        """Note how old the frame is."""
        super().write(frame)
        if frame.segment >= 0:
            age = self.feed.now / 90000 - float(frame.time)
            self.ages.append((time.monotonic(), age * 1000))


class Silent:
    """A backend of pyvirtualcam that drops what it gets."""

    def __init__(self, **_: Any) -> None:
        """Begin."""

    def send(self, frame: Any) -> None:
        """Do nothing."""

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
        """Send it, and note how old it is then."""
        super().write(frame)
        if frame.segment >= 0:
            age = self.feed.now / 90000 - float(frame.time)
            self.ages.append((time.monotonic(), age * 1000))


def timing(
    clip: Clip, model: str | None, kind: str, background: str, seconds: float, reuse: bool = False
) -> dict[str, Any]:
    """Run for ``seconds`` and return a row of figures."""
    feed = Feed(clip.open)
    sink: Any = Measured() if kind == "null" else MeasuredCamera()
    sink.feed = feed
    live_at = cpu_at = 0.0

    def progress(now: Any) -> None:
        nonlocal live_at, cpu_at
        if now.state == "live" and not live_at:
            live_at = time.monotonic()
        spent = time.monotonic() - live_at if live_at else 0.0
        if spent > WARM_UP and not cpu_at:
            cpu_at = time.process_time()
        if spent > seconds + WARM_UP:
            pipeline.stop()

    pipeline = LivePipeline(
        feed,
        lambda: load_matter(model),
        [over(sink, background)],
        options=LiveOptions(reuse_still=reuse),
        progress=progress,
        every=0.2,
    )
    stats = pipeline.run()
    cpu = time.process_time() - cpu_at
    ages = [a for t, a in sink.ages if t > live_at + WARM_UP]
    latency, overhead = stats.latency or (0, 0), stats.overhead or (0, 0)
    dropped = {k: v for k, v in stats.dropped.items() if v}
    assert stats.engine is not None
    return {
        "fps": len(ages) / seconds,
        "oldest": max(ages) / 1000 * RATE if ages else None,
        "late": sum(a / 1000 * RATE > AGE for a in ages),
        "p50_ms": latency[0],
        "p95_ms": latency[1],
        "other_p50_ms": overhead[0],
        "other_p95_ms": overhead[1],
        "cpu_ms": 1000 * cpu / len(ages) if ages else None,
        "captured": stats.captured,
        "reused": stats.reused,
        "dropped": dropped,
        "engine": f"{stats.engine.runtime} {stats.engine.precision}",
        "stages_ms": {k: 1000 * v / max(1, stats.composed) for k, v in stats.stages.items()},
    }


def timings(clip: Clip, still: Clip, seconds: float, only: str) -> dict[str, dict[str, Any]]:
    """Return a row for each run whose name begins with ``only``."""
    # Once more for what is loaded and compiled only once.
    quick = LivePipeline(Feed(clip.open), FunctionMatter(), [over(NullSink(), "green")])
    threading.Timer(1, quick.stop).start()
    quick.run()
    runs: dict[str, tuple[Any, ...]] = {
        f"{name}, {kind}": (clip, model, kind, "green", seconds)
        for name, model in (("bundled", None), ("RVM", RVM))
        for kind in ("null", "virtualcam")
    }
    runs["bundled, null, blur"] = (clip, None, "null", "blur", seconds)
    runs["still scene"] = (still, None, "null", "green", seconds)
    runs["still scene, reused"] = (*runs["still scene"], True)
    return {name: timing(*run) for name, run in runs.items() if name.startswith(only)}


def main() -> int:
    """Measure, print, write and judge."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each timing; 0: none")
    parser.add_argument("--only", default="", help="timings whose name begins so; not kept")
    parser.add_argument("--minutes", type=float, default=0, help="of the soak; 0: none")
    parser.add_argument("--fail-every", type=float, default=60, help="seconds between failures")
    parser.add_argument("--model", help="of the soak; default: the bundled one")
    args = parser.parse_args()
    # As in ``vmatte live``, where nothing is loaded yet when the run asks: heaps that threads made
    # before are used again by later ones, and never give back what lies at their end.
    share_one_heap()
    clip = Clip(args.shared / "clips" / CLIP)
    rgb = next(iter(clip.open())).rgb((320, 180))
    assert shows_marker(rgb), "the marker is not seen: the soak would prove nothing"
    found: dict[str, Any] = {"clip": CLIP, "rate": RATE}
    missed: list[str] = []
    with models(args.shared):
        if args.seconds:
            still = Clip(args.shared / "clips" / CLIP, still=True)
            found["timings"] = rows = timings(clip, still, args.seconds, args.only)
            keys = (
                *("fps", "oldest", "late", "p50_ms", "p95_ms"),
                *("other_p50_ms", "other_p95_ms", "cpu_ms"),
            )
            shown = [
                [n, *(r[k] for k in keys), r["reused"], sum(r["dropped"].values())]
                for n, r in rows.items()
            ]
            table(["run", *keys, "reused", "dropped"], shown)
            for name in {"bundled, null", "bundled, virtualcam"} & rows.keys():
                row = rows[name]
                if row["oldest"] is None or row["oldest"] > AGE:
                    missed.append(f"{name}: a frame older than {AGE:g} intervals")
                if row["other_p95_ms"] > OVERHEAD:
                    missed.append(f"{name}: more than {OVERHEAD:g} ms beside the network")
        if args.minutes:
            found["soak"] = done = soak(clip, args.model, args.minutes, args.fail_every)
            for key, value in done.items():
                print(f"{key:<26}{_short(value)}")
            missed += failed(done)
    if not args.only:
        write("live", found)
    print("all goals are met" if not missed else "missed: " + "; ".join(missed))
    return 1 if missed else 0


def _short(value: object) -> str:
    """Return ``value`` in a line: of many numbers, how many, the least and the greatest."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {_short(v)}" for k, v in value.items())
    if isinstance(value, list) and value and isinstance(value[0], float):
        return f"{min(value):.1f} to {max(value):.1f} ({len(value)})"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def failed(done: dict[str, Any]) -> list[str]:
    """Return which goals a soak has missed."""
    slope, error = done["mb_per_hour"], done["mb_per_hour_error"]
    goals = {
        f"not recovered from {done['not_recovered']}": not done["not_recovered"],
        f"{done['raw_frames']} raw frames": done["raw_frames"] == 0,
        f"memory grows by {slope:.1f} +- {error:.1f} MB an hour": slope < SLOPE,
        f"the camera was opened {done['camera']['opened']} times": done["camera"]["opened"] == 1,
    }
    for what in ("threads", "descriptors"):
        goals[f"{what} are left: {done[what]}"] = done[what]["after"] <= done[what]["before"]
    return [text for text, met in goals.items() if not met]


if __name__ == "__main__":
    sys.exit(main())
