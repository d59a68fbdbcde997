"""Options that several verbs share. Defaults are read from the library's own option classes."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from vmatte.cli.values import Bitrate, BoxType, Key, Levels, Rate, Size
from vmatte.composite import Fit
from vmatte.errors import OptionError
from vmatte.job import JobOptions
from vmatte.matting import MatterOptions, Stabilise
from vmatte.refine import Method, RefineOptions
from vmatte.runtimes import Precision, RuntimeName, RuntimeOptions
from vmatte.sinks.codecs import CODECS, Encoding
from vmatte.sources.options import LiveInput, Transport
from vmatte.steer import SteerOptions
from vmatte.steer.options import Only

F = TypeVar("F", bound=Callable[..., Any])

_RUNTIME, _JOB, _REFINE = RuntimeOptions(), JobOptions(), RefineOptions()
_STEER, _INPUT = SteerOptions(), LiveInput()


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
    click.option(
        "--stabilise",
        type=click.Choice(get_args(Stabilise)),
        show_default=True,
        default=MatterOptions().stabilise,
        help="Average the matte along the picture's motion; auto: for models without a memory.",
    ),
    click.option(
        "--stretch/--no-stretch",
        default=MatterOptions().stretch,
        show_default=True,
        help="Of a still: stretch the matte to 0..1, for models whose own code does so.",
    ),
    accept_licence,
)
"""How the model is chosen and run; ``matter_options`` takes what it gives, less the model."""


delay_one = click.option(
    "--delay-one",
    is_flag=True,
    help="Where a pixel's matte differs from the frames before and after it, and those agree, take "
    "their mean.",
)
"""For verbs that see the frame to come; others have ``no_delay``."""


def no_delay(reason: str) -> Callable[[Any], Any]:
    """Return an option that refuses --delay-one and says why."""

    def refuse(ctx: click.Context, param: click.Parameter, given: bool) -> None:
        if given:
            raise OptionError(f"--delay-one needs the frame to come; {reason}")

    return click.option(
        "--delay-one", is_flag=True, hidden=True, expose_value=False, callback=refuse
    )


def matter_options(given: dict[str, Any]) -> MatterOptions:
    """Take what ``engine_options`` added, less the model, out of a command's arguments."""
    ratio = given.pop("downsample_ratio")
    runtime = RuntimeOptions(**{f.name: given.pop(f.name) for f in fields(RuntimeOptions)})
    return MatterOptions(
        runtime=runtime,
        ratio=ratio,
        classes=given.pop("classes"),
        accept_licence=given.pop("accept_licence"),
        stabilise=given.pop("stabilise"),
        stretch=given.pop("stretch"),
    )


look_options = group(
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
        "--refine",
        "method",
        type=click.Choice(get_args(Method)),
        default=_REFINE.method,
        show_default=True,
        help="How the matte is enlarged: along edges; solved (stills only, slow); plainly.",
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
    click.option(
        "--key",
        type=Key(),
        help="There is a screen of this colour behind the subject: green, blue or #rrggbb.",
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
"""What is put behind the subject, and how the matte is brought to full size.

``refine_options`` takes the latter.
"""


def refine_options(given: dict[str, Any]) -> RefineOptions:
    """Take what ``look_options`` added, less background and fit, out of a command's arguments."""
    names = ("method", "decontaminate", "levels", "threshold", "feather", "grow", "key")
    return RefineOptions(**{n: given.pop(n) for n in names})


def _image(name: str, help: str) -> Callable[[Any], Any]:
    return click.option(name, type=click.Path(path_type=Path), metavar="FILE", help=help)


_trimap = _image(
    "--trimap",
    "Image of the frame's size: white is subject, black is background, the rest is open (of a "
    "still, --refine closed-form solves that). In a video it is of the first frame, and carried "
    "along; or a video or folder of them.",
)

live_steer_options = group(
    click.option(
        "--keep",
        type=BoxType(),
        multiple=True,
        help="A box that is wholly subject, in pixels or shares of the frame; repeatable.",
    ),
    click.option(
        "--drop", type=BoxType(), multiple=True, help="A box that is background; repeatable."
    ),
    _image("--scribbles", "Image: white is subject, black is background, the rest is open."),
    _image("--plate", "Picture of the room without the subject, from the same fixed camera."),
    click.option("--fill-holes", is_flag=True, help="A matte has no holes."),
    click.option(
        "--drop-specks",
        type=float,
        default=_STEER.drop_specks,
        metavar="PX",
        help="Islands smaller than a square of so many pixels go.",
    ),
    click.option(
        "--only",
        type=click.Choice(get_args(Only)),
        default=_STEER.only,
        show_default=True,
        help="Keep only one connected part: the largest, or the one nearest the centre.",
    ),
)
"""What the user knows of the subject, where no frame is the first; see ``steering``."""

steer_options = group(live_steer_options, _trimap)
"""What the user knows of the subject; ``steering`` takes what it gives."""


def steering(given: dict[str, Any]) -> SteerOptions:
    """Take what ``steer_options``, or those of live runs, added out of a command's arguments."""
    names = [f.name for f in fields(SteerOptions) if f.name in given]
    return SteerOptions(**{n: given.pop(n) for n in names})


encoding_options = group(
    click.option(
        "--codec",
        type=click.Choice(list(CODECS)),
        help="Video codec; default: the usual one of the container.",
    ),
    click.option("--crf", type=float, metavar="N", help="Constant quality; lower is better."),
    click.option(
        "--encoder-preset",
        "preset",
        metavar="NAME",
        help="The encoder's speed, in its own terms.",
    ),
    click.option("--pix-fmt", metavar="NAME", help="Pixel format, in FFmpeg's terms."),
    click.option("--bitrate", type=Bitrate(), help="Instead of --crf, such as 4M."),
)
"""How video files are encoded; ``encoding`` takes what it gives."""


def encoding(given: dict[str, Any]) -> Encoding:
    """Take what ``encoding_options`` added out of a command's arguments."""
    return Encoding(**{f.name: given.pop(f.name) for f in fields(Encoding)})


capture_options = group(
    click.option("--size", type=Size(), metavar="WxH", help="Size to ask a camera for."),
    click.option("--rate", type=Rate(), help="Frames per second to ask a camera for."),
    click.option("--pixel-format", metavar="FOURCC", help="Such as MJPG, to ask a camera for."),
    click.option("--backend", metavar="NAME", help="OpenCV's way to the camera, such as V4L2."),
    click.option(
        "--transport",
        type=click.Choice(get_args(Transport)),
        default=_INPUT.transport,
        show_default=True,
        help="Of RTSP.",
    ),
    click.option(
        "--timeout",
        type=float,
        default=_INPUT.timeout,
        show_default=True,
        metavar="S",
        help="Seconds without a frame after which the source counts as lost.",
    ),
)
"""How a live source is opened; ``capture`` takes what it gives."""


def capture(given: dict[str, Any]) -> LiveInput:
    """Take what ``capture_options`` added out of a command's arguments."""
    names = ("size", "rate", "pixel_format", "backend", "transport", "timeout")
    return LiveInput(**{n: given.pop(n) for n in names})
