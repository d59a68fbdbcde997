"""vmatte preview: a window on an input."""

import sys
from pathlib import Path
from typing import Any

import click

from vmatte.cli.options import (
    capture,
    capture_options,
    engine_options,
    live_steer_options,
    look_options,
    matter_options,
    no_delay,
    refine_options,
    steering,
)
from vmatte.cli.preset import LivePresetCommand
from vmatte.cli.report import PATIENCE, interruptible
from vmatte.composite import Fit
from vmatte.errors import OutputError, mask
from vmatte.live import Feed, LiveOptions, LivePipeline, LiveStats
from vmatte.matting import Matter, load_matter
from vmatte.preview import VIEWS, Player, PlayerOptions, View, cycle_of, watch
from vmatte.sinks.window import WindowSink, expect_screen
from vmatte.sources import LiveInput, open_live
from vmatte.steer import load_steered

_PLAYER = PlayerOptions()


_EXAMPLES = """\b
Examples:
  vmatte preview camera:0
  vmatte preview clip.mp4 --background beach.jpg --view split
  vmatte preview rtsp://camera.local/stream --model rvm
In the window: h for help, 1 to 5 for the views, b for the background, q to quit.
"""


@click.command("preview", cls=LivePresetCommand, epilog=_EXAMPLES)
@click.argument("input")
@look_options
@live_steer_options
@click.option(
    "--view",
    type=click.Choice(VIEWS),
    default=_PLAYER.view,
    show_default=True,
    help="What to begin with.",
)
@click.option("--mirror", is_flag=True, help="Exchange left and right.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=_PLAYER.folder,
    help="Where pictures and recordings go; by default here.",
)
@capture_options
@engine_options
@no_delay("live there is none: --stabilise flow delays nothing")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    input: str,
    background: str,
    fit: Fit,
    view: View,
    mirror: bool,
    folder: Path,
    quiet: bool,
    model: str | None,
    **rest: Any,
) -> int:
    """Show what comes of INPUT in a window: a file, camera:0, rtsp://..., synthetic:.

    Keys change the view, the background, the model and more: press h for a list.
    """
    matter, refine, source = matter_options(rest), refine_options(rest), capture(rest)
    steer = steering(rest)
    window = WindowSink(f"vmatte {mask(input)}")
    expect_window("vmatte preview", input, source)
    player = Player(
        window,
        PlayerOptions(
            view=view,
            backgrounds=cycle_of(background),
            fit=fit,
            freeze=True,
            matter=matter,
            steer=steer,
            folder=folder,
        ),
    )

    def load() -> Matter[Any]:
        return load_matter(model, matter, lambda done, _: player.say(f"fetching: {done >> 20} MB"))

    feed = Feed(lambda: open_live(input, source), lost=source.timeout, name=input)
    pipeline = LivePipeline(
        feed,
        lambda: load_steered(load, steer, feed.info.size),
        [player.output],
        options=LiveOptions(mirror=mirror),
        refine=refine,
    )
    with interruptible(PATIENCE) as stop:
        stop.attach(pipeline)
        stats = watch(pipeline, window, player)
    if not quiet:
        _report(stats)
    return 130 if stop.asked else 0


def expect_window(name: str, input: str, options: LiveInput) -> None:
    """Raise OutputError where no window can be shown, but rather what is wrong with the input."""
    try:
        expect_screen(name)
    except OutputError:
        open_live(input, options).close()
        raise


def _report(stats: LiveStats) -> None:
    lines = [f"showed   {stats.composed} frames in {stats.seconds:.1f} s ({stats.fps:.1f} fps)"]
    if stats.engine is not None:
        engine = stats.engine
        lines.append(
            f"ran      {engine.model} on {engine.runtime}, provider {engine.provider}, "
            f"precision {engine.precision}"
        )
    if stats.latency is not None:
        lines.append(f"latency  {stats.latency[0]:.0f} ms, 95 % within {stats.latency[1]:.0f} ms")
    for line in [*lines, *(f"note     {n}" for n in stats.notes)]:
        print(line, file=sys.stderr)
