"""Options that several verbs share. Defaults are read from the library's own option classes."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar, get_args

import click

from vmatte.matting import MatterOptions
from vmatte.runtimes import Precision, RuntimeName, RuntimeOptions

F = TypeVar("F", bound=Callable[..., Any])

_RUNTIME = RuntimeOptions()


def group(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Return one decorator that adds ``options`` in this order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


accept_licence = click.option(
    "--accept-licence",
    is_flag=True,
    help="Agree to the licence of a model that may not be used commercially.",
)

engine_options = group(
    click.option("--model", metavar="NAME", help="Model, see 'vmatte models list'."),
    click.option(
        "--runtime",
        type=click.Choice(get_args(RuntimeName)),
        show_default=True,
        default=_RUNTIME.runtime,
        help="What runs the network.",
    ),
    click.option(
        "--provider",
        default=_RUNTIME.provider,
        show_default=True,
        metavar="NAME",
        help="On what it runs: auto, cpu, cuda, tensorrt, coreml, directml, gpu, ...",
    ),
    click.option(
        "--precision",
        type=click.Choice(get_args(Precision)),
        show_default=True,
        default=_RUNTIME.precision,
        help="Numbers that it computes with.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(min=0),
        default=_RUNTIME.threads,
        show_default=True,
        help="Threads for the network; 0: all cores.",
    ),
    click.option(
        "--require-provider",
        is_flag=True,
        help="With --provider auto: fail where there is no accelerator.",
    ),
    click.option(
        "--downsample-ratio",
        type=float,
        metavar="R",
        help="RVM's working size over the frame's; default min(512 / longer side, 1).",
    ),
    click.option(
        "--class",
        "classes",
        multiple=True,
        metavar="NAME",
        help="What to matte, for models that tell classes apart: cat, dog, car ...; repeatable.",
    ),
    accept_licence,
)
"""How the model is chosen and run; ``matter_options`` takes what it gives, less the model."""


def matter_options(given: dict[str, Any]) -> MatterOptions:
    """Take what ``engine_options`` added, less the model, out of a command's arguments."""
    ratio = given.pop("downsample_ratio")
    runtime = RuntimeOptions(**{f.name: given.pop(f.name) for f in fields(RuntimeOptions)})
    return MatterOptions(
        runtime=runtime,
        ratio=ratio,
        classes=given.pop("classes"),
        accept_licence=given.pop("accept_licence"),
    )
