"""vmatte run: the main job."""

import sys
from contextlib import closing
from typing import Any

import click

from vmatte.cli.preset import PresetCommand
from vmatte.cli.recorded import job_group, job_options
from vmatte.cli.report import Reporter, interruptible
from vmatte.cli.values import Rate
from vmatte.errors import VmatteError
from vmatte.job import matte

_EXAMPLES = """\b
Examples:
  vmatte run clip.mp4 -o out.mp4 --background beach.jpg
  vmatte run clip.mp4 -o out.webm --background transparent
  vmatte run clip.mp4 -o out.mp4 -o alpha=matte.mp4 --background blur:30
  vmatte run clip.mp4 -o out.mp4 --start 1:30 --end 1:45 --model rvm
  vmatte run photos/ -o cut/%06d.png --background transparent
  ffmpeg -i clip.mp4 -f yuv4mpegpipe - | vmatte run - -o out.mp4
"""


@click.command("run", cls=PresetCommand, epilog=_EXAMPLES)
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
@job_group
@click.option("--rate", type=Rate(), help="Frames per second of a folder of images.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard error.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    input: str,
    outputs: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **rest: Any,
) -> int:
    """Replace the background of INPUT: a video, a picture, a folder or pattern of pictures, or -.

    Sound, subtitles, timestamps, colours and rotation of the input are kept.
    """
    options = job_options(rest)
    with (
        closing(Reporter(as_json=as_json, quiet=quiet)) as reporter,
        interruptible() as stop,
    ):
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
