"""From a live source through a matter to outputs, for hours: the newest frame, or the slate."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from vmatte.allocator import give_back, keep_pictures_apart, share_one_heap
from vmatte.composite import Compositor
from vmatte.errors import OptionError
from vmatte.live import leaving
from vmatte.live.composer import Composer
from vmatte.live.feed import Feed
from vmatte.live.inference import warm
from vmatte.live.options import LiveOptions
from vmatte.live.outputs import Outputs
from vmatte.live.stages import Stages
from vmatte.live.state import state_of
from vmatte.live.stats import LiveSnapshot, LiveState, LiveStats
from vmatte.live.tally import Tally
from vmatte.matting import Matter
from vmatte.opencv import one_thread
from vmatte.output import Output
from vmatte.refine import RefineOptions

_TICK, _LOOK = 0.02, 0.25
"""Seconds between two looks at what goes on, and at who watches."""

_TIDY = 30.0
"""Seconds between two times that free memory goes back to the system."""

_REPEAT, _REPEAT_IDLE = 0.2, 1.0
"""Seconds between two slates: a virtual camera without frames counts as broken."""

_STOPPING = 0.3
"""Seconds that threads may take to end."""

Loading = Callable[[], Matter[Any]]


class LivePipeline:
    """Mattes a live source into several outputs until it is stopped. Use once.

    Never sent is a camera's picture without its matte: before the first matte, where the model
    fails, where the source stalls or is lost and while paused, the slate is sent.

    Whatever is not ``run`` may be called from any thread.
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
        if refine is not None and refine.method == "closed-form":
            raise OptionError("--refine closed-form is for stills; live, use fast or off")
        self.feed = feed
        self.options = options or LiveOptions()
        self._loaded = hasattr(matter, "step")
        self._matter: Any = matter
        self._refine = refine or RefineOptions()
        self._first = list(outputs)
        self._progress, self._every = progress, every
        self._tally = Tally()
        self._stages = Stages(feed, self.options, self._tally, self._fail)
        self._outputs = Outputs(self._stages, self._tally, lambda: self._stopping)
        self._stopping = self._stopped = False
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._shown: LiveState = "starting"
        self._slate_at = 0.0

    @property
    def outputs(self) -> list[Output]:
        """The outputs at work."""
        return [lane.output for lane in self._outputs.lanes]

    @property
    def state(self) -> LiveState:
        """What is shown now, and why."""
        return state_of(self._stages, self.feed, time.monotonic())

    @property
    def paused(self) -> bool:
        """Whether the slate is shown because of ``pause``."""
        return self._stages.paused

    @property
    def mirror(self) -> bool:
        """Whether left and right of the camera's picture are exchanged."""
        return self._stages.mirror

    @mirror.setter
    def mirror(self, value: bool) -> None:
        self._stages.mirror = value

    @property
    def scale(self) -> float:
        """The share of the model's usual picture size, chosen by hand."""
        return self._stages.scale

    @scale.setter
    def scale(self, value: float) -> None:
        if not 0.1 <= value <= 1:
            raise OptionError(f"scale is {value}; expected 0.1 to 1")
        self._stages.scale = value

    def stop(self) -> None:
        """End within a second, with whole files. Also from a signal handler."""
        # Plain flags: a lock may be held by the very thread that a signal interrupts.
        self._stopped = self._stopping = True
        self.feed.cancel()

    def join(self, timeout: float) -> bool:
        """Wait until ``run`` has ended, and its threads too; return whether they have."""
        end = time.monotonic() + timeout
        return self._ended.wait(timeout) and self._stages.join(max(0.0, end - time.monotonic()))

    def pause(self) -> None:
        """Show the slate until ``resume``. The source is kept."""
        self._stages.paused = True

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._stages.paused = False

    def replace_matter(self, matter: Matter[Any]) -> Matter[Any] | None:
        """Go on with another loaded model, from a fresh state; return the one before.

        Returns when nothing uses that one any more; who replaced it closes it. Waits where a model
        is being loaded. Raises what the new one raises when it is tried; the one before stays then.
        """
        self._running()
        warm(matter, self.feed.info, self.scale)

        def swap() -> Matter[Any] | None:
            before = self._stages.inference.matter if self._stages.inference else None
            self._stages.replace(matter, before)
            return before

        return self._stages.ask(self._stages.inferring.post(swap))

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

        self._stages.ask(self._stages.composing.post(swap))

    def add_output(self, output: Output) -> None:
        """Open another output and send to it from now on. Raises what opening raises."""
        self._outputs.add(output, self._running())

    def remove_output(self, output: Output) -> None:
        """Finish an output. Returns when its file is whole; raises OutputError where it is not."""
        self._outputs.remove(output, self._running())

    def note(self, text: str) -> None:
        """Tell the user something, once."""
        self._tally.note(text)

    def snapshot(self) -> LiveSnapshot:
        """Return what goes on now."""
        return self._snapshot(self.state)

    def _snapshot(self, state: LiveState) -> LiveSnapshot:
        stages = self._stages
        return self._tally.snapshot(
            state, self.feed, self._outputs.all, stages.dropped, stages.inference, stages.scale
        )

    def run(self) -> LiveStats:
        """Run until ``stop``, or until the user has ended an output; return what was done.

        May be called on any thread. Closes the feed. Raises what the first connection, an output
        that cannot be opened, loading the model, or, with on_error 'stop', the model raises, and
        the last output's error where all have failed. Files with composites are whole even then.
        """
        stages = self._stages
        self._tally.begin = time.monotonic()
        leaving.begun(self)
        share_one_heap()
        with one_thread():
            try:
                composer = self._open()
                load = (lambda: self._matter) if self._loaded else self._matter
                stages.start(composer, load, owned=not self._loaded)
                self._watch(composer)
            finally:
                self._finish()
                self._ended.set()
                if self.join(_STOPPING):
                    leaving.ended(self)
        if self._failure is not None:
            raise self._failure
        return self._tally.stats(
            self.feed, self._outputs.all, stages.dropped, stages.inference, self._stopped
        )

    def _open(self) -> Composer:
        info = self.feed.open()
        keep_pictures_apart(info.width * info.height)
        for text in info.notes:
            self.note(text)
        composer = Composer(info, self._refine, self.options.slate, self._tally)
        try:
            self._outputs.begin(self._first, composer)
        except OptionError:
            if self._stopped:  # As where the feed is being opened.
                raise KeyboardInterrupt from None
            raise
        return composer

    def _watch(self, composer: Composer) -> None:
        """Look after everything until the end: states, slates, outputs, progress."""
        watched_at = reported_at = tidied_at = time.monotonic()
        looked_at = 0.0
        while not self._stopping:
            now = time.monotonic()
            self.feed.poll()
            self._show(now)
            if (error := self._outputs.retire(composer)) is not None:
                self._fail(error)
            if now - looked_at > _LOOK:
                looked_at = now
                lanes = self._outputs.lanes
                if any(lane.watched() for lane in lanes):
                    watched_at = now
                self._hold_while_needed(now - watched_at)
                if any(lane.ended() for lane in lanes):
                    self._stopping = True
            if now - tidied_at > _TIDY:
                tidied_at = now
                give_back()
            if self._progress is not None and now - reported_at >= self._every:
                reported_at += self._every
                self._progress(self.snapshot())
            time.sleep(_TICK)

    def _show(self, now: float) -> None:
        """Send the slate where there is nothing else: at once, then again and again."""
        state = state_of(self._stages, self.feed, now)
        if state != "live":
            every = _REPEAT_IDLE if state == "idle" else _REPEAT
            if state != self._shown or now - self._slate_at >= every:
                self._slate_at = now
                self._stages.blank(hold=state == "error" and self.options.on_error == "hold")
            if state == "stalled" and self._shown == "live" and self.feed.state == "live":
                self._tally.hangs += 1
            elif state in ("lost", "paused", "idle") or self.feed.state == "stalled":
                # What comes after begins anew; it does not hang because this took long.
                self._stages.composed_at = 0.0
        self._shown = state

    def _hold_while_needed(self, unwatched: float) -> None:
        stages = self._stages
        if not stages.idle and unwatched > self.options.idle:
            stages.idle = True
            self.feed.release()
        elif stages.idle and not unwatched:
            self.feed.resume()
            stages.idle = False

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self._stopping = True

    def _running(self) -> Composer:
        if self._stopping:
            raise OptionError("the live run has ended")
        if self._stages.composer is None:
            raise OptionError("the live run has not begun yet; call this once it runs")
        return self._stages.composer

    def _finish(self) -> None:
        self._stopping = True
        composed = self._stages.stop(_STOPPING)
        self._outputs.end(abort=self._failure is not None and not self._tally.rate.count)
        # While files are finished, the source is let go.
        self.feed.close(_STOPPING)
        error = self._outputs.finish(self._tell, composed=composed)
        self._failure = self._failure or error

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._snapshot(self._shown))
