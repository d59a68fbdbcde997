"""One call from names to finished files: what the command line and scripts use."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vmatte.allocator import keep_pictures_apart
from vmatte.closed_form import expect_pymatting
from vmatte.composite import (
    AlphaOutput,
    Background,
    Composite,
    Compositor,
    Fit,
    Subject,
    parse_background,
)
from vmatte.composite.background import COLOURS, ColourBackground
from vmatte.errors import OptionError
from vmatte.frames import StreamInfo
from vmatte.matting import Matter, MatterOptions, load_matter
from vmatte.output import Output
from vmatte.pipeline import Pipeline, Progress
from vmatte.refine import RefineOptions
from vmatte.sinks import LIVE, Encoding, open_sink
from vmatte.sources import FrameSource, open_source
from vmatte.stats import RunStats
from vmatte.steer import SteerOptions, load_steered, steered

if TYPE_CHECKING:
    from vmatte.device import DeviceComposer

Compose = Literal["auto", "host", "device"]
"""Where frames are composed: the device is where the network runs; auto takes it if it is a GPU."""

KINDS = ("composite", "alpha", "foreground")
"""What an output can show; named before '=' in an output's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """Everything that can be said about a run; see vmatte run --help for each."""

    model: str | None = None
    matter: MatterOptions = field(default_factory=MatterOptions)
    background: str = "green"
    fit: Fit = "cover"
    refine: RefineOptions = field(default_factory=RefineOptions)
    steer: SteerOptions = field(default_factory=SteerOptions)
    delay_one: bool = False
    compose: Compose = "auto"
    encoding: Encoding = field(default_factory=Encoding)
    overwrite: bool = False
    sound: bool = True
    start: float | None = None
    end: float | None = None
    rate: Fraction | None = None
    salvage: bool = False


def matte(
    source: str | FrameSource,
    outputs: Sequence[str | tuple[str, Encoding]],
    options: JobOptions | None = None,
    *,
    matter: Matter[Any] | None = None,
    progress: Progress | None = None,
    fetching: Callable[[int, int | None], None] | None = None,
    started: Callable[[Pipeline], None] | None = None,
) -> RunStats:
    """Matte ``source`` into ``outputs``.

    source: a name for open_source, or an open source, which has its own start, end, rate and
    salvage. outputs: names such as ``out.mp4``, ``alpha=matte.mov``, ``foreground=subject.mp4``,
    ``frames/%06d.png``, ``-`` or ``null:``; as (name, encoding) one has an encoding of its own.
    matter: a loaded model, which stays open, in place of the one that the options name.
    progress: after each frame. fetching: while a model is fetched. started: is given the pipeline,
    whose ``stop`` ends it early. Raises VmatteError; nothing half-written stays.
    """
    options = options or JobOptions()
    if not outputs:
        raise OptionError("no output is named; give at least one, such as -o out.mp4")
    named = [(o, options.encoding) if isinstance(o, str) else o for o in outputs]
    names = [name for name, _ in named]
    check_names(source if isinstance(source, str) else None, names, options.background)
    if isinstance(source, str):
        source = open_source(
            source, start=options.start, end=options.end, rate=options.rate, salvage=options.salvage
        )
    elif (options.start, options.end, options.rate, options.salvage) != (None, None, None, False):
        raise OptionError("start, end, rate and salvage are those of open_source; give them there")
    if options.refine.method == "closed-form":
        try:
            if not source.info.still:
                raise OptionError(
                    "--refine closed-form is for stills, and would make a video flicker; use fast"
                )
            expect_pymatting()
        except OptionError:
            source.close()
            raise
    # Now, and not when the pipeline begins: pictures fit into the gaps that loading a model leaves.
    keep_pictures_apart(source.info.width * source.info.height)
    opened: list[Output] = []
    device: DeviceComposer | None = None
    loaded: Matter[Any] | None = None
    pipeline: Pipeline | None = None
    try:
        # Outputs first: a name that cannot be written is told before a model is fetched.
        for name, encoding in named:
            # Remembered before it is opened: an interrupt may come between any two steps.
            opened.append(_output(name, encoding, options, still=source.info.still))
            opened[-1].open(source.info)
        info = source.info
        if matter is None:
            told = loaded = load_steered(
                lambda: load_matter(options.model, options.matter, fetching),
                options.steer,
                info.size,
                still=info.still,
            )
        else:
            told = steered(matter, options.steer, *info.size, still=info.still)
        device = _device(told, source.info, opened, options)
        pipeline = Pipeline(
            source,
            told,
            opened,
            options=options.refine,
            progress=progress,
            delay_one=options.delay_one,
            device=device,
        )
        if started is not None:
            started(pipeline)
    except BaseException:
        # Last first: what two made between them, such as a folder, the first one removes.
        for output in reversed(opened):
            output.abort()
        source.close()
        for part in (device, loaded):
            if part is not None:
                part.close()
        raise
    try:
        return pipeline.run()
    finally:
        for part in (device, loaded):
            if part is not None:
                part.close()


def _device(
    matter: Matter[Any], info: StreamInfo, outputs: Sequence[Output], options: JobOptions
) -> "DeviceComposer | None":
    """Return what composes on the device, None where the host does. Raises OptionError."""
    wanted = options.compose == "device"
    if options.compose == "host" or (matter.engine.provider == "cpu" and not wanted):
        return None
    from vmatte.device import DeviceComposer, obstacle

    why = obstacle(matter, info, options.refine, [o.compositor for o in outputs])
    if options.delay_one:
        why = "with a delay of one frame the host composes"
    if why is not None and wanted:
        raise OptionError(f"--compose device cannot be had: {why}; leave it out")
    return None if why else DeviceComposer(matter, info, options.refine, options.matter.runtime)


def split_name(name: str) -> tuple[str, str]:
    """Return (kind, target) of an output's name: 'alpha=a.mov' is ('alpha', 'a.mov').

    Raises OptionError where the word before '=' is no kind.
    """
    kind, sep, target = name.partition("=")
    if not sep or not kind.isalpha():
        return "composite", name
    if kind not in KINDS:
        raise OptionError(
            f"output {name}: {kind!r} is not among {', '.join(KINDS)}; "
            f"a file of that name is written as ./{name}"
        )
    return kind, target


def compositor_of(
    kind: str,
    background: str,
    fit: Fit,
    parse: Callable[[str, Fit], Background | None] = parse_background,
) -> Compositor:
    """Return what makes an output of ``kind``, one of KINDS. Raises OptionError, InputError."""
    if kind == "alpha":
        return AlphaOutput()
    if kind == "foreground":
        # Black behind, and not colours cut at the edge: what is hardly there would show as a rim.
        return Composite(ColourBackground(COLOURS["black"]))
    behind = parse(background, fit)
    return Subject(transparent=True) if behind is None else Composite(behind)


def _output(name: str, encoding: Encoding, options: JobOptions, *, still: bool) -> Output:
    kind, target = split_name(name)
    compositor = compositor_of(kind, options.background, options.fit)
    sink = open_sink(
        target, encoding, overwrite=options.overwrite, still=still, sound=options.sound
    )
    return Output(compositor, sink)


def check_names(source: str | None, outputs: Sequence[str], background: str) -> None:
    """Raise OptionError where an output would replace what is read, or another output."""
    # os.path answers no, where Path raises: of names too long, and folders that may not be read.
    read = [n for n in (source, background) if n and os.path.isfile(n)]  # noqa: PTH113
    # A pattern of images may well hit those of the folder, or of the pattern, that is read.
    folder = None if source is None or source == "-" else _folder(source)
    seen: set[Path | str] = set()
    for name in outputs:
        target = split_name(name)[1]
        if target.startswith(("null:", *LIVE)):
            continue
        if not target:
            raise OptionError(f"output {name!r} names no file")
        path = Path(target)
        for other in read:
            # samefile: a link, or a name in other letters on a system that does not tell them.
            if os.path.exists(path) and path.samefile(other):  # noqa: PTH110
                raise OptionError(f"output {target} is the input {other}; give another name")
        if folder is not None and "%" in path.name and path.parent.resolve() == folder:
            raise OptionError(
                f"output {target} lies in the folder that is read, {source}; give another folder"
            )
        key = target if target == "-" else path.resolve()
        if key in seen:
            raise OptionError(f"output {target} is named twice; give each output its own name")
        seen.add(key)


def _folder(source: str) -> Path | None:
    """Return the folder of the images that ``source`` names, None where it is a file."""
    path = Path(source)
    if os.path.isdir(path):  # noqa: PTH112
        return path.resolve()
    if not os.path.exists(path) and ("%" in path.name or "*" in path.name):  # noqa: PTH110
        return path.parent.resolve()
    return None
