"""The process that runs jobs: reads an order, writes progress, one JSON object a line.

The model of the last job stays loaded for the next. It ends at once when its standard input does:
then the service is gone, and will start the job again.
"""

import json
import os
import queue
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from vmatte.errors import VmatteError
from vmatte.frames import StreamInfo
from vmatte.job import JobOptions, matte
from vmatte.matting import Matter, load_matter
from vmatte.server.errors import Problem, problem_of
from vmatte.server.media import check_picture, check_video
from vmatte.server.options import ServeOptions
from vmatte.sinks import Encoding

OUTPUTS = {
    "mp4": ("result.mp4", "video/mp4"),
    "webm": ("result.webm", "video/webm"),
    "prores": ("result.mov", "video/quicktime"),
    "alpha": ("alpha.mp4", "video/mp4"),
}
"""What a job can make: the file's name in its folder, its media type."""

_EVERY = 0.2
"""Seconds between two lines of progress."""


class _Reporter:
    def __init__(self, out: TextIO, limit: float) -> None:
        self._out, self._limit = out, limit
        self._begin = self._last = 0.0
        self._first = 1

    def say(self, **event: Any) -> None:
        self._out.write(json.dumps(event) + "\n")
        self._out.flush()

    def frame(self, count: int, info: StreamInfo) -> None:
        now = time.monotonic()
        if not self._begin:
            self._begin, self._first = now, count
        # The head's duration was looked at before; it may have lied.
        if info.rate and count > self._limit * float(info.rate) + 100:
            raise Problem(
                413, "too-long", f"lasts more than {self._limit:.0f} s, the limit; cut it first"
            )
        if now - self._last < _EVERY:
            return
        self._last = now
        fps = (count - self._first) / max(1e-6, now - self._begin)
        left = max(0.0, (info.frames - count) / fps) if info.frames and fps else None
        self.say(frames=count, total=info.frames, fps=round(fps, 2), left=left and round(left, 1))


class _Shelf:
    """The model of the last job."""

    def __init__(self) -> None:
        self._name = ""
        self._matter: Matter[Any] | None = None

    def get(self, name: str) -> Matter[Any]:
        if self._matter is None or name != self._name:
            if self._matter is not None:
                self._matter.close()
                self._matter = None
            self._matter, self._name = load_matter(name), name
        return self._matter


def main() -> None:
    """Run the orders on standard input, one after another."""
    # Libraries may print: what the service reads is a pipe of its own.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    _be_humble()
    shelf = _Shelf()
    while True:
        order = orders.get()
        with Path(order["log"]).open("wb") as log:
            _print_to(log)
            _job(order, out, shelf)
        with Path(os.devnull).open("wb") as nothing:
            _print_to(nothing)


def _print_to(file: BinaryIO) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)


def _job(order: dict[str, Any], out: TextIO, shelf: _Shelf) -> None:
    reporter = _Reporter(out, order["duration"])
    source, behind = Path(order["folder"]) / "input", Path(order["folder"]) / "behind"
    hidden = {
        str(source): order["name"],
        str(behind): "the background",
        order["part"] + os.sep: "",
    }
    try:
        reporter.say(done=_run(order, source, behind, reporter, shelf))
    except (VmatteError, Problem) as e:
        problem = problem_of(e, hidden)
        error = {"status": problem.status, "kind": problem.kind, "detail": problem.detail}
        reporter.say(error=error)
    except BaseException:
        traceback.print_exc()
        sys.exit(1)


def _run(
    order: dict[str, Any], source: Path, behind: Path, reporter: _Reporter, shelf: _Shelf
) -> dict[str, Any]:
    limits = ServeOptions(video_pixels=order["video_pixels"], duration=order["duration"])
    check_video(source, order["name"], limits)
    background = order["background"]
    if order["behind"]:
        check_picture(behind, "the background", order["image_pixels"])
        background = str(behind)
    part = Path(order["part"])
    files = {kind: part / OUTPUTS[kind][0] for kind in order["outputs"]}
    prores = Encoding(codec="prores")
    outputs = [
        f"alpha={f}" if kind == "alpha" else (str(f), prores) if kind == "prores" else str(f)
        for kind, f in files.items()
    ]
    options = JobOptions(model=order["model"], background=background)
    matter = shelf.get(order["model"])
    stats = matte(str(source), outputs, options, matter=matter, progress=reporter.frame)
    return {
        "results": [
            {"kind": kind, "file": f.name, "type": OUTPUTS[kind][1], "bytes": f.stat().st_size}
            for kind, f in files.items()
        ],
        "stats": {
            "frames": stats.frames,
            "skipped": stats.skipped,
            "seconds": round(stats.seconds, 3),
            "fps": round(stats.fps, 2),
            "model": stats.engine.model,
            "runtime": stats.engine.runtime,
            "provider": stats.engine.provider,
            "precision": stats.engine.precision,
            "notes": [n.replace(order["part"] + os.sep, "") for n in stats.notes],
        },
    }


def _listen(orders: "queue.SimpleQueue[dict[str, Any]]") -> None:
    for line in sys.stdin.buffer:
        orders.put(json.loads(line))
    os._exit(1)


def _be_humble() -> None:
    """Leave the processor to the service, and be the first to go when memory is short."""
    if hasattr(os, "nice"):
        os.nice(5)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("900")


if __name__ == "__main__":
    main()
