"""What a live run prints: what runs, one line of state, notes as they come, a summary."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from vmatte.errors import mask
from vmatte.live import LiveSnapshot, LiveStats
from vmatte.matting import Engine


class LiveReporter:
    """A status line on a terminal, lines of text elsewhere, of JSON, or nothing.

    Everything goes to standard error; ``close`` ends it.
    """

    def __init__(self, *, as_json: bool, quiet: bool, outputs: Sequence[str]) -> None:
        """Choose how to report on a run into ``outputs``."""
        self._json, self._quiet, self._outputs = as_json, quiet, list(outputs)
        self._line: Any = None
        self._told: set[str] = set()
        self._state = ""

    def status(self, now: LiveSnapshot) -> None:
        """Report what goes on."""
        if self._quiet:
            return
        if self._json:
            _print_json({"event": "status", **_plain(asdict(now))})
            return
        if now.captured:
            self._once("source", mask(now.source))
        if now.engine is not None and now.working is not None:
            self._once("runs", f"{_engine(now.engine)}, on {_size(now.working)} of the picture")
            self._once("output", ", ".join(self._outputs))
        for text in now.notes:
            self._once("note", text)
        if sys.stderr.isatty():
            self._show(now)
        elif now.state != self._state:
            self._tell(f"{now.state:<8} after {now.seconds:.1f} s")
        self._state = now.state

    def summary(self, stats: LiveStats) -> None:
        """Report what was done."""
        self.close()
        if self._quiet:
            return
        if self._json:
            done = _plain(asdict(stats)) | {"fps": round(stats.fps, 2), "outputs": self._outputs}
            _print_json({"event": "summary", **done})
            return
        for text in stats.notes:
            self._once("note", text)
        for line in _summary(stats):
            self._tell(line)

    def _once(self, kind: str, text: str) -> None:
        key = kind if kind in ("runs", "output") else f"{kind} {text}"
        if key not in self._told:
            self._told.add(key)
            self._tell(f"{kind:<8} {text}")

    def _tell(self, line: str) -> None:
        if self._line is not None:
            self._line.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def _show(self, now: LiveSnapshot) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._line is None:
            console = Console(stderr=True)
            self._line = Live(console=console, transient=True, auto_refresh=False)
            self._line.start()
        self._line.update(Text(_status(now), overflow="ellipsis", no_wrap=True), refresh=True)

    def close(self) -> None:
        """Take the status line away."""
        if self._line is not None:
            self._line.stop()
            self._line = None


def _status(now: LiveSnapshot) -> str:
    latency = "-"
    if now.latency_p50 is not None and now.latency_p95 is not None:
        latency = f"{now.latency_p50:.0f}/{now.latency_p95:.0f}"
    counts = {
        "dropped": now.dropped,
        "stalls": now.stalls,
        "reconnects": now.reconnects,
        "errors": now.errors,
    }
    parts = [
        f"{now.state:<8} {now.fps:4.1f} fps",
        f"latency {latency} ms",
        f"sent {now.sent}",
        *(f"{k} {v}" for k, v in counts.items() if v),
    ]
    if now.share < 1:
        parts.append(f"size {now.share:.0%}")
    return "  ".join(parts)


def _summary(stats: LiveStats) -> Iterator[str]:
    sent = ", ".join(f"{n} to {name}" for name, n in stats.sent.items())
    yield f"sent     {sent} in {stats.seconds:.1f} s ({stats.fps:.1f} fps)"
    dropped = ", ".join(f"{k} {n}" for k, n in stats.dropped.items() if n)
    yield f"frames   {stats.captured} captured; dropped: {dropped or 'none'}"
    yield (
        f"trouble  {stats.stalls} stalls, {stats.losses} losses, {stats.reconnects} reconnects, "
        f"{stats.errors} errors; {stats.slates} slates shown"
    )
    if stats.reused:
        yield f"reused   {stats.reused} mattes of a still scene"
    if stats.latency is not None and stats.overhead is not None:
        yield (
            f"latency  {stats.latency[0]:.0f} ms, 95 % within {stats.latency[1]:.0f} ms; "
            f"without the network {stats.overhead[0]:.0f} and {stats.overhead[1]:.0f} ms"
        )
    if stats.engine is not None:
        yield f"ran      {_engine(stats.engine)}"
    if stats.peak_memory:
        yield f"memory   {stats.peak_memory / 1e6:.0f} MB at most"


def _engine(engine: Engine) -> str:
    return (
        f"{engine.model} on {engine.runtime}, provider {engine.provider}, "
        f"precision {engine.precision}"
    )


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _print_json(event: dict[str, Any]) -> None:
    print(json.dumps(event), file=sys.stderr, flush=True)
