"""Keys to deeds: what the window's user does to a live run."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vmatte.composite import Fit
from vmatte.errors import mask
from vmatte.live import LivePipeline, LiveSnapshot
from vmatte.matting import MatterOptions
from vmatte.output import Output
from vmatte.preview.hands import Hands
from vmatte.preview.hud import Canvas, draw_help, draw_status, status_lines
from vmatte.preview.keep import Keeper
from vmatte.preview.keys import Action, action_of
from vmatte.preview.look import Look
from vmatte.preview.model import Models, scale
from vmatte.preview.playback import Playback
from vmatte.preview.views import CHECKERBOARD, VIEWS, View
from vmatte.sinks.window import WindowSink
from vmatte.steer import SteerOptions

_JUMP = 5.0
"""Seconds that an arrow key seeks by."""


_TOLD = 4.0
"""Seconds that a message stays."""


_LOOK = 0.2
"""Seconds between two looks at the run's figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerOptions:
    """What a window begins with.

    backgrounds: what the background key goes through, beginning with the first. freeze: a pause
    holds the last picture in the window, and not the slate. matter, steer: of models that the model
    key loads. models: names that the model key goes through; by default those on this machine.
    folder: where pictures and recordings go.
    """

    view: View = "composite"
    backgrounds: Sequence[str] = ("green", "blur", CHECKERBOARD)
    fit: Fit = "cover"
    freeze: bool = False
    matter: MatterOptions = field(default_factory=MatterOptions)
    steer: SteerOptions = field(default_factory=SteerOptions)
    models: Sequence[str] | None = None
    folder: Path = Path()


class Player:
    """Does what keys and mouse ask of a run, and draws over its window. See Viewer.

    What may take its time is done by ``Hands``. What goes wrong is told in the window.
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
        self.look = Look(self.options.view, self.options.backgrounds, self.options.fit)
        self.output = Output(self.look.compositor(), window)
        self._pipeline: LivePipeline | None = None
        self._playback: Playback | None = None
        self._hands = Hands(lambda e: self.say(f"{type(e).__name__}: {e}"))
        self._stale = False
        self._keeper = Keeper(self.look, self.options.folder)
        self._models = Models(self.options.models, self.options.matter, self.options.steer)
        self._paused = self._help = False
        self._overlay = True
        self._message, self._until = "", 0.0
        self._snapshot: LiveSnapshot | None = None
        self._looked = 0.0

    def attach(self, pipeline: LivePipeline) -> None:
        """Act on ``pipeline`` from now on, until ``close``."""
        self._playback = Playback(pipeline.feed, lambda: self.look.seen)
        self._pipeline = pipeline
        self._hands.start()

    def close(self) -> None:
        """End what is under way, once the run has ended; what hangs is left to itself."""
        if not self._hands.close():
            return
        self.look.close()
        self._models.close()

    # --- what the window asks, on its thread ------------------------------------------------------

    def draw(self, canvas: Canvas) -> None:
        """Draw the strip, or the help."""
        now = time.monotonic()
        if self._pipeline is not None and now - self._looked >= _LOOK:
            self._looked, self._snapshot = now, self._pipeline.snapshot()
            self._stop_at_end()
        if self._help:
            draw_help(canvas, file=self._file())
        elif self._overlay or now < self._until:
            look = self.look
            lines = status_lines(
                self._snapshot, view=look.view, background=look.called, extra=self._states()
            )
            message = self._message if now < self._until else ""
            draw_status(canvas, lines, message=message, recording=self._keeper.recording)

    def key(self, code: int) -> None:
        """Do what a key is for."""
        action = action_of(code)
        if action is not None:
            self.do(action)

    def drag(self, x: float, y: float) -> None:
        """Move the line of 'split'."""
        if self.look.view == "split":
            self.look.divider.move(x)
            # Once for all the mouse's moves that wait.
            if self._stands() and not self._stale:
                self._stale = True
                self._hands.post(self._draw_again)

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
            self._hands.post(lambda: self._act(action))
        self._window.redraw()

    def say(self, text: str) -> None:
        """Show a message for a while."""
        self._message, self._until = mask(text), time.monotonic() + _TOLD
        self._window.redraw()

    def _states(self) -> list[str]:
        state: str = "starting" if self._snapshot is None else self._snapshot.state
        states = ["paused" if self._paused else state]
        if self._playback is not None:
            states += self._playback.states()
        if self._pipeline is not None and self._pipeline.mirror:
            states.append("mirrored")
        return states

    def _file(self) -> bool:
        return self._playback is not None and self._playback.source is not None

    def _stop_at_end(self) -> None:
        """Without a loop, pause where the file begins again."""
        if self._playback is not None and self._playback.at_end() and not self._paused:
            self._hands.post(self._pause)
            self.say("the end")

    # --- deeds, on the thread of the hands --------------------------------------------------------

    def _act(self, action: Action) -> None:
        if action.name.lower() in VIEWS:
            self._show(VIEWS[[v.upper() for v in VIEWS].index(action.name)])
        elif action is Action.NEXT_VIEW:
            self._show(VIEWS[(VIEWS.index(self.look.view) + 1) % len(VIEWS)])
        elif action in _DEEDS:
            _DEEDS[action](self)

    def _run(self) -> LivePipeline:
        assert self._pipeline is not None
        return self._pipeline

    def _show(self, view: View) -> None:
        with self.look.changing():
            self.look.view = view
            self._replace()

    def _replace(self) -> None:
        """Put what is to be shown into the window, and into the recording."""
        self._run().replace_compositor(self.output, self.look.compositor())
        self._keeper.replace(self._run())
        self._draw_again()

    def _stands(self) -> bool:
        return self._paused and self.options.freeze

    def _draw_again(self) -> None:
        """Where the picture stands, show it as it would be shown now."""
        self._stale = False
        frame = self.look.still() if self._stands() else None
        if frame is not None:
            self._window.show(frame)

    def _next_background(self) -> None:
        with self.look.changing():
            self.look.next_background()
            # A video takes a while to be opened.
            self.say(f"background: {self.look.called} ...")
            self._replace()
        for output in self._followers:
            self._run().replace_compositor(output, self.look.composite())
        self.say(f"background: {self.look.called}")

    def _mirror(self) -> None:
        pipeline = self._run()
        pipeline.mirror = not pipeline.mirror

    def _scale(self, by: int) -> None:
        self.say(scale(self._run(), by, paused=self._paused))

    def _pause(self) -> None:
        self._paused = not self._paused
        source = self._playback.source if self._playback is not None else None
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
        assert self._playback is not None
        if self._playback.seek(target):
            self._draw_again()
        else:
            self.say("only in files")

    def _switch_loop(self) -> None:
        assert self._playback is not None
        if self._playback.source is None:
            self.say("only in files")
            return
        loop = self._playback.loop = not self._playback.loop
        self.say("begins again at the end" if loop else "stops at the end")


_DEEDS: dict[Action, Callable[[Player], None]] = {
    Action.BACKGROUND: Player._next_background,
    Action.MIRROR: Player._mirror,
    Action.MODEL: lambda p: p._models.next(p._run(), p.say),
    Action.LARGER: lambda p: p._scale(-1),
    Action.SMALLER: lambda p: p._scale(1),
    Action.SNAPSHOT: lambda p: p.say(p._keeper.save()),
    Action.RECORD: lambda p: p.say(p._keeper.record(p._run())),
    Action.PAUSE: Player._pause,
    Action.BACK: lambda p: p._seek(lambda at: at - _JUMP),
    Action.FORTH: lambda p: p._seek(lambda at: at + _JUMP),
    Action.HOME: lambda p: p._seek(lambda at: 0.0),
    Action.LOOP: Player._switch_loop,
}
