"""The two threads between capture and the outputs: inference, and composition beside it."""

import contextlib
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from vmatte.concurrency import Calls, Newest
from vmatte.errors import OptionError
from vmatte.live import age
from vmatte.live.age import Spent
from vmatte.live.composer import Composer
from vmatte.live.feed import Captured, Feed
from vmatte.live.inference import Inference, Matted, warm
from vmatte.live.options import LiveOptions
from vmatte.live.tally import Tally
from vmatte.matting import Matter

T = TypeVar("T")

_TICK = 0.02

_EARLY = 1.25
"""How many times its usual time a matte is given to be done when composition is free."""

_SLATE, _HOLD = "slate", "hold"


class Stages:
    """Inference of one frame beside the composition of the one before; the newest wins between.

    Never waits for an output. While ``paused`` or ``idle``, no composite is sent.
    """

    def __init__(
        self,
        feed: Feed,
        options: LiveOptions,
        tally: Tally,
        failed: Callable[[BaseException], None],
    ) -> None:
        """Take frames from ``feed``; ``failed`` is told of what ends the run."""
        self._feed, self._options, self._tally, self._failed = feed, options, tally, failed
        self._work: Newest[Matted | str] = Newest(counted=lambda x: isinstance(x, Matted))
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._owned: Matter[Any] | None = None
        self.inferring, self.composing = Calls(), Calls()
        self.inference: Inference | None = None
        self.composer: Composer | None = None
        self.mirror, self.scale = options.mirror, options.scale
        """As set from any thread; taken over with the next frame."""
        self.paused = self.idle = self.failing = False
        self.composed_at = 0.0
        """When the last composite went out, of time.monotonic; 0 before the first."""
        self._spent = Spent()  # in composition
        self._begun = 0.0  # with the composition of the last frame, of time.monotonic

    @property
    def muted(self) -> bool:
        """Whether composites are held back."""
        return self.paused or self.idle

    @property
    def busy(self) -> float:
        """Seconds that a frame usually takes, without waits."""
        return (self.inference.busy if self.inference else 0.0) + self._spent.usual

    @property
    def dropped(self) -> int:
        """Mattes that a newer one replaced before they were composed."""
        return self._work.dropped

    def start(self, composer: Composer, load: Callable[[], Matter[Any]], *, owned: bool) -> None:
        """Begin: the slate goes out while the model loads; ``owned``: close it at the end."""
        self.composer = composer
        self._work.put(_SLATE)
        for name, work in (
            ("infer", lambda: self._infer(load, owned)),
            ("compose", lambda: self._compose(composer)),
        ):
            # Daemons: a network that never comes back must not keep the process alive.
            thread = threading.Thread(target=work, name=f"vmatte-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def blank(self, *, hold: bool = False) -> None:
        """Send the slate, or again what was sent last, to all outputs."""
        self._work.put(_HOLD if hold else _SLATE)

    def replace(self, matter: Matter[Any], current: Matter[Any] | None) -> None:
        """Infer with ``matter`` from the next frame on."""
        if self.inference is not None:
            self.inference.replace(matter)
        if current is self._owned:
            self._owned = None
        self.failing = False

    def ask(self, done: "Future[T]") -> T:
        """Wait for what was posted to one of the threads. Raises OptionError once they end."""
        while True:
            try:
                return done.result(0.1)
            except TimeoutError:
                if self._stopping:
                    raise OptionError("the live run has ended") from None

    def stop(self, timeout: float) -> bool:
        """Let composition end; return whether it has, so that compositors may be closed."""
        self._stopping = True
        self._work.close()
        for thread in self._threads[1:]:
            thread.join(timeout)
        return not any(t.is_alive() for t in self._threads[1:])

    def join(self, timeout: float) -> bool:
        """Wait for inference too, and free the model where that is ours to do.

        Return whether all threads have ended.
        """
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        if any(t.is_alive() for t in self._threads):
            return False
        if self._owned is not None:
            self._owned.close()
            self._owned = None
        return True

    def _infer(self, load: Callable[[], Matter[Any]], owned: bool) -> None:
        calls = self.inferring
        calls.begin()
        try:
            matter = load()
            self._owned = matter if owned else None
            with contextlib.suppress(Exception):  # What fails here fails again, and is seen to.
                warm(matter, self._feed.info, self.scale)
            inference = Inference(matter, self._feed.info, self._options, self._tally.clock)
            self.inference = inference
            passed = False
            while not self._stopping:
                calls.serve()
                # A matte that would only replace another one is not worth its computing.
                if not self._work.wait_empty(_TICK):
                    continue
                self._await_composition(inference)
                captured = self._feed.newest(_TICK)
                if captured is None or self.muted:
                    continue
                # One that would be late when it is done is left out, for the one that comes next.
                passed = not passed and self._hopeless(captured)
                if not passed:
                    self._matte(inference, captured)
        except BaseException as e:
            self._failed(e)
        finally:
            calls.end()

    def _await_composition(self, inference: Inference) -> None:
        """Wait until a matte begun now would be done when composition is free, not before.

        It would grow old meanwhile, where a newer frame could have been taken.
        """
        due = self._begun + self._spent.usual - _EARLY * inference.busy
        time.sleep(min(_TICK, max(0.0, due - time.monotonic())))

    def _hopeless(self, captured: Captured) -> bool:
        """Whether a frame would be too old when it is done; counts it."""
        late = time.monotonic() - captured.at + self.busy > self._limit()
        self._tally.stale += late
        return late

    def _matte(self, inference: Inference, captured: Captured) -> None:
        inference.mirror, inference.scale = self.mirror, self.scale
        try:
            matted = inference.step(captured)
        except Exception as e:
            self._trouble(e)
        else:
            if not self.muted:  # It would take the slate's place.
                self._work.put(matted)
        for text in inference.notes:
            self._tally.note(text)
        inference.notes.clear()

    def _compose(self, composer: Composer) -> None:
        calls = self.composing
        calls.begin()
        try:
            while not self._stopping:
                calls.serve()
                item = self._work.take(_TICK)
                if isinstance(item, Matted):
                    self._send(composer, item)
                elif item == _HOLD and not self.muted:
                    composer.hold(self._feed.now)
                elif item is not None:
                    composer.slate(self._feed.now)
        except BaseException as e:
            self._failed(e)
        finally:
            calls.end()

    def _send(self, composer: Composer, matted: Matted) -> None:
        self._begun = begin = time.monotonic()
        limit = self._limit()
        if self.muted:
            return
        if begin - matted.at > limit:
            self._tally.stale += 1
            return
        self.failing = False
        try:
            composer.send(matted, limit)
        except Exception as e:
            self._trouble(e)
            return
        self.composed_at = now = time.monotonic()
        self._spent.add(now - begin)
        self._tally.rate.add()

    def _limit(self) -> float:
        """Return the age in seconds beyond which a frame is stale."""
        if self._feed.stands:  # Nothing newer comes.
            return math.inf
        return age.limit(self._feed.interval, self.busy)

    def _trouble(self, error: BaseException) -> None:
        """Take note that the model has failed: the slate is shown until it does not."""
        self.failing = True
        self._tally.error(error)
        if self._options.on_error == "stop":
            self._failed(error)
        self.blank(hold=self._options.on_error == "hold")
