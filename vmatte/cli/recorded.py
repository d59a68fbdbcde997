"""What verbs that matte recorded videos share."""

from dataclasses import fields
from typing import Any, get_args

import click

from vmatte.cli.options import (
    delay_one,
    encoding,
    encoding_options,
    engine_options,
    group,
    look_options,
    matter_options,
    refine_options,
    steer_options,
    steering,
)
from vmatte.cli.values import Seconds
from vmatte.job import Compose, JobOptions

_JOB = JobOptions()

media_options = group(
    click.option("--start", type=Seconds(), help="Begin here (seconds, or [h:]m:s)."),
    click.option("--end", type=Seconds(), help="End here."),
    click.option("--salvage", is_flag=True, help="Use what is left of damaged files."),
    click.option(
        "--sound/--no-sound",
        default=_JOB.sound,
        show_default=True,
        help="Copy sound, subtitles, chapters and metadata.",
    ),
)
"""What is taken of each recorded video."""

compose = click.option(
    "--compose",
    type=click.Choice(get_args(Compose)),
    default=_JOB.compose,
    show_default=True,
    help="Scale, refine and blend on the host, or on the device that the network runs on "
    "(--runtime onnxruntime): nothing but the frame's own planes crosses then. auto: on the "
    "device where that is a GPU, and what is asked for can be done there.",
)

job_group = group(
    *(look_options, steer_options, engine_options, compose, delay_one, media_options),
    encoding_options,
)
"""All that is said of a recorded video; ``job_options`` takes what it gives."""


def job_options(given: dict[str, Any]) -> JobOptions:
    """Take what ``job_group`` added, and other fields of JobOptions, out of the arguments."""
    matter, refine = matter_options(given), refine_options(given)
    steer, codec = steering(given), encoding(given)
    names = [f.name for f in fields(JobOptions) if f.name in given]
    return JobOptions(
        matter=matter,
        refine=refine,
        steer=steer,
        encoding=codec,
        **{n: given.pop(n) for n in names},
    )
