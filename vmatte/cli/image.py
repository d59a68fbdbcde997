"""vmatte image: cut out pictures."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from vmatte.cli.options import (
    engine_options,
    look_options,
    matter_options,
    no_delay,
    refine_options,
    steer_options,
    steering,
)
from vmatte.cli.report import interruptible
from vmatte.cli.values import Room
from vmatte.errors import OptionError, mask
from vmatte.images import (
    Batch,
    Cache,
    ImageOptions,
    Margin,
    Result,
    Summary,
    find_spec,
    find_tasks,
    parse_targets,
    watch,
)
from vmatte.images.cache import LIMIT
from vmatte.images.picture import SUFFIXES

_IMAGE = ImageOptions()

_EXAMPLES = """\b
Examples:
  vmatte image portrait.jpg -o portrait.png
  vmatte image photos/ -o cut/ -o alpha=mattes/
  vmatte image shoes.jpg -o shoes.jpg --background white --crop 5%
  vmatte image me.jpg -o passport.jpg --id-photo icao
  vmatte image inbox/ -o cut/ --watch
  curl ... | vmatte image - -o - > out.png
"""


@click.command(
    "image",
    epilog=_EXAMPLES,
    context_settings={"default_map": {"background": _IMAGE.background}},
)
@click.argument("inputs", nargs=-1, required=True, metavar="IN...")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A file, a folder, or - for standard output; alpha=... and foreground=... as with run.",
)
@look_options
@steer_options
@click.option(
    "--crop", type=Room(), help="Cut to the subject, with so many pixels, or per cent, around it."
)
@click.option(
    "--id-photo",
    metavar="NAME",
    help="Size, head and background of an ID photo: icao, us, or one of passport-photo-specs.",
)
@click.option(
    "--format",
    type=click.Choice([s[1:] for s in SUFFIXES]),
    help="Of files in a folder or on standard output; default png, or jpg where nothing is "
    "transparent.",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=_IMAGE.quality,
    show_default=True,
    help="Of JPEG, WebP and AVIF.",
)
@engine_options
@no_delay("a picture on its own has none")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--skip-existing", is_flag=True, help="Leave out pictures whose results exist.")
@click.option("--watch", "watching", is_flag=True, help="Go on with what comes into the folders.")
@click.option(
    "--cache/--no-cache",
    default=None,
    help="Keep results, so that the same picture is never matted twice; default: for folders.",
)
@click.option(
    "--cache-size",
    type=click.IntRange(min=1),
    default=LIMIT >> 20,
    show_default=True,
    metavar="MB",
    help="What is kept at most; what was used longest ago goes first.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard error.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    background: str,
    fit: Any,
    crop: Margin | None,
    id_photo: str | None,
    format: str | None,
    quality: int,
    overwrite: bool,
    skip_existing: bool,
    watching: bool,
    cache: bool | None,
    cache_size: int,
    as_json: bool,
    quiet: bool,
    model: str | None,
    **rest: Any,
) -> int:
    """Cut out pictures: files, folders with all below them, or - for standard input.

    Results are upright, and keep colour profile, EXIF and 16 bits where their format can. One that
    cannot be read is reported, the others go on, and the exit code is 1.
    """
    matter = matter_options(rest)
    options = ImageOptions(
        model=model,
        matter=matter,
        background=background,
        fit=fit,
        refine=refine_options(rest),
        steer=steering(rest),
        crop=crop,
        id_photo=None if id_photo is None else find_spec(id_photo),
        quality=quality,
        **rest,
    )
    transparent = background == "transparent" and id_photo is None
    targets = parse_targets(inputs, outputs, format, transparent=transparent)
    folders = any(Path(name).is_dir() for name in inputs)
    if watching and not all(t.folder for t in targets):
        raise OptionError("--watch needs folders to write to")
    batch = Batch(
        targets,
        options,
        cache=Cache(limit=cache_size << 20) if (folders if cache is None else cache) else None,
        overwrite=overwrite,
        # Started again, it goes on with what is new.
        skip_existing=skip_existing or (watching and not overwrite),
    )
    # Told now, not in the middle: a name that is nowhere, a folder without pictures.
    tasks = watch(inputs, targets, lambda: batch.stopped) if watching else None
    found = list(find_tasks(inputs, targets)) if tasks is None else []
    shown = _Shown(as_json, quiet, len(found))
    if watching and not (quiet or as_json):
        print(f"watching {', '.join(inputs)}; Ctrl-C ends it", file=sys.stderr)
    with interruptible() as stop:
        stop.attach(batch)
        for result in batch.results(tasks if tasks is not None else found):
            shown.result(result)
    shown.summary(batch.summary, interrupted=batch.stopped and not watching)
    if batch.stopped and not watching:
        return 130
    return 1 if batch.summary.failed else 0


class _Shown:
    """What is printed on standard error."""

    def __init__(self, as_json: bool, quiet: bool, total: int) -> None:
        self._json, self._quiet, self._total = as_json, quiet, total
        self._count = 0

    def result(self, result: Result) -> None:
        self._count += 1
        error = result.error
        text = None if error is None else mask(str(error))
        if self._json:
            self._line(
                {
                    "event": "picture",
                    "input": result.task.name,
                    "outputs": ["-" if p is None else str(p) for p in result.task.outputs],
                    "state": result.state,
                    "error": text and f"{type(error).__name__}: {text}",
                    "notes": list(result.notes),
                }
            )
            return
        if error is not None:
            name = "" if result.task.name in str(text) else f"{result.task.name}: "
            print(f"{type(error).__name__}: {name}{text}", file=sys.stderr)
        elif not self._quiet:
            for note in result.notes:
                print(f"note     {result.task.name}: {note}", file=sys.stderr)
            if self._total != 1:
                of = f"/{self._total}" if self._total else ""
                print(f"{self._count}{of}  {result.state}  {result.task.name}", file=sys.stderr)

    def summary(self, summary: Summary, *, interrupted: bool) -> None:
        if self._json:
            event = {"event": "summary", **asdict(summary), "interrupted": interrupted}
            event |= {"seconds": round(summary.seconds, 3), **(event.pop("engine") or {})}
            self._line(event)
            return
        if self._quiet:
            return
        counts = (
            f"{summary.done} done, {summary.cached} from the cache, {summary.skipped} skipped, "
            f"{summary.failed} failed"
        )
        print(f"pictures {counts} in {summary.seconds:.1f} s", file=sys.stderr)
        engine = summary.engine
        if engine is not None:
            print(
                f"ran      {engine.model} on {engine.runtime}, provider {engine.provider}, "
                f"precision {engine.precision}",
                file=sys.stderr,
            )
        if interrupted:
            print("interrupted: what was done so far is whole", file=sys.stderr)

    def _line(self, event: dict[str, Any]) -> None:
        print(json.dumps(event), file=sys.stderr, flush=True)
