"""From a live source through a matter to outputs, for hours: the newest frame, or the slate."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from vmatte.composite import Compositor
from vmatte.concurrency import Calls, Newest
from vmatte.errors import OptionError, mask
from vmatte.live.composer import Composer
from vmatte.live.feed import Captured, Feed
from vmatte.live.inference import Inference, Matted, warm
from vmatte.live.lane import Lane, hanging
from vmatte.live.options import LiveOptions
from vmatte.live.stats import Latencies, LiveSnapshot, LiveState, LiveStats, Rate
from vmatte.matting import Matter
from vmatte.pipeline import Output
from vmatte.refine import RefineOptions
from vmatte.stats import Clock, peak_memory

T = TypeVar("T")

_TICK = 0.02
"""Seconds between two looks at what goes on."""

_REPEAT, _REPEAT_IDLE = 0.2, 1.0
"""Seconds between two slates: a virtual camera without frames counts as broken."""

_HANGS = 1.0
"""Seconds without a composite after which the model counts as stalled, unless it is that slow."""

_STOPPING, _FLUSHING = 0.3, 5.0
"""Seconds that threads may take to end, and files to be finished."""

_NOTES = 100

Loading = Callable[[], Matter[Any]]

_SLATE, _HOLD = "slate", "hold"


class LivePipeline:
    """Mattes a live source into several outputs until it is stopped. Use once.

    Never sent is a camera's picture without its matte: before the first matte, where the model
    fails, where the source stalls or is lost and while paused, the slate is sent.
    """

    def __init__(
        self,
        feed: Feed,
        matter: Matter[Any] | Loading,
        outputs: Sequence[Output],
        *,
        options: LiveOptions | None = None,
        refine: RefineOptions | None = None,
        progress: Callable[[LiveSnapshot], None] | None = None,
        every: float = 1.0,
    ) -> None:
        """Take a feed, a model, and outputs that are not open yet.

        matter: a loaded model, which stays the caller's; or what loads one, while the slate is
        shown already, which is closed at the end. progress: is called from ``run``'s thread every
        ``every`` seconds. Raises OptionError where there is no output.
        """
        if not outputs:
            raise OptionError("a live run without an output has nothing to do; give one or more")
        self.feed = feed
        self.options = options or LiveOptions()
        loaded = hasattr(matter, "step")
        self._load: Any = None if loaded else matter
        self._matter: Any = matter if loaded else None
        self._owned: Matter[Any] | None = None
        self._refine = refine or RefineOptions()
        self._first = list(outputs)
        self._progress, self._every = progress, every
        self._clock = Clock()
        self._work: Newest[Matted | str] = Newest()
        self._inferring, self._composing = Calls(), Calls()
        self._inference: Inference | None = None
        self._composer: Composer | None = None
        self._lanes: list[Lane] = []
        self._gone: list[Lane] = []
        self._broken: list[Lane] = []
        self._latency, self._overhead, self._rate = Latencies(), Latencies(), Rate()
        self._notes: list[str] = []
        self._stopping = self._stopped = self._paused = self._idle = False
        self._failure: BaseException | None = None
        self._failing = False
        self._errors = self._stale = self._hangs = 0
        self._composed_at = 0.0
        self._compose_busy = 0.0
        self._shown: LiveState = "starting"
        self._slate_at = self._begin = 0.0
        self._mirror, self._scale = self.options.mirror, self.options.scale

    # --- what can be done from any thread -------------------------------------------------------

    @property
    def outputs(self) -> list[Output]:
        """The outputs at work."""
        return [lane.output for lane in self._lanes]

    @property
    def state(self) -> LiveState:
        """What is shown now, and why."""
        return self._state(time.monotonic())

    @property
    def paused(self) -> bool:
        """Whether the slate is shown because of ``pause``."""
        return self._paused

    @property
    def mirror(self) -> bool:
        """Whether left and right of the camera's picture are exchanged."""
        return self._mirror

    @mirror.setter
    def mirror(self, value: bool) -> None:
        self._mirror = value
        if self._inference is not None:
            self._inference.mirror = value

    @property
    def scale(self) -> float:
        """The share of the model's usual picture size, chosen by hand."""
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        if not 0.1 <= value <= 1:
            raise OptionError(f"scale is {value}; expected 0.1 to 1")
        self._scale = value
        if self._inference is not None:
            self._inference.scale = value

    def stop(self) -> None:
        """End within a second, with whole files. Also from a signal handler."""
        # Plain flags: a lock may be held by the very thread that a signal interrupts.
        self._stopped = self._stopping = True
        self.feed.cancel()

    def pause(self) -> None:
        """Show the slate until ``resume``. The source is kept."""
        self._paused = True

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._paused = False

    def replace_matter(self, matter: Matter[Any]) -> Matter[Any] | None:
        """Go on with another loaded model, from a fresh state; return the one before.

        Returns when nothing uses that one any more; who replaced it closes it. Raises what the
        new one raises when it is tried; the one before stays then.
        """
        warm(matter, self.feed.info, self._scale)

        def swap() -> Matter[Any] | None:
            before: Matter[Any] | None = self._matter
            self._matter = matter
            if self._inference is not None:
                self._inference.replace(matter)
            if before is self._owned:
                self._owned = None
            return before

        return self._ask(self._inferring.post(swap))

    def replace_compositor(self, output: Output, compositor: Compositor) -> None:
        """Let ``output`` show another thing; the compositor before is closed.

        Raises what opening it raises; the one before stays then.
        """
        composer = self._running()
        try:
            compositor.open(composer.info)
        except BaseException:
            compositor.close()
            raise

        def swap() -> None:
            before, output.compositor = output.compositor, compositor
            composer.forget()
            before.close()

        self._ask(self._composing.post(swap))

    def add_output(self, output: Output) -> None:
        """Open another output and send to it from now on. Raises what opening raises."""
        composer = self._running()
        lane = self._lane(output)
        lane.open(composer.info)
        self._ask(self._composing.post(lambda: self._join_in(composer, lane)))

    def remove_output(self, output: Output) -> None:
        """Finish an output. Returns when its file is whole; raises OutputError where it is not."""
        composer = self._running()
        lane = next((x for x in self._lanes if x.output is output), None)
        if lane is None:
            raise OptionError(f"{output.sink.name} is not among the outputs at work")
        self._leave(composer, lane)
        lane.end()
        if not lane.join(_FLUSHING):
            raise hanging(lane)
        if lane.error is not None:
            raise lane.error

    def note(self, text: str) -> None:
        """Tell the user something, once."""
        if text not in self._notes and len(self._notes) < _NOTES:
            self._notes.append(text)

    def snapshot(self) -> LiveSnapshot:
        """Return what goes on now."""
        inference, recent = self._inference, self._latency.recent()
        lanes = [*self._lanes, *self._gone]
        return LiveSnapshot(
            state=self.state,
            seconds=time.monotonic() - self._begin if self._begin else 0.0,
            fps=self._rate.value(),
            latency_p50=recent[0] if recent else None,
            latency_p95=recent[1] if recent else None,
            captured=self.feed.captured,
            sent=max((x.sent for x in lanes), default=0),
            dropped=sum(self._dropped().values()),
            slates=max((x.slates for x in lanes), default=0),
            stalls=self.feed.stalls + self._hangs,
            reconnects=self.feed.reconnects,
            errors=self._errors,
            reused=inference.reused if inference else 0,
            engine=inference.matter.engine if inference else None,
            working=inference.working if inference else None,
            share=inference.share if inference else self._scale,
            source=_described(self.feed),
            notes=tuple(self._notes),
        )

    # --- the run --------------------------------------------------------------------------------

    def run(self) -> LiveStats:
        """Run until ``stop``, or until every output has ended; return what was done.

        May be called on any thread. Closes the feed. Files are finished even where it raises:
        what the first connection, an output that cannot be opened, loading the model, or, with
        on_error 'stop', the model raises; and the last output's error where all have failed.
        """
        threads: list[threading.Thread] = []
        self._begin = time.monotonic()
        try:
            self._open()
            for name, work in (("infer", self._infer), ("compose", self._compose)):
                threads.append(threading.Thread(target=work, name=f"vmatte-{name}", daemon=True))
                threads[-1].start()
            self._watch()
        finally:
            self._finish(threads)
        if self._failure is not None:
            raise self._failure
        return self._stats()

    def _open(self) -> None:
        info = self.feed.open()
        composer = Composer(info, self._refine, self.options.slate, self._clock, self._count_error)
        for output in self._first:
            lane = self._lane(output)
            try:
                lane.open(info)
            except BaseException:
                for other in self._lanes:
                    other.end(abort=True)
                raise
            self._join_in(composer, lane)
        self._composer = composer
        self._work.put(_SLATE)

    def _watch(self) -> None:
        """Look after everything until the end: states, slates, outputs, progress."""
        watched_at = reported_at = time.monotonic()
        looked_at = 0.0
        while not self._stopping:
            now = time.monotonic()
            self.feed.poll()
            self._show(now)
            self._retire()
            if now - looked_at > 0.25:
                looked_at = now
                if any(lane.watched() for lane in self._lanes):
                    watched_at = now
                self._hold_while_needed(now - watched_at)
                if any(_ended(lane) for lane in self._lanes):
                    self._stopping = True
            if self._progress is not None and now - reported_at >= self._every:
                reported_at += self._every
                self._progress(self.snapshot())
            time.sleep(_TICK)

    def _show(self, now: float) -> None:
        """Send the slate where there is nothing else: at once, then again and again."""
        state = self._state(now)
        if state != "live":
            every = _REPEAT_IDLE if state == "idle" else _REPEAT
            if state != self._shown or now - self._slate_at >= every:
                self._slate_at = now
                self._blank(state)
            if state == "stalled" and self._shown == "live" and self.feed.state == "live":
                self._hangs += 1
        self._shown = state

    def _blank(self, state: LiveState) -> None:
        held = state == "error" and self.options.on_error == "hold"
        self._work.put(_HOLD if held else _SLATE)

    def _state(self, now: float) -> LiveState:
        if self._idle:
            return "idle"
        if self._paused:
            return "paused"
        if self._inference is None:
            return "starting"
        feed = self.feed.state
        if feed in ("lost", "released", "closed"):
            return "lost"
        if feed == "stalled":
            return "stalled"
        if self._failing:
            return "error"
        if not self._composed_at:
            return "starting"
        if self.feed.stands:
            return "live"
        patience = max(_HANGS, 3 * (self._inference.busy + self._compose_busy))
        return "stalled" if now - self._composed_at > patience else "live"

    def _hold_while_needed(self, unwatched: float) -> None:
        if not self._idle and unwatched > self.options.idle:
            self._idle = True
            self.feed.release()
        elif self._idle and not unwatched:
            self.feed.resume()
            self._idle = False

    def _retire(self) -> None:
        """Take outputs away that have failed; the last one's error ends the run."""
        while self._broken:
            lane = self._broken.pop()
            composer = self._running()
            self._leave(composer, lane)
            self.note(mask(f"{lane.name} has failed and is sent no more: {lane.error}"))
            if not self._lanes:
                self._failure = lane.error
                self._stopping = True

    # --- threads --------------------------------------------------------------------------------

    def _infer(self) -> None:
        calls = self._inferring
        calls.begin()
        try:
            if self._matter is None:
                self._owned = self._matter = self._load()
            with contextlib.suppress(Exception):  # What fails here fails again, and is seen to.
                warm(self._matter, self.feed.info, self._scale)
            inference = Inference(self._matter, self.feed.info, self.options, self._clock)
            inference.mirror, inference.scale = self._mirror, self._scale
            self._inference = inference
            while not self._stopping:
                calls.serve()
                captured = self.feed.newest(0.05)
                if captured is not None and not (self._paused or self._idle):
                    self._matte(inference, captured)
        except BaseException as e:
            self._fail(e)
        finally:
            calls.end()

    def _matte(self, inference: Inference, captured: Captured) -> None:
        try:
            matted = inference.step(captured)
        except Exception as e:
            self._trouble(e)
            self._blank("error")
            return
        finally:
            for text in inference.notes:
                self.note(text)
            inference.notes.clear()
        self._work.put(matted)

    def _compose(self) -> None:
        calls = self._composing
        calls.begin()
        composer = self._running()
        try:
            while not self._stopping:
                calls.serve()
                item = self._work.take(_TICK)
                if item is None:
                    continue
                if item == _SLATE:
                    composer.slate(self.feed.now)
                elif item == _HOLD:
                    composer.hold(self.feed.now)
                elif isinstance(item, Matted):
                    self._send(composer, item)
        except BaseException as e:
            self._fail(e)
        finally:
            calls.end()

    def _send(self, composer: Composer, matted: Matted) -> None:
        begin = time.monotonic()
        limit = self._limit()
        if self._paused or self._idle or begin - matted.at > limit:
            self._stale += 1
            return
        self._failing = False
        try:
            composer.send(matted, limit)
        except Exception as e:
            self._trouble(e)
            self._blank("error")
            return
        now = time.monotonic()
        self._compose_busy += 0.1 * (now - begin - self._compose_busy)
        self._composed_at = now
        self._rate.add()

    def _limit(self) -> float:
        """Return the age beyond which a frame is stale: two intervals, the source's or our own."""
        inference = self._inference
        busy = (inference.busy if inference else 0.0) + self._compose_busy
        return 2 * max(self.feed.interval, busy)

    def _trouble(self, error: BaseException) -> None:
        """Take note that the model has failed: the slate is shown until it does not."""
        self._failing = True
        self._count_error(error)

    def _count_error(self, error: BaseException) -> None:
        self._errors += 1
        self.note(mask(f"{type(error).__name__}: {error}"))
        if self.options.on_error == "stop":
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self._stopping = True

    # --- outputs --------------------------------------------------------------------------------

    def _lane(self, output: Output) -> Lane:
        return Lane(output, self._latency, self._overhead, self._broken.append)

    def _join_in(self, composer: Composer, lane: Lane) -> None:
        composer.add(lane)
        self._lanes.append(lane)
        for text in getattr(lane.output.sink, "notes", []):
            self.note(f"{lane.name}: {text}")

    def _leave(self, composer: Composer, lane: Lane) -> None:
        # Nobody waits for it: a compositor that hangs must not hold a stop.
        self._composing.post(lambda: composer.remove(lane))
        if lane in self._lanes:
            self._lanes.remove(lane)
            self._gone.append(lane)

    def _ask(self, done: "Future[T]") -> T:
        """Wait for what was posted. Raises OptionError where the run ends before."""
        while True:
            try:
                return done.result(0.1)
            except TimeoutError:
                if self._stopping:
                    raise OptionError("the live run has ended") from None

    def _running(self) -> Composer:
        if self._composer is None:
            raise OptionError("the live run has not begun yet; call this once it runs")
        return self._composer

    # --- the end --------------------------------------------------------------------------------

    def _finish(self, threads: list[threading.Thread]) -> None:
        self._stopping = True
        self._work.close()
        lanes = list(self._lanes)
        hung = False
        for thread in reversed(threads):
            if thread.name == "vmatte-compose":
                thread.join(_STOPPING)
                hung = thread.is_alive()
        for lane in lanes:
            lane.end(abort=self._failure is not None and not self._composed_at)
        # While files are finished, the source is let go.
        self.feed.close(_STOPPING)
        end = time.monotonic() + _FLUSHING
        for lane in lanes:
            if not lane.join(max(0.0, end - time.monotonic())):
                self._failure = self._failure or hanging(lane)
            elif lane.error is not None and lane not in self._gone:
                self._failure = self._failure or lane.error
            if not hung:
                lane.output.compositor.close()
        for thread in threads:
            thread.join(_STOPPING)
        if self._owned is not None and not any(t.is_alive() for t in threads):
            self._owned.close()

    def _dropped(self) -> dict[str, int]:
        lanes = [*self._lanes, *self._gone]
        found = {
            "capture": self.feed.dropped,
            "compose": self._work.dropped,
            "stale": self._stale + sum(x.stale for x in lanes),
        }
        for lane in lanes:
            found[lane.name] = found.get(lane.name, 0) + lane.dropped
        return found

    def _stats(self) -> LiveStats:
        lanes = [*self._lanes, *self._gone]
        inference = self._inference
        return LiveStats(
            captured=self.feed.captured,
            composed=self._rate.count,
            sent={x.name: x.sent for x in lanes},
            dropped=self._dropped(),
            slates=max((x.slates for x in lanes), default=0),
            stalls=self.feed.stalls + self._hangs,
            losses=self.feed.losses,
            reconnects=self.feed.reconnects,
            errors=self._errors,
            reused=inference.reused if inference else 0,
            seconds=time.monotonic() - self._begin,
            latency=self._latency.overall(),
            overhead=self._overhead.overall(),
            stages=dict(self._clock.stages),
            engine=inference.matter.engine if inference else None,
            peak_memory=peak_memory(),
            interrupted=self._stopped,
            notes=tuple(self._notes),
        )


def _ended(lane: Lane) -> bool:
    """Whether the user has ended this output, such as by closing its window."""
    ended = getattr(lane.output.sink, "ended", None)
    return ended is not None and bool(ended())


def _described(feed: Feed) -> str:
    try:
        info = feed.source_info
    except Exception:
        return feed.name
    rate = f" at {float(info.rate):.4g} fps" if info.rate else ""
    return f"{feed.name}, {info.width}x{info.height}{rate}"
