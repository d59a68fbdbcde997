"""vmatte run: the main job."""

import sys
from typing import Any, get_args

import click

from vmatte.cli.options import engine_options, group, matter_options
from vmatte.cli.report import Reporter, interruptible
from vmatte.cli.values import Bitrate, Levels, Rate, Seconds
from vmatte.composite import Fit
from vmatte.errors import VmatteError
from vmatte.job import JobOptions, matte
from vmatte.refine import RefineOptions
from vmatte.sinks.codecs import CODECS, Encoding

_JOB, _REFINE = JobOptions(), RefineOptions()


_EXAMPLES = """\b
Examples:
  vmatte run clip.mp4 -o out.mp4 --background beach.jpg
  vmatte run clip.mp4 -o out.webm --background transparent
  vmatte run clip.mp4 -o out.mp4 -o alpha=matte.mp4 --background blur:30
  vmatte run clip.mp4 -o out.mp4 --start 1:30 --end 1:45 --model rvm
  vmatte run photos/ -o cut/%06d.png --background transparent
  ffmpeg -i clip.mp4 -f yuv4mpegpipe - | vmatte run - -o out.mp4
"""


_look = group(
    click.option(
        "--background",
        default=_JOB.background,
        show_default=True,
        metavar="WHAT",
        help="green (or black, white, blue, red, gray), #rrggbb, an image, a video, "
        "blur[:radius] or transparent.",
    ),
    click.option(
        "--fit",
        type=click.Choice(get_args(Fit)),
        default=_JOB.fit,
        show_default=True,
        help="How a background picture fills the frame.",
    ),
    click.option(
        "--guided/--no-guided",
        default=_REFINE.guided,
        show_default=True,
        help="Follow the picture's own edges when the matte is enlarged.",
    ),
    click.option(
        "--decontaminate/--no-decontaminate",
        default=_REFINE.decontaminate,
        show_default=True,
        help="Remove the old background's colour from hair and edges.",
    ),
    click.option(
        "--levels",
        type=Levels(),
        default=",".join(map(str, _REFINE.levels)),
        show_default=True,
        help="Alpha that counts as background, and as foreground.",
    ),
    click.option("--threshold", type=float, metavar="A", help="Cut the matte hard at this alpha."),
    click.option(
        "--feather",
        type=float,
        default=_REFINE.feather,
        metavar="PX",
        help="Soften the edge by so many pixels.",
    ),
    click.option(
        "--grow",
        type=float,
        default=_REFINE.grow,
        metavar="PX",
        help="Widen the matte (shrink it when negative).",
    ),
)


_media = group(
    click.option("--start", type=Seconds(), help="Begin here (seconds, or [h:]m:s)."),
    click.option("--end", type=Seconds(), help="End here."),
    click.option("--rate", type=Rate(), help="Frames per second of a folder of images."),
    click.option("--salvage", is_flag=True, help="Use what is left of a damaged file."),
    click.option(
        "--codec",
        type=click.Choice(list(CODECS)),
        help="Video codec; default: the usual one of the container.",
    ),
    click.option("--crf", type=float, metavar="N", help="Constant quality; lower is better."),
    click.option("--preset", metavar="NAME", help="The encoder's speed, in its own terms."),
    click.option("--pix-fmt", metavar="NAME", help="Pixel format, in FFmpeg's terms."),
    click.option("--bitrate", type=Bitrate(), help="Instead of --crf, such as 4M."),
    click.option(
        "--sound/--no-sound",
        default=_JOB.sound,
        show_default=True,
        help="Copy sound, subtitles, chapters and metadata.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace outputs that exist."),
)


@click.command("run", epilog=_EXAMPLES)
@click.argument("input")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    required=True,
    metavar="NAME",
    help="out.mp4, frames/%06d.png, alpha=..., foreground=..., - or null:; repeatable.",
)
@_look
@engine_options
@_media
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard error.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    input: str,
    outputs: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    model: str | None,
    levels: tuple[float, float],
    threshold: float | None,
    feather: float,
    grow: float,
    guided: bool,
    decontaminate: bool,
    codec: str | None,
    crf: float | None,
    preset: str | None,
    pix_fmt: str | None,
    bitrate: int | None,
    **rest: Any,
) -> int:
    """Replace the background of INPUT: a video, a picture, a folder or pattern of pictures, or -.

    Sound, subtitles, timestamps, colours and rotation of the input are kept.
    """
    options = JobOptions(
        model=model,
        matter=matter_options(rest),
        refine=RefineOptions(
            guided=guided,
            decontaminate=decontaminate,
            levels=levels,
            threshold=threshold,
            feather=feather,
            grow=grow,
        ),
        encoding=Encoding(codec=codec, crf=crf, preset=preset, pix_fmt=pix_fmt, bitrate=bitrate),
        **rest,
    )
    with Reporter(as_json=as_json, quiet=quiet) as reporter, interruptible() as stop:
        try:
            stats = matte(
                input,
                outputs,
                options,
                progress=reporter.frame,
                fetching=reporter.fetch,
                started=stop.attach,
            )
        except VmatteError:
            # FFmpeg swallows an interrupt of a read that it asked for, and reports bad input.
            if stop.broke_off:
                raise KeyboardInterrupt from None
            raise
        reporter.summary(stats, outputs)
    if stats.interrupted:
        # With --json the summary, which says so too, is the last line.
        if not (quiet or as_json):
            print("interrupted: what was done so far is whole and playable", file=sys.stderr)
        return 130
    return 0
