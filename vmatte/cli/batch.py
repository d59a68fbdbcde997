"""vmatte batch: many files, over many workers."""

import json
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, Any

import click

from vmatte.cli.preset import PresetCommand
from vmatte.cli.recorded import job_group, job_options
from vmatte.cli.report import Reporter, interruptible
from vmatte.cli.values import Seconds
from vmatte.errors import OptionError, mask, writing

_FORMATS = ("mp4", "m4v", "mov", "mkv", "webm")

_EXAMPLES = """\b
Examples:
  vmatte batch recordings/ -o out/ --background office.jpg
  vmatte batch recordings/ -o out/ -o alpha=mattes/ --workers 4
  vmatte batch lecture.mp4 -o out/ --split 5:00 --workers 8
  vmatte batch inbox/ -o out/ --watch
  vmatte batch s3://bucket/in -o s3://bucket/out --address ray://head:10001 --gpus 0.25
"""


@click.command("batch", cls=PresetCommand, epilog=_EXAMPLES)
@click.argument("source", metavar="IN")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    required=True,
    metavar="FOLDER",
    help="A folder or URL; alpha=... and foreground=... as with run; repeatable.",
)
@job_group
@click.option("--format", type=click.Choice(_FORMATS), help="Of videos; default mp4, or mov where "
              "they are transparent.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), metavar="N",
              help="Files at once; default 1 here, on a cluster as many as fit.")  # fmt: skip
@click.option("--cpus", type=float, metavar="N", help="Of each worker; default an equal share of "
              "this machine's, or 2 on a cluster.")  # fmt: skip
@click.option("--gpus", type=float, default=0.0, metavar="N",
              help="Of each worker, such as 0.25; give --provider too.")  # fmt: skip
@click.option(
    "--address", metavar="URL", help="Of a Ray cluster, such as ray://head:10001 or auto."
)
@click.option("--split", type=Seconds(), help="Divide longer videos into parts of about this "
              "length, for several workers.")  # fmt: skip
@click.option("--watch", is_flag=True, help="Go on with what comes into the folder.")
@click.option("--overwrite", is_flag=True, help="Do all again, and replace what others made.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A JSON object a line for each file is added here; default report.jsonl in the first "
    "output where that is a folder of this machine.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard error.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    source: str,
    outputs: tuple[str, ...],
    format: str | None,
    workers: int | None,
    cpus: float | None,
    gpus: float,
    address: str | None,
    split: float | None,
    watch: bool,
    overwrite: bool,
    report: Path | None,
    as_json: bool,
    quiet: bool,
    **rest: Any,
) -> int:
    """Matte every video below IN, cut out every picture; IN may be one file, or a URL.

    What is done is not done again, unless the file or the options changed: run the same command
    again to go on after an interrupt. A file that fails is reported, the others go on, and the exit
    code is 1.
    """
    from vmatte.cluster.batch import Batch
    from vmatte.cluster.engine import EngineOptions
    from vmatte.cluster.tasks import prepare
    from vmatte.registry import ensure_model, load_registry

    job = job_options(rest)
    engine = EngineOptions(workers=workers, cpus=cpus, gpus=gpus, address=address)
    if split is not None and split < 1:
        raise OptionError(f"--split is {split:g} s; expected 1 or more")
    if split is not None and job.delay_one:
        raise OptionError("--delay-one needs the frame to come; parts of --split end without it")
    setup, files = prepare(
        source, outputs, job, format=format and f".{format}", overwrite=overwrite
    )
    if address is None:
        # Here and not by the workers, so that it can be seen.
        registry = load_registry()
        with closing(Reporter(as_json=as_json, quiet=quiet)) as reporter:
            ensure_model(
                registry.get(job.model or registry.default),
                reporter.fetch,
                accept_licence=job.matter.accept_licence,
            )
    local = setup.targets[0].place.local
    if report is None and local is not None:
        report = local / "report.jsonl"
    batch = Batch(setup, engine, files=files, split=split, watch=watch)
    with ExitStack() as stack:
        file = None
        if report is not None:
            with writing(str(report)):
                report.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(report.open("a", encoding="utf-8"))
        shown = _Shown(as_json, quiet, file, setup)
        stop = stack.enter_context(interruptible())
        stop.attach(batch)
        for result in batch.results():
            shown.result(result)
        shown.summary(interrupted=batch.stopped and not watch)
    if batch.stopped and not watch:
        return 130
    return 1 if shown.counts["failed"] else 0


class _Shown:
    """What is printed on standard error, and kept in the report."""

    def __init__(self, as_json: bool, quiet: bool, report: IO[str] | None, setup: Any) -> None:
        self._json, self._quiet, self._report, self._setup = as_json, quiet, report, setup
        self.counts = {"done": 0, "skipped": 0, "failed": 0}
        self._frames = 0
        self._begin = time.monotonic()

    def result(self, result: Any) -> None:
        self.counts[result.state] += 1
        self._frames += result.facts.get("frames", 0)
        setup, task = self._setup, result.task
        name = setup.source.show(task.source)
        outputs = [t.place.show(o) for t, o in zip(setup.targets, task.outputs, strict=True)]
        event = {
            "event": "file",
            "input": name,
            "outputs": outputs,
            "state": result.state,
            "seconds": round(result.seconds, 3),
            "error": result.error,
            **result.facts,
        }
        # What was done before is no news to the report, however often it is run again.
        self._line(event, kept=result.state != "skipped")
        if self._json:
            return
        if result.error is not None:
            text = mask(result.error)
            kind, _, rest = text.partition(": ")
            print(text if task.source in rest else f"{kind}: {name}: {rest}", file=sys.stderr)
        elif not self._quiet:
            number = sum(self.counts.values())
            for note in result.facts.get("notes", ()):
                print(f"note     {task.source}: {note}", file=sys.stderr)
            print(f"{number}  {result.state}  {task.source}", file=sys.stderr, flush=True)

    def summary(self, *, interrupted: bool) -> None:
        seconds = time.monotonic() - self._begin
        fps = round(self._frames / seconds, 2) if seconds else 0.0
        event = {"event": "summary", **self.counts, "frames": self._frames,
                 "seconds": round(seconds, 3), "fps": fps, "interrupted": interrupted}  # fmt: skip
        self._line(event)
        if self._json or self._quiet:
            return
        counts = ", ".join(f"{n} {state}" for state, n in self.counts.items())
        print(f"files    {counts} in {seconds:.1f} s ({fps:.1f} fps)", file=sys.stderr)
        if interrupted:
            print("interrupted: run the same command again to go on", file=sys.stderr)

    def _line(self, event: dict[str, Any], *, kept: bool = True) -> None:
        line = json.dumps(event)
        if self._report is not None and kept:
            self._report.write(line + "\n")
            self._report.flush()
        if self._json:
            print(line, file=sys.stderr, flush=True)
