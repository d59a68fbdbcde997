"""vmatte compare: several models on the same material."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any, get_args

import click

from vmatte.cli.options import accept_licence
from vmatte.compare import (
    CompareOptions,
    columns,
    compare_models,
    find_inputs,
    render,
    rows,
)
from vmatte.errors import UnsupportedOutputError, writing
from vmatte.report import print_table
from vmatte.runtimes import Precision, RuntimeName, RuntimeOptions
from vmatte.sinks.file import commit, temporary_for

_DEFAULT, _RUNTIME = CompareOptions(models=("x",)), RuntimeOptions()

_EXAMPLES = """\b
Examples:
  vmatte compare photos/ --models vmatte,u2net,rvm -o report.html
  vmatte compare clip.mp4 --models vmatte,rvm --truth mattes/ -o report.html
"""


@click.command("compare", epilog=_EXAMPLES)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--models", required=True, metavar="A,B,...", help="See 'vmatte models list'.")
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="True mattes, called as the inputs are; a dataset, as of evaluate, brings its own.",
)
@click.option("-o", "--output", required=True, metavar="HTML", help="The report.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=_DEFAULT.limit,
    show_default=True,
    metavar="N",
    help="Only the first N frames of each video.",
)
@click.option(
    "--runtime",
    type=click.Choice(get_args(RuntimeName)),
    default=_RUNTIME.runtime,
    show_default=True,
    help="What runs the networks.",
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default=_RUNTIME.precision,
    show_default=True,
    help="Numbers that they compute with.",
)
@click.option("--threads", type=click.IntRange(min=0), default=0, help="For the networks; 0: all.")
@click.option(
    "--class",
    "classes",
    multiple=True,
    metavar="NAME",
    help="What models matte that tell classes apart: cat, dog, car ...; repeatable.",
)
@accept_licence
@click.option("--overwrite", is_flag=True, help="Replace a report that exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON, too.")
def command(
    inputs: tuple[str, ...],
    models: str,
    truth: Path | None,
    output: str,
    limit: int,
    overwrite: bool,
    as_json: bool,
    accept_licence: bool,
    classes: tuple[str, ...],
    **runtime: Any,
) -> None:
    """Compare models on pictures, videos and folders: cost, and error where truth is known.

    The report is one HTML page with the cut-outs side by side, and enlarged the edge where they
    differ most.
    """
    if Path(output).suffix.lower() not in (".html", ".htm"):
        raise UnsupportedOutputError(f"{output}: the report is HTML; name it report.html")
    options = CompareOptions(
        models=tuple(m.strip() for m in models.split(",") if m.strip()),
        runtime=RuntimeOptions(**runtime),
        limit=limit,
        accept_licence=accept_licence,
        classes=classes,
    )
    found = find_inputs(inputs, truth)
    temporary = temporary_for(Path(output), overwrite)
    try:
        result = compare_models(found, options, _tell)
        page = render(result, shlex.join(["vmatte", *sys.argv[1:]]))
        with writing(output):
            temporary.write_text(page, encoding="utf-8")
            commit(temporary, Path(output), overwrite)
    finally:
        temporary.unlink(missing_ok=True)
    table = rows(result)
    if as_json:
        click.echo(json.dumps(table))
        return
    print_table(table, columns(table))
    print(f"wrote    {output}", file=sys.stderr)


def _tell(model: str) -> None:
    print(f"running  {model}", file=sys.stderr)
