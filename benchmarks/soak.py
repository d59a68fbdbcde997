"""Whether a live run survives its failures, for as long as one likes.

Into a virtual camera (pyvirtualcam's Camera, a backend of ours), and blurred into nothing. Failures
of all kinds are injected in turn; after each one frames must flow again. Memory, threads and open
files are watched, and every frame sent is searched for the marker of the room.

    python -m benchmarks.live --shared ../shared --seconds 0 --minutes 30 --fail-every 60
"""

import gc
import itertools
import threading
import time
from typing import Any

from benchmarks.process import Watch, descriptors
from benchmarks.stand_in import Clip, over
from vmatte.errors import InferenceError, SourceLostError
from vmatte.frames import Frame
from vmatte.live import Feed, LivePipeline, LiveStats
from vmatte.matting import load_matter
from vmatte.sinks import NullSink
from vmatte.sinks.virtualcam import VirtualCameraSink
from vmatte.sources.synthetic import shows_marker

FAILURES = ("raises", "stalls", "away", "size", "model fails", "model hangs", "paused")

_PATIENCE = 20.0
"""Seconds after a failure within which frames must flow."""


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


class Device:
    """A backend of pyvirtualcam that takes all, and knows how long it got nothing."""

    opened = 0
    longest = 0.0

    def __init__(self, **_: Any) -> None:
        """Count."""
        Device.opened += 1
        self._last = time.monotonic()

    def send(self, frame: Any) -> None:
        """Note the time since the one before."""
        now = time.monotonic()
        Device.longest = max(Device.longest, now - self._last)
        self._last = now

    def close(self) -> None:
        """Nothing is held."""

    def device(self) -> str:
        """Name it."""
        return "soak"

    def native_fourcc(self) -> int | None:
        """Take anything."""
        return None


class Searched:
    """Counts frames that show the marker: of a blurred room, which has it in it, slates alone."""

    def __init__(self, *, slates_only: bool) -> None:
        """Begin at none."""
        self.searched = self.raw = 0
        self._slates_only = slates_only

    def look(self, frame: Frame) -> None:
        """Search one."""
        if frame.segment < 0 or not self._slates_only:
            self.searched += 1
            self.raw += shows_marker(frame.rgb((320, 180)))


class SearchedCamera(VirtualCameraSink):
    """The virtual camera, each frame searched."""

    def __init__(self) -> None:
        """Use the backend here."""
        import pyvirtualcam

        pyvirtualcam.camera.BACKENDS["soak"] = Device
        super().__init__("soak")
        self.search = Searched(slates_only=False)

    def write(self, frame: Frame) -> None:
        """Search it, send it."""
        self.search.look(frame)
        super().write(frame)


class SearchedNull(NullSink):
    """Nothing, each slate searched."""

    def __init__(self) -> None:
        """Begin."""
        super().__init__()
        self.search = Searched(slates_only=True)

    def write(self, frame: Frame) -> None:
        """Search it."""
        self.search.look(frame)
        super().write(frame)


def inject(kind: str, clip: Clip, matter: Fragile, pipeline: LivePipeline, watch: Watch) -> None:
    """Let one thing go wrong for a few seconds, then right again."""
    if kind == "raises":
        clip.error = SourceLostError("unplugged")
    elif kind == "stalls":
        clip.silent.set()
        watch.wait(4)
        clip.silent.clear()
    elif kind == "away":
        clip.away_until = time.monotonic() + 6
        clip.error = SourceLostError("server gone")
        watch.wait(6)
    elif kind == "size":
        clip.small = not clip.small
        clip.error = SourceLostError("changed")
    elif kind == "model fails":
        matter.fails = True
        watch.wait(1)
        matter.fails = False
    elif kind == "model hangs":
        matter.hangs = True
        watch.wait(3)
        matter.hangs = False
    else:
        pipeline.pause()
        watch.wait(1)
        pipeline.resume()


def recovery(pipeline: LivePipeline, watch: Watch) -> float | None:
    """Wait until composites flow again; return the seconds it took, None where they do not."""
    begin, sent = time.monotonic(), pipeline.snapshot().sent
    while time.monotonic() - begin < _PATIENCE:
        if pipeline.state == "live" and pipeline.snapshot().sent > sent + 5:
            return time.monotonic() - begin
        watch.wait(0.05)
    return None


def soak(clip: Clip, model: str | None, minutes: float, fail_every: float) -> dict[str, Any]:
    """Run for ``minutes``, with a failure every so many seconds."""
    matter = Fragile(load_matter(model))
    before = (threading.active_count(), descriptors())
    camera, blurred = SearchedCamera(), SearchedNull()
    feed = Feed(clip.open)
    pipeline = LivePipeline(feed, matter, [over(camera, "green"), over(blurred, "blur:40")])
    results: list[LiveStats] = []
    thread = threading.Thread(target=lambda: results.append(pipeline.run()))
    thread.start()
    watch = Watch()
    recovered: dict[str, list[float]] = {k: [] for k in FAILURES}
    lost: list[str] = []
    kinds = itertools.cycle(FAILURES)
    next_failure = watch.begin + min(fail_every, 20)
    while (now := time.monotonic()) < watch.begin + minutes * 60 and thread.is_alive():
        if now >= next_failure:
            next_failure = max(now, next_failure + fail_every)
            kind = next(kinds)
            inject(kind, clip, matter, pipeline, watch)
            took = recovery(pipeline, watch)
            if took is None:
                lost.append(kind)
            else:
                recovered[kind].append(took)
        watch.wait(0.2)
    pipeline.stop()
    thread.join(20)
    gc.collect()
    stats = results[0]
    held, given, blocks = watch.slopes(fail_every)
    searches = (camera.search, blurred.search)
    found = {
        "minutes": minutes,
        "fail_every": fail_every,
        "fps": stats.fps,
        "failures": sum(map(len, recovered.values())) + len(lost),
        "not_recovered": lost,
        "recovery_seconds": {k: v for k, v in recovered.items() if v},
        "raw_frames": sum(s.raw for s in searches),
        "frames_searched": sum(s.searched for s in searches),
        "slates": stats.slates,
        "camera": {"opened": Device.opened, "longest_gap_s": Device.longest},
        "mb_per_hour": held.mb_per_hour,
        "mb_per_hour_error": held.error,
        "mb_per_hour_median": held.median,
        "in_use_mb_per_hour": given.mb_per_hour,
        "in_use_mb_per_hour_error": given.error,
        "peak_mb": (stats.peak_memory or 0) / 1e6,
        "threads": {
            "before": before[0], "most": watch.threads, "after": threading.active_count()
        },
        "descriptors": {"before": before[1], "most": watch.files, "after": descriptors()},
        "stats": {
            k: getattr(stats, k)
            for k in ("captured", "composed", "stalls", "losses", "reconnects", "errors")
        },
        "in_use_mb_per_hour_median": given.median,
        "memory_mb": held.least_mb,
        "in_use_mb": given.least_mb,
        "python_blocks": blocks,
    }  # fmt: skip
    matter.close()
    return found
