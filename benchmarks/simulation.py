"""Where vmatte batch would be limited on many machines: a discrete-event simulation.

Workers of one core each, a coordinator that does one thing at a time, and a shared disk with a
bandwidth of its own. What each step costs comes from results/scaling.json where it is there, which
benchmarks/scaling.py measures, else from the defaults below, which are assumptions and are printed.
What is simulated is vmatte/cluster/batch.py's order of things: look, divide, parts with their
warm-up, join.
"""

import argparse
import heapq
import itertools
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from benchmarks import common
from vmatte.matting import MatterOptions, warmup_of


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds, unless it says otherwise.

    frame: of one frame on one core. warm: of a warm-up frame (decoded and inferred only). look: of
    the coordinator at one file. ask: of the coordinator for one piece of work, there and back.
    divide_per_frame, join_per_frame: of a worker. bytes: of a frame, as input and as output.
    disk: bytes a second, all machines together. fetch: whether every machine must first bring the
    whole input to itself (URLs).
    """

    frame: float = 0.06
    warm: float = 0.025
    warmup: int = 240
    look: float = 0.002
    ask: float = 0.002
    divide_per_frame: float = 5e-6
    join_per_frame: float = 20e-6
    bytes: float = 20e3
    disk: float = 1e9
    fetch: bool = False


class Simulation:
    """A clock, and three kinds of servers: workers, the coordinator, the disk."""

    def __init__(self, workers: int, costs: Costs) -> None:
        """Begin at zero."""
        self.costs, self.workers, self.idle = costs, workers, workers
        self.now = self.coordinator = self.disk = 0.0
        self.coordinated = self.moved = self.joined = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._queue: deque[tuple[float, float, Callable[[], None]]] = deque()

    def at(self, time: float, do: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._events, (time, next(self._order), do))

    def coordinate(self, seconds: float, then: Callable[[], None]) -> None:
        """Let the coordinator, which does one thing at a time, spend ``seconds``."""
        self.coordinator = max(self.coordinator, self.now) + seconds
        self.coordinated += seconds
        self.at(self.coordinator, then)

    def work(self, seconds: float, data: float, then: Callable[[], None], first: bool) -> None:
        """Queue work for a worker: ``data`` bytes through the disk, then ``seconds``."""
        (self._queue.appendleft if first else self._queue.append)((seconds, data, then))
        self._next()

    def _next(self) -> None:
        while self.idle and self._queue:
            self.idle -= 1
            seconds, data, then = self._queue.popleft()
            self.disk = max(self.disk, self.now) + data / self.costs.disk
            self.moved += data / self.costs.disk

            def ended(then: Callable[[], None] = then) -> None:
                self.idle += 1
                self.coordinate(0, then)
                self._next()

            begin = max(self.now + self.costs.ask, self.disk)
            self.coordinator = max(self.coordinator, self.now) + self.costs.ask
            self.coordinated += self.costs.ask
            self.at(max(begin, self.coordinator) + seconds, ended)

    def video(self, frames: int, parts: int) -> None:
        """Bring in a video, in ``parts``."""
        c = self.costs

        def looked() -> None:
            if parts < 2:
                self.work(frames * c.frame, 2 * frames * c.bytes, lambda: None, False)
            else:
                self.work(frames * c.divide_per_frame, frames * c.bytes, divided, False)

        def divided() -> None:
            left = [parts]
            each = frames / parts

            def part() -> None:
                left[0] -= 1
                if not left[0]:
                    join = frames * c.join_per_frame
                    self.joined += join
                    self.work(join, 3 * frames * c.bytes, lambda: None, True)

            for i in range(parts):
                warm = c.warmup * c.warm if i else 0.0
                read = frames if c.fetch and i < self.workers else each
                self.work(each * c.frame + warm, (read + each) * c.bytes, part, True)

        self.coordinate(c.look, looked)

    def run(self) -> float:
        """Return the seconds until all is done."""
        while self._events:
            self.now, _, do = heapq.heappop(self._events)
            do()
        return self.now


SCENES: dict[str, tuple[int, int, int]] = {
    "400 recordings of 10 min": (400, 15000, 1),
    "50,000 clips of 2 s": (50000, 50, 1),
    "1 film of 2 h, parts of 5 min": (1, 180000, 24),
    "1 film of 2 h, parts of 1 min": (1, 180000, 120),
    "20 lectures of 90 min, parts of 5 min": (20, 135000, 18),
}
"""Files, frames of each, parts of each."""


def main() -> None:
    """Simulate, print and write results/simulation.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--disk", type=float, default=Costs().disk, help="bytes a second")
    given = parser.parse_args()
    costs = Costs(disk=given.disk, warmup=warmup_of(None, MatterOptions()))
    path = common.RESULTS / "scaling.json"
    measured = json.loads(path.read_text())["seconds"] if path.exists() else {}
    known = {f.name for f in fields(Costs)}
    costs = replace(costs, **{k: v for k, v in measured.items() if k in known and v})
    print("measured:", ", ".join(measured) or "nothing, all are assumptions", "\n", costs)
    rows, found = [], {}
    for name, (files, frames, parts) in SCENES.items():
        for fetch in (False, True):
            if fetch and parts < 2:
                continue
            alone = files * frames * costs.frame
            for workers in (1, 2, 8, 16, 32, 64):
                simulation = Simulation(workers, replace(costs, fetch=fetch))
                for _ in range(files):
                    simulation.video(frames, parts)
                seconds = simulation.run()
                scene = name + (", over URLs" if fetch else "")
                found[f"{scene}, {workers} workers"] = seconds
                if workers in (1, 16, 64):
                    rows.append(
                        [
                            scene,
                            workers,
                            round(seconds),
                            alone / seconds,
                            simulation.coordinated / seconds,
                            simulation.moved / seconds,
                            simulation.joined / seconds,
                        ]
                    )
    head = ["", "workers", "seconds", "speed-up", "coordinator", "disk", "join"]
    common.table(head, rows)
    common.write("simulation", {"measured": measured, "seconds": found})


if __name__ == "__main__":
    main()
