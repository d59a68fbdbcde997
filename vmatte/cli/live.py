"""vmatte live: from a camera or a stream into a meeting, a window, a recording."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import click

from vmatte.cli.live_report import LiveReporter
from vmatte.cli.options import (
    capture,
    capture_options,
    encoding,
    encoding_options,
    engine_options,
    group,
    live_steer_options,
    look_options,
    matter_options,
    no_delay,
    refine_options,
    steering,
)
from vmatte.cli.preset import LivePresetCommand
from vmatte.cli.report import PATIENCE, Reporter, interruptible
from vmatte.composite import Background, Fit
from vmatte.errors import OptionError
from vmatte.job import check_names, compositor_of, split_name
from vmatte.live import Feed, LiveOptions, LivePipeline, LiveStats, OnError
from vmatte.live.reload import live_background
from vmatte.matting import MatterOptions, expect_licence, load_matter
from vmatte.output import Output
from vmatte.registry import ensure_model, load_registry
from vmatte.sinks import Encoding, open_sink
from vmatte.sources import open_live
from vmatte.steer import SteerOptions, load_steered

_LIVE = LiveOptions()


_EXAMPLES = """\b
Examples:
  vmatte live                                     # camera 0 into the virtual camera
  vmatte live camera:1 --background beach.jpg -o virtualcam: -o window:
  vmatte live rtsp://user:pass@cam.local/1 -o rec.mp4 --background blur
  vmatte live clip.mp4 -o mjpeg:8090 --mirror     # a file as a stand-in camera
"""


_behaviour = group(
    click.option(
        "--target-fps",
        type=float,
        metavar="FPS",
        help="Give the model a smaller picture where it cannot hold this rate.",
    ),
    click.option(
        "--on-error",
        type=click.Choice(get_args(OnError)),
        default=_LIVE.on_error,
        show_default=True,
        help="When the model fails: show the slate, hold the last picture, or stop.",
    ),
    click.option(
        "--slate",
        type=click.Path(path_type=Path),
        help="Picture shown where there is no matte; by default the background alone.",
    ),
    click.option("--mirror", is_flag=True, help="Exchange left and right of the camera's picture."),
    click.option(
        "--scale",
        type=float,
        default=_LIVE.scale,
        show_default=True,
        help="Share of the model's usual picture size.",
    ),
    click.option(
        "--reuse-still",
        is_flag=True,
        help="Keep the matte while the scene does not change, to save power.",
    ),
)


@click.command("live", cls=LivePresetCommand, epilog=_EXAMPLES)
@click.argument("input", default="camera:0")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    default=("virtualcam:",),
    show_default=True,
    metavar="NAME",
    help="virtualcam:[DEVICE], window:, mjpeg:PORT, rec.mp4, null:, alpha=..., foreground=...; "
    "repeatable.",
)
@look_options
@live_steer_options
@_behaviour
@capture_options
@engine_options
@no_delay("live there is none: --stabilise flow delays nothing")
@encoding_options
@click.option("--overwrite", is_flag=True, help="Replace recordings that exist.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a second, on stderr.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    input: str,
    outputs: tuple[str, ...],
    background: str,
    fit: Fit,
    model: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **rest: Any,
) -> int:
    """Replace the background of INPUT, live: camera:0, camera:NAME, rtsp://..., a file, synthetic:.

    The newest frame is shown; where there is none, or no matte, the background alone.
    """
    matter, refine, files = matter_options(rest), refine_options(rest), encoding(rest)
    source, steer = capture(rest), steering(rest)
    check_names(input, outputs, background)
    feed = Feed(lambda: open_live(input, source), lost=source.timeout, name=input)
    notes: list[str] = []
    others, followers, windows = _outputs(outputs, background, fit, files, overwrite, notes)
    window = None
    if windows:
        from vmatte.cli.preview import expect_window

        expect_window(windows[0], input, source)
        window = _Window(windows, background, fit, matter, steer, followers)

    reporter = LiveReporter(as_json=as_json, quiet=quiet, outputs=outputs)
    with closing(reporter), interruptible(PATIENCE) as stop:
        with closing(Reporter(as_json=as_json, quiet=quiet)) as fetching:
            _fetch(model, matter, fetching)

        def progress(snapshot: Any) -> None:
            while notes:
                pipeline.note(notes.pop())
            reporter.status(snapshot)

        pipeline = LivePipeline(
            feed,
            lambda: load_steered(lambda: load_matter(model, matter), steer, feed.info.size),
            others if window is None else [*others, window.player.output],
            options=LiveOptions(**rest),
            refine=refine,
            progress=progress,
        )
        stop.attach(pipeline)
        stats = pipeline.run() if window is None else window.run(pipeline)
        reporter.summary(stats)
    if stop.asked:
        if not (quiet or as_json):
            kept = [o.sink.name for o in others if getattr(o.sink, "recording", False)]
            kept = [name for name in kept if stats.sent.get(name)]
            whole = f": whole and playable: {', '.join(kept)}" if kept else ""
            print(f"interrupted{whole}", file=sys.stderr)
        return 130
    return 0


def _outputs(
    names: tuple[str, ...],
    background: str,
    fit: Fit,
    files: Encoding,
    overwrite: bool,
    notes: list[str],
) -> tuple[list[Output], list[Output], list[str]]:
    """Return the outputs less windows, those that have the background, and the names of windows.

    Raises OptionError and more.
    """
    outputs, followers, windows = [], [], []

    def watched(text: str, fit: Fit) -> Background | None:
        return live_background(text, fit, notes.append)

    for name in names:
        kind, target = split_name(name)
        if target.startswith("window:"):
            windows.append(target)
            continue
        sink = open_sink(target, files, overwrite=overwrite, sound=False, live=True)
        outputs.append(Output(compositor_of(kind, background, fit, watched), sink))
        if kind == "composite" and background != "transparent":
            followers.append(outputs[-1])
    if len(windows) > 1:
        raise OptionError(
            f"{len(windows)} windows are asked for; one shows everything, by its keys"
        )
    return outputs, followers, windows


class _Window:
    """The window of a live run, with the keys of 'vmatte preview'."""

    def __init__(
        self,
        names: list[str],
        background: str,
        fit: Fit,
        matter: MatterOptions,
        steer: SteerOptions,
        followers: list[Output],
    ) -> None:
        from vmatte.preview import Player, PlayerOptions, cycle_of
        from vmatte.sinks.window import WindowSink

        self.sink = WindowSink(names[0].partition(":")[2])
        options = PlayerOptions(
            backgrounds=cycle_of(background, alone=False), fit=fit, matter=matter, steer=steer
        )
        self.player = Player(self.sink, options, followers=followers)

    def run(self, pipeline: LivePipeline) -> LiveStats:
        from vmatte.preview import watch

        return watch(pipeline, self.sink, self.player)


def _fetch(model: str | None, options: MatterOptions, reporter: Reporter) -> None:
    """Fetch the model where it is missing, before anything is opened: it may take minutes."""
    registry = load_registry()
    record = registry.get(model or registry.default)
    expect_licence(record, options)
    ensure_model(record, reporter.fetch, accept_licence=options.accept_licence)
