"""The outputs of a live run: opened, taken away where they fail, finished at its end."""

import time
from collections.abc import Callable, Sequence

from vmatte.errors import OptionError, OutputError, WriteError, mask
from vmatte.live.composer import Composer
from vmatte.live.lane import Lane
from vmatte.live.stages import Stages
from vmatte.live.tally import Tally
from vmatte.output import Output

_CLOSING, _WRITING = 5.0, 30.0
"""Seconds that sinks may take to be closed, and recordings to be finished: a slow encoder has
pictures left to do."""

_TELL = 1.0
"""Seconds after which the user is told what a run that has ended still waits for."""


class Outputs:
    """A lane for each output. All but ``add`` and ``remove`` is for the thread of the run."""

    def __init__(self, stages: Stages, tally: Tally, stopping: Callable[[], bool]) -> None:
        """Begin with none; ``stopping``: whether the run is about to end."""
        self.lanes: list[Lane] = []
        """At work."""
        self._gone: list[Lane] = []
        self._broken: list[Lane] = []
        self._stages, self._tally, self._stopping = stages, tally, stopping

    @property
    def all(self) -> list[Lane]:
        """Those at work, and those that are not any more."""
        return [*self.lanes, *self._gone]

    def begin(self, outputs: Sequence[Output], composer: Composer) -> None:
        """Open the first outputs. Raises what opening raises; nothing is left then."""
        try:
            for output in outputs:
                self._join_in(composer, self._open(output, composer))
        except BaseException:
            self.end(abort=True)
            raise

    def add(self, output: Output, composer: Composer) -> None:
        """Open another one. Raises what opening raises, OptionError where the run ends."""
        lane = self._open(output, composer)
        self._stages.ask(self._stages.composing.post(lambda: self._join_in(composer, lane)))
        if self._stopping():  # Perhaps too late for the run to end it.
            self._leave(composer, lane)
            lane.end()
            lane.join(_patience(lane))
            raise OptionError("the live run has ended")

    def remove(self, output: Output, composer: Composer) -> None:
        """Finish one, and wait for it. Raises OutputError where its file is not whole."""
        lane = next((x for x in self.lanes if x.output is output), None)
        if lane is None:
            raise OptionError(f"{output.sink.name} is not among the outputs at work")
        self._leave(composer, lane)
        lane.end()
        if not lane.join(_patience(lane)):
            raise _hanging(lane)
        if lane.error is not None:
            raise lane.error
        if lane.empty:
            raise OutputError(_nothing(lane))

    def retire(self, composer: Composer) -> BaseException | None:
        """Take those away that have failed; return the last one's error where none is left."""
        while self._broken:
            lane = self._broken.pop()
            self._leave(composer, lane)
            self._tally.note(mask(f"{lane.name} has failed and gets nothing more: {lane.error}"))
            if not self.lanes and lane.error is not None:
                return lane.error
        return None

    def end(self, *, abort: bool) -> None:
        """Let all finish, without waiting; ``abort``: with nothing left of them."""
        for lane in self.lanes:
            lane.end(abort=abort)

    def finish(self, tell: Callable[[], None], *, composed: bool) -> BaseException | None:
        """Wait until all are whole; return the first error.

        tell: is called where there is something new to be told. composed: nothing is composed any
        more, so compositors can be closed.
        """
        begun = time.monotonic()
        error: BaseException | None = None
        for lane in self.lanes:
            if not lane.join(_TELL) and lane.recording:
                self._tally.note(f"{lane.name}: is being finished; its encoder has pictures left")
                tell()
            if not lane.join(max(0.0, begun + _patience(lane) - time.monotonic())):
                error = error or _hanging(lane)
            elif lane.error is not None:
                error = error or lane.error
            elif lane.empty:
                self._tally.note(_nothing(lane))
            if composed:
                lane.output.compositor.close()
        return error

    def _open(self, output: Output, composer: Composer) -> Lane:
        lane = Lane(output, self._tally.latency, self._tally.overhead, self._broken.append)
        lane.open(composer.info, self._stopping)
        return lane

    def _join_in(self, composer: Composer, lane: Lane) -> None:
        composer.add(lane)
        self.lanes.append(lane)
        for text in getattr(lane.output.sink, "notes", []):
            self._tally.note(f"{lane.name}: {text}")

    def _leave(self, composer: Composer, lane: Lane) -> None:
        # Nobody waits for it: a compositor that hangs must not hold a stop.
        self._stages.composing.post(lambda: composer.remove(lane))
        if lane in self.lanes:
            self.lanes.remove(lane)
            self._gone.append(lane)


def _patience(lane: Lane) -> float:
    return _WRITING if lane.recording else _CLOSING


def _hanging(lane: Lane) -> WriteError:
    return WriteError(f"{lane.name}: did not finish in time; what it has may be incomplete")


def _nothing(lane: Lane) -> str:
    return f"{lane.name}: nothing was recorded, for no picture was matted while it ran"
