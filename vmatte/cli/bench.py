"""vmatte bench: how fast this machine is."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from vmatte.bench.clips import SIZES
from vmatte.bench.report import STAGE, columns, lines, origin_of, render, said
from vmatte.bench.run import BenchOptions, bench
from vmatte.cli.options import accept_licence
from vmatte.errors import UnsupportedOutputError, VmatteError, writing
from vmatte.report import print_table
from vmatte.sinks.file import commit, temporary_for

_DEFAULT = BenchOptions()
_QUICK: dict[str, Any] = {"rounds": 1, "seconds": 1.0, "sizes": ("720p", "1080p")}

_EXAMPLES = """\b
Examples:
  vmatte bench --quick
  vmatte bench clip.mp4 --models vmatte,u2net -o speed.html
"""


def _names(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    return tuple(n.strip() for n in value.split(",") if n.strip())


@click.command("bench", epilog=_EXAMPLES)
@click.argument("clip", required=False)
@click.option(
    "--models", callback=_names, metavar="A,B,...", help="Default: all that are on this machine."
)
@click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    type=click.Choice(["onnxruntime", "openvino"]),
    help="Default: all that are on this machine; repeatable.",
)
@click.option(
    "--sizes",
    callback=_names,
    metavar="A,B,...",
    help=f"Of {', '.join(SIZES)}; default: all, or that of CLIP.",
)
@click.option("--rounds", type=int, help=f"Of all variants.  [default: {_DEFAULT.rounds}]")
@click.option(
    "--seconds", type=float, metavar="S", help=f"Of each run.  [default: {_DEFAULT.seconds:g}]"
)
@click.option(
    "--encoder-preset",
    "preset",
    default=_DEFAULT.preset,
    show_default=True,
    metavar="NAME",
    help="Of x264, the same for all.",
)
@click.option("--quick", is_flag=True, help="One round of a second each, 720p and 1080p.")
@accept_licence
@click.option("-o", "--output", metavar="FILE", help="Results as .json, or as a page: .html.")
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as one JSON object.")
def command(
    clip: str | None,
    quick: bool,
    output: str | None,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Time decoding, decoding and encoding, and every model on every runtime, on this machine.

    CLIP is your own video; without one a clip is drawn. Each run is a process of its own; rounds
    are interleaved, so that what else the machine does hits all alike. Quiet it all the same.
    """
    if output is not None and Path(output).suffix.lower() not in (".html", ".htm", ".json"):
        raise UnsupportedOutputError(f"{output}: name it .json, or .html for a page")
    chosen: dict[str, Any] = dict(_QUICK) if quick else {}
    if clip is not None:
        chosen["sizes"] = ()
    chosen |= {k: v for k, v in given.items() if v is not None and v != ()}
    options = BenchOptions(**chosen)
    temporary = None if output is None else temporary_for(Path(output), overwrite)
    try:
        results = bench(clip, options, _tell)
        results["command"] = shlex.join(["vmatte", *sys.argv[1:]])
        if output is not None and temporary is not None:
            as_data = output.lower().endswith(".json")
            text = json.dumps(results, indent=1) + "\n" if as_data else render(results)
            with writing(output):
                temporary.write_text(text, encoding="utf-8")
                commit(temporary, Path(output), overwrite)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    if as_json:
        click.echo(json.dumps(results))
    else:
        click.echo(origin_of(results))
        table = lines(results)
        print_table(table, [c for c in columns(table) if not c[0].startswith(STAGE)])
        for line in said(results):
            click.echo(line)
    if output is not None:
        print(f"wrote    {output}", file=sys.stderr)
    failed = [r for r in results["rows"] if "failed" in r]
    if failed:
        raise VmatteError(f"{len(failed)} of the runs failed, see the table: {failed[0]['failed']}")
    return 0


def _tell(what: str) -> None:
    print(f"running  {what}", file=sys.stderr)
