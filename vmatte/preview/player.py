"""Keys to deeds: what the window's user does to a live run."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmatte.composite import Compositor, Fit, Subject
from vmatte.concurrency import Channel, StoppedError
from vmatte.errors import VmatteError, mask
from vmatte.frames import StreamInfo
from vmatte.live import LivePipeline, LiveSnapshot
from vmatte.matting import Matter, MatterOptions, load_matter
from vmatte.pipeline import Output
from vmatte.preview.hud import Canvas, draw_help, draw_status, status_lines
from vmatte.preview.keys import Action, action_of
from vmatte.preview.views import CHECKERBOARD, VIEWS, Divider, Seen, View, make_view
from vmatte.registry import find_model, load_registry
from vmatte.sinks import FileSink, ImagesSink
from vmatte.sinks.window import WindowSink
from vmatte.sources.paced import PacedSource
from vmatte.steer import SteerOptions, load_steered

_JUMP = 5.0
"""Seconds that an arrow key seeks by."""


_SCALES = (1.0, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
"""Shares of the model's usual picture size that + and - go through."""


_TRIED = 1.0
"""Seconds until a change of the model's picture must have shown, or it cannot be changed."""


_TRIES = 3
"""Seeks until a frame has come."""


_MANY = 1000
"""Deeds that may wait: more than keys are pressed while a model loads."""


_PATIENCE = 0.5
"""Seconds that a deed under way may take once the run has ended."""


_TOLD = 4.0
"""Seconds that a message stays."""


_LOOK = 0.2
"""Seconds between two looks at the run's figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerOptions:
    """What a window begins with.

    backgrounds: what the background key goes through, beginning with the first. freeze: a pause
    holds the last picture in the window, and not the slate. matter, steer: of models that the model
    key loads. models: names that the model key goes
    through; by default those on this machine. folder: where pictures and recordings go.
    """

    view: View = "composite"
    backgrounds: Sequence[str] = ("green", "blur", CHECKERBOARD)
    fit: Fit = "cover"
    freeze: bool = False
    matter: MatterOptions = field(default_factory=MatterOptions)
    steer: SteerOptions = field(default_factory=SteerOptions)
    models: Sequence[str] | None = None
    folder: Path = Path()


def cycle_of(background: str, *, alone: bool = True) -> tuple[str, ...]:
    """Return the backgrounds to go through, beginning with the given one.

    alone: nobody else sees them, so a checkerboard is among them.
    """
    first = CHECKERBOARD if background == "transparent" else background
    others = ("blur", "green", *((CHECKERBOARD,) if alone else ()), "white", "black")
    return tuple(dict.fromkeys((first, *others)))


class Player:
    """Does what keys and mouse ask of a run, and draws over its window. See Viewer.

    What may take its time is done on a thread of its own, in order, so that neither window nor run
    ever waits for it. What goes wrong is told in the window.
    """

    def __init__(
        self,
        window: WindowSink,
        options: PlayerOptions | None = None,
        *,
        followers: Sequence[Output] = (),
    ) -> None:
        """Prepare for ``attach``; ``output`` is to be among the run's outputs.

        followers: other outputs that show the subject over the background, which changes along.
        Raises OptionError, InputError where the first background is unusable.
        """
        self.options = options or PlayerOptions()
        self._window, self._followers = window, list(followers)
        self.view: View = self.options.view
        self._background = 0
        self.divider = Divider()
        self.output = Output(self._make(), window)
        self._pipeline: LivePipeline | None = None
        self._deeds: Channel[Callable[[], None]] = Channel(_MANY)
        # A daemon: loading a model must not keep the process alive.
        self._hands = threading.Thread(target=self._work, name="vmatte-player", daemon=True)
        self._stale = False
        self._seen: tuple[StreamInfo, Seen] | None = None
        self._still: tuple[object, Compositor] | None = None
        self._recording: Output | None = None
        self._owned: Matter[Any] | None = None
        self._paused = self._help = False
        self._loop = True
        self._overlay = True
        self._message, self._until = "", 0.0
        self._snapshot: LiveSnapshot | None = None
        self._looked = self._position = 0.0

    def attach(self, pipeline: LivePipeline) -> None:
        """Act on ``pipeline`` from now on, until ``close``."""
        self._pipeline = pipeline
        self._hands.start()

    def close(self) -> None:
        """End what is under way, once the run has ended; what hangs is left to itself."""
        self._deeds.stop()
        if self._hands.is_alive():
            self._hands.join(_PATIENCE)
            if self._hands.is_alive():
                return
        if self._still is not None:
            self._still[1].close()
            self._still = None
        if self._owned is not None:
            self._owned.close()
            self._owned = None

    @property
    def background(self) -> str:
        """What is behind the subject."""
        return self.options.backgrounds[self._background]

    # --- what the window asks, on its thread ------------------------------------------------------

    def draw(self, canvas: Canvas) -> None:
        """Draw the strip, or the help."""
        now = time.monotonic()
        if self._pipeline is not None and now - self._looked >= _LOOK:
            self._looked, self._snapshot = now, self._pipeline.snapshot()
            self._stop_at_end()
        if self._help:
            draw_help(canvas, file=self._source() is not None)
        elif self._overlay or now < self._until:
            lines = status_lines(
                self._snapshot, view=self.view, background=self._called(), extra=self._states()
            )
            message = self._message if now < self._until else ""
            draw_status(canvas, lines, message=message, recording=self._recording is not None)

    def key(self, code: int) -> None:
        """Do what a key is for."""
        action = action_of(code)
        if action is not None:
            self.do(action)

    def drag(self, x: float, y: float) -> None:
        """Move the line of 'split'."""
        if self.view == "split":
            self.divider.move(x)
            self._refresh()

    def do(self, action: Action) -> None:
        """Do ``action``; returns at once."""
        if action is Action.QUIT:
            self._window.close_by_user()
        elif action is Action.HELP:
            self._help = not self._help
        elif action is Action.OVERLAY:
            self._overlay = not self._overlay
        elif action is Action.FULL_SCREEN:
            self._window.toggle_full_screen()
        elif self._pipeline is None:
            self.say("not yet: it is starting")
        else:
            self._post(lambda: self._act(action))
        self._window.redraw()

    def say(self, text: str) -> None:
        """Show a message for a while."""
        self._message, self._until = mask(text), time.monotonic() + _TOLD
        self._window.redraw()

    def _states(self) -> list[str]:
        state: str = "starting" if self._snapshot is None else self._snapshot.state
        states = ["paused" if self._paused else state]
        source = self._source()
        if source is not None and source.duration:
            states.append(f"{source.position:.1f} / {source.duration:.1f} s")
        if not self._loop:
            states.append("no loop")
        if self._pipeline is not None and self._pipeline.mirror:
            states.append("mirrored")
        return states

    def _called(self) -> str:
        return Path(self.background).name if "/" in self.background else self.background

    # --- deeds, on the player's own thread --------------------------------------------------------

    def _post(self, deed: Callable[[], None]) -> None:
        with contextlib.suppress(StoppedError):
            self._deeds.put(deed)

    def _work(self) -> None:
        for deed in self._deeds:
            try:
                deed()
            except VmatteError as e:
                self.say(f"{type(e).__name__}: {e}")

    def _act(self, action: Action) -> None:
        if action.name.lower() in VIEWS:
            self._show(VIEWS[[v.upper() for v in VIEWS].index(action.name)])
        elif action is Action.NEXT_VIEW:
            self._show(VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)])
        elif action in _DEEDS:
            _DEEDS[action](self)

    def _run(self) -> LivePipeline:
        assert self._pipeline is not None
        return self._pipeline

    def _make(self) -> Compositor:
        return make_view(
            self.view, self.background, self.divider, fit=self.options.fit, seen=self._see
        )

    def _see(self, info: StreamInfo, seen: Seen) -> None:
        self._seen = (info, seen)

    def _show(self, view: View) -> None:
        before, self.view = self.view, view
        try:
            self._replace()
        except VmatteError:
            self.view = before
            raise

    def _replace(self) -> None:
        """Put what is to be shown into the window, and into the recording."""
        self._run().replace_compositor(self.output, self._make())
        if self._recording is not None:
            self._run().replace_compositor(self._recording, self._plain())
        self._draw_again()

    def _plain(self) -> Compositor:
        return make_view(self.view, self.background, self.divider, fit=self.options.fit)

    def _refresh(self) -> None:
        # Once for all the mouse's moves that wait.
        if self._paused and self.options.freeze and not self._stale:
            self._stale = True
            self._post(self._draw_again)

    def _draw_again(self) -> None:
        """While paused, show the last frame as it would be shown now."""
        self._stale = False
        if not (self._paused and self.options.freeze) or self._seen is None:
            return
        info, seen = self._seen
        key = (self.view, self.background, info)
        if self._still is None or self._still[0] != key:
            if self._still is not None:
                self._still[1].close()
                self._still = None
            compositor = self._plain()
            compositor.open(info)
            self._still = (key, compositor)
        shown = self._still[1]
        self._window.show(shown.compose(*seen, shown.advance(seen.frame)))

    def _next_background(self) -> None:
        before = self._background
        self._background = (before + 1) % len(self.options.backgrounds)
        # A video takes a while to be opened.
        self.say(f"background: {self._called()} ...")
        try:
            self._replace()
        except VmatteError:
            self._background = before
            raise
        for output in self._followers:
            self._run().replace_compositor(
                output, make_view("composite", self.background, self.divider, fit=self.options.fit)
            )
        self.say(f"background: {self._called()}")

    def _mirror(self) -> None:
        pipeline = self._run()
        pipeline.mirror = not pipeline.mirror

    def _next_model(self) -> None:
        pipeline = self._run()
        engine = pipeline.snapshot().engine
        names = list(self.options.models or _models_here())
        now = engine.model if engine else None
        if not [n for n in names if n != now]:
            self.say("no other model is on this machine: vmatte models list")
            return
        name = names[(names.index(now) + 1) % len(names)] if now in names else names[0]
        self.say(f"loading {name} ...")
        matter = load_steered(
            lambda: load_matter(name, self._options()), self.options.steer, pipeline.feed.info.size
        )
        try:
            before = pipeline.replace_matter(matter)
        except BaseException:
            matter.close()
            raise
        self._owned = matter
        if before is not None:
            before.close()
        self.say(f"{name}")

    def _options(self) -> MatterOptions:
        # Ratio and classes are of the first model, and mean nothing to others.
        given = self.options.matter
        return MatterOptions(
            runtime=given.runtime,
            stabilise=given.stabilise,
            accept_licence=given.accept_licence,
        )

    def _scale(self, by: int) -> None:
        pipeline = self._run()
        nearest = min(range(len(_SCALES)), key=lambda i: abs(_SCALES[i] - pipeline.scale))
        index = min(len(_SCALES) - 1, max(0, nearest + by))
        before = pipeline.snapshot()
        pipeline.scale = _SCALES[index]
        until = time.monotonic() + _TRIED
        while pipeline.snapshot().working == before.working and time.monotonic() < until:
            time.sleep(0.02)
        if _SCALES[index] == _SCALES[nearest]:
            self.say(f"the model's picture is {_SCALES[index]:.0%} of its usual size already")
        elif pipeline.snapshot().working == before.working and not self._paused:
            pipeline.scale = _SCALES[nearest]
            model = before.engine.model if before.engine else "the model"
            self.say(f"{model}: its picture has a fixed size")
        else:
            self.say(f"the model's picture: {_SCALES[index]:.0%} of its usual size")

    def _save(self) -> None:
        if self._seen is None:
            self.say("there is no picture yet")
            return
        info, seen = self._seen
        subject = Subject(transparent=True)
        path = self._path(".png")
        sink = ImagesSink(str(path))
        sink.open(subject.open(info))
        try:
            sink.write(subject.compose(*seen, None))
            sink.close()
        except BaseException:
            sink.abort()
            raise
        self.say(f"saved {path}")

    def _record(self) -> None:
        if self._recording is not None:
            output, self._recording = self._recording, None
            self._run().remove_output(output)
            self.say(f"recorded {output.sink.name}")
            return
        output = Output(self._plain(), FileSink(str(self._path(".mp4")), sound=False))
        self._run().add_output(output)
        self._recording = output
        self.say(f"recording to {output.sink.name}")

    def _path(self, suffix: str) -> Path:
        """Return a name that is not taken yet."""
        stem = time.strftime("vmatte-%Y%m%d-%H%M%S")
        path = self.options.folder / f"{stem}{suffix}"
        count = 1
        while path.exists():
            count += 1
            path = self.options.folder / f"{stem}-{count}{suffix}"
        return path

    def _source(self) -> PacedSource | None:
        """Return the file that is played, where the input is one."""
        source = self._pipeline.feed.source if self._pipeline is not None else None
        return source if isinstance(source, PacedSource) else None

    def _pause(self) -> None:
        self._paused = not self._paused
        source = self._source()
        if self.options.freeze and source is not None:
            # No slate: there is nobody else, and nothing to hide.
            (source.pause if self._paused else source.resume)()
        elif self._paused:
            self._window.freeze(self.options.freeze)
            self._run().pause()
        else:
            self._run().resume()
            self._window.freeze(False)

    def _seek(self, target: Callable[[float], float]) -> None:
        source = self._source()
        if source is None:
            self.say("only in files")
            return
        self._position = 0.0
        before, at = self._seen, target(source.position)
        for _ in range(_TRIES):
            source.seek(at)
            # While it stands still, one frame comes, and a frame that comes late is not shown.
            until = time.monotonic() + _TRIED
            while source.paused and self._seen is before and time.monotonic() < until:
                time.sleep(0.01)
            if self._seen is not before or not source.paused:
                break
        self._draw_again()

    def _switch_loop(self) -> None:
        if self._source() is None:
            self.say("only in files")
            return
        self._loop = not self._loop
        self.say("begins again at the end" if self._loop else "stops at the end")

    def _stop_at_end(self) -> None:
        """Without a loop, pause where the file begins again."""
        source = self._source()
        if source is None or not source.duration:
            return
        before, self._position = self._position, source.position
        if not self._loop and not self._paused and before - self._position > source.duration / 2:
            self._post(self._pause)
            self.say("the end")


def _models_here() -> list[str]:
    registry = load_registry()
    return [n for n in registry.names() if find_model(registry.get(n)) is not None]


_DEEDS: dict[Action, Callable[[Player], None]] = {
    Action.BACKGROUND: Player._next_background,
    Action.MIRROR: Player._mirror,
    Action.MODEL: Player._next_model,
    Action.LARGER: lambda p: p._scale(-1),
    Action.SMALLER: lambda p: p._scale(1),
    Action.SNAPSHOT: Player._save,
    Action.RECORD: Player._record,
    Action.PAUSE: Player._pause,
    Action.BACK: lambda p: p._seek(lambda at: at - _JUMP),
    Action.FORTH: lambda p: p._seek(lambda at: at + _JUMP),
    Action.HOME: lambda p: p._seek(lambda at: 0.0),
    Action.LOOP: Player._switch_loop,
}
