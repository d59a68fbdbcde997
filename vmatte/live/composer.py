"""Mattes, or the slate, into the frames of every output, and on to their lanes."""

from dataclasses import replace
from pathlib import Path

from vmatte.frames import Frame, StreamInfo
from vmatte.live.inference import Matted
from vmatte.live.lane import Item, Lane
from vmatte.live.slate import Slate, plain
from vmatte.live.tally import Tally
from vmatte.live.timeline import TIME_BASE
from vmatte.refine import RefineOptions, refine
from vmatte.steer.keyoptions import NO_SCREEN


class Composer:
    """Composes for all outputs. Used from one thread at a time."""

    def __init__(
        self,
        info: StreamInfo,
        refine_options: RefineOptions,
        picture: Path | None,
        tally: Tally,
    ) -> None:
        """Prepare for frames of ``info``.

        picture: the user's slate. tally: is told of a compositor that failed.
        """
        self.info, self.options = info, refine_options
        self.lanes: tuple[Lane, ...] = ()
        self._slate = Slate(info, picture)
        self._tally = tally
        self._last: dict[Lane, Frame] = {}

    def send(self, matted: Matted, limit: float) -> None:
        """Send one frame, each output's composite. Raises what refinement raises.

        limit: age in seconds beyond which it is not sent to live sinks.
        """
        frame, options = matted.frame, self.options
        if not any(lane.output.compositor.coloured for lane in self.lanes):
            options = replace(options, decontaminate=False)
        with self._tally.clock.measure("refine"):
            full = refine(frame, matted.rgb, matted.matte, options)
        if not full.screen:
            self._tally.note(f"{NO_SCREEN}: there the model's matte stands alone")
        for lane in self.lanes:
            compositor = lane.output.compositor
            try:
                with self._tally.clock.measure("composite"):
                    composed = compositor.compose(frame, full, compositor.advance(frame))
            except Exception as e:
                self._tally.error(e)
                self._put_slate(lane, frame.pts)
                continue
            self._last[lane] = composed
            lane.put(Item(composed, matted.at, matted.network, limit))

    def slate(self, pts: int) -> None:
        """Send every output's slate, as of ``pts``."""
        for lane in self.lanes:
            self._put_slate(lane, pts)

    def hold(self, pts: int) -> None:
        """Send again what every output had last, as of ``pts``: its slate where that is nothing."""
        for lane in self.lanes:
            last = self._last.get(lane)
            if last is None:
                self._put_slate(lane, pts)
            else:
                lane.put(Item(_timed(last, pts)))

    def forget(self) -> None:
        """Hold nothing of what was sent so far."""
        self._last.clear()

    def add(self, lane: Lane) -> None:
        """Send to ``lane`` too."""
        self.lanes = (*self.lanes, lane)
        self._last.pop(lane, None)

    def remove(self, lane: Lane) -> None:
        """Send no more to ``lane``, and close its compositor."""
        if lane in self.lanes:
            self.lanes = tuple(x for x in self.lanes if x is not lane)
            self._last.pop(lane, None)
            lane.output.compositor.close()

    def _put_slate(self, lane: Lane, pts: int) -> None:
        frame = self._slate.frame(pts)
        compositor = lane.output.compositor
        try:
            composed = self._slate.compose(lane.output, frame, compositor.advance(frame))
        except Exception as e:
            self._tally.error(e)
            composed = plain(lane.info or self.info, pts)
        lane.put(Item(composed))


def _timed(frame: Frame, pts: int) -> Frame:
    return replace(frame, pts=pts, time_base=TIME_BASE)
