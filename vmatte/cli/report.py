"""What a run prints while it goes on and at its end, and how it is interrupted."""

import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import Any, Protocol

from vmatte.frames import StreamInfo
from vmatte.stats import RunStats

_EVERY = 0.5
"""Seconds between two lines of JSON progress."""


PATIENCE = 8.0
"""Seconds that a live run is given to end by itself: a recording of hours is worth them."""


_CLEANUP = 5.0
"""Seconds in which clean-up is left alone."""


class _Stoppable(Protocol):
    def stop(self) -> None: ...


class Reporter:
    """Progress and summary: a bar on a terminal, lines of JSON, or nothing; ``close`` ends it."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        """Choose how to report; everything goes to standard error."""
        self._json, self._quiet = as_json, quiet
        self._bar: Any = None
        self._task: Any = None
        self._kind = ""
        self._begin = self._last = 0.0
        self._first = 1

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show(self, kind: str, done: int, total: int | None) -> None:
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        if self._kind != kind:
            self.close()
            self._kind = kind
            amount = DownloadColumn() if kind == "fetching" else MofNCompleteColumn()
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                amount,
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(kind, total=total, speed="")
            self._bar.start()
        speed = ""
        if kind == "matting":
            speed = f"{self._speed(done):.1f} fps"
        self._bar.update(self._task, completed=done, total=total, speed=speed)

    def fetch(self, done: int, total: int | None) -> None:
        """Report bytes fetched."""
        if self._quiet:
            return
        if self._json:
            self._line({"event": "fetch", "bytes": done, "total": total})
        else:
            self._show("fetching", done, total)

    def frame(self, count: int, info: StreamInfo) -> None:
        """Report frames done."""
        if self._quiet:
            return
        if not self._begin:
            self._begin, self._first = time.monotonic(), count
        if not self._json:
            self._show("matting", count, info.frames)
            return
        fps = self._speed(count)
        left = (info.frames - count) / fps if info.frames and fps else None
        self._line(
            {
                "event": "progress",
                "frames": count,
                "total": info.frames,
                "fps": round(fps, 2),
                "seconds_left": left and round(left, 1),
            }
        )

    def _speed(self, count: int) -> float:
        """Frames per second since the first: that one also paid for starting up."""
        return (count - self._first) / max(1e-6, time.monotonic() - self._begin)

    def _line(self, event: dict[str, Any]) -> None:
        now = time.monotonic()
        if event["event"] != "summary" and now - self._last < _EVERY:
            return
        self._last = now
        print(json.dumps(event), file=sys.stderr, flush=True)

    def summary(self, stats: RunStats, outputs: Sequence[str]) -> None:
        """Report what was done."""
        self.close()
        if self._quiet:
            return
        if self._json:
            engine = asdict(stats.engine)
            self._line(
                {
                    "event": "summary",
                    "frames": stats.frames,
                    "dropped": stats.dropped,
                    "skipped": stats.skipped,
                    "seconds": round(stats.seconds, 3),
                    "fps": round(stats.fps, 3),
                    "stages": {k: round(v, 3) for k, v in stats.stages.items()},
                    **engine,
                    "composed": stats.composed,
                    "peak_memory": stats.peak_memory,
                    "interrupted": stats.interrupted,
                    "outputs": list(outputs),
                    "notes": list(stats.notes),
                }
            )
            return
        for line in _summary(stats, outputs):
            print(line, file=sys.stderr)


def _summary(stats: RunStats, outputs: Sequence[str]) -> Iterator[str]:
    engine = stats.engine
    yield f"wrote    {', '.join(outputs)}"
    yield (
        f"frames   {stats.frames} in {stats.seconds:.1f} s ({stats.fps:.1f} fps), "
        f"{stats.dropped} dropped, {stats.skipped} skipped"
    )
    there = ", frames composed there" if stats.composed == "device" else ""
    yield (
        f"ran      {engine.model} on {engine.runtime}, provider {engine.provider}, "
        f"precision {engine.precision}{there}"
    )
    stages = ", ".join(f"{k} {v:.1f}" for k, v in stats.stages.items() if v >= 0.05)
    yield f"seconds  {stages or 'under 0.05 in each stage'}"
    if stats.peak_memory:
        yield f"memory   {stats.peak_memory / 1e6:.0f} MB at most"
    for note in stats.notes:
        yield f"note     {note}"


class Stop:
    """Ends whatever was attached when it is told to; remembers if nothing was yet."""

    def __init__(self, patience: float = 0.0) -> None:
        """Begin with nothing attached; ``patience``: seconds that its end may take."""
        self.asked = False
        self._patience, self._asked_at = patience, 0.0
        self._target: _Stoppable | None = None
        self._raised: float | None = None

    @property
    def broke_off(self) -> bool:
        """Whether it came before anything was attached."""
        return self.asked and self._target is None

    def attach(self, target: _Stoppable) -> None:
        """Let ``target`` be stopped from now on."""
        self._target = target
        if self.asked:
            target.stop()

    def now(self) -> None:
        """Stop. Where nothing runs yet, interrupt what goes on."""
        again, self.asked = self.asked, True
        now = time.monotonic()
        if not again:
            self._asked_at = now
        if self._target is not None:
            if not again:
                self._target.stop()
                return
            if now - self._asked_at < self._patience:
                return
        # An impatient third must not break into the clean-up that the second began.
        if self._raised is None or now - self._raised > _CLEANUP:
            self._raised = now
            raise KeyboardInterrupt


@contextmanager
def interruptible(patience: float = 0.0) -> Iterator[Stop]:
    """Finish on the first Ctrl-C or SIGTERM, or when the terminal closes; at once on the second.

    patience: seconds after the first in which a second one is left alone, for what ends soon by
    itself.
    """
    stop = Stop(patience)

    def handle(number: int, frame: FrameType | None) -> None:
        stop.now()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        numbers.append(signal.SIGHUP)  # Not where nohup has it ignored.
    previous = {s: signal.signal(s, handle) for s in numbers}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
