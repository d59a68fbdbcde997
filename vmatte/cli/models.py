"""vmatte models: list, fetch, check, import and remove models."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from vmatte.cli.model_rows import licence_of, print_table, row_of, show_progress
from vmatte.cli.options import accept_licence as accept_licence_option
from vmatte.cli.values import Channels, Size, Triple
from vmatte.errors import HashMismatchError, ModelUnavailableError, OptionError
from vmatte.registry import Places, Store, find_places, load_registry
from vmatte.registry.importing import import_model
from vmatte.registry.removing import remove_model


@click.group(
    name="models",
    epilog="Example: vmatte models pull rvm && vmatte run clip.mp4 -o out.mp4 --model rvm",
)
@click.option(
    "--models-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for downloads and imports (default: VMATTE_MODELS, else the user's "
    "cache and data folders).",
)
@click.option(
    "--offline-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of model files searched before any download (VMATTE_OFFLINE_DIR).",
)
@click.option(
    "--offline", is_flag=True, default=None, help="Never use the network (VMATTE_OFFLINE=1)."
)
@click.pass_context
def command(
    context: click.Context, models_dir: Path | None, offline_dir: Path | None, offline: bool | None
) -> None:
    """List, fetch, check, import and remove models."""
    context.obj = find_places(models_dir, offline_dir, offline)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_obj
def list_models(places: Places, as_json: bool) -> None:
    """Show every model, its licence, and whether it is on this machine.

    On a terminal as a table, otherwise as lines of fields separated by tabs: name, family, licence,
    bytes, state, path, aliases (and 'default').
    """
    registry, store = load_registry(places), Store(places)
    rows = [row_of(registry, store, registry.get(name)) for name in registry.names()]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        print_table(rows)
    else:
        for row in rows:
            size = "" if row["bytes"] is None else row["bytes"]
            cells = (
                *(row["name"], row["family"], row["licence"], size, row["state"], row["path"]),
                ",".join([*row["aliases"], *(["default"] if row["default"] else [])]),
            )
            click.echo("\t".join("" if cell is None else str(cell) for cell in cells))


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def info(places: Places, name: str, as_json: bool) -> None:
    """Show all that is known of a model: where it is or can be had, and how it is run."""
    registry = load_registry(places)
    record = registry.get(name)
    row = {**row_of(registry, Store(places), record), "params": dict(record.params)}
    if as_json:
        click.echo(json.dumps(row, indent=2, ensure_ascii=False))
        return
    for key, value in row.items():
        if value in (None, "", [], {}):
            continue
        for part in value if isinstance(value, list) else [value]:
            text = "yes" if part is True else "no" if part is False else part
            text = ", ".join(f"{k}={v}" for k, v in part.items()) if key == "params" else text
            click.echo(f"{key.replace('_', ' '):<15}{text}")


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def remove(places: Places, names: tuple[str, ...]) -> None:
    """Delete the files of models that were fetched or imported."""
    registry, store = load_registry(places), Store(places)
    for record in [registry.get(name) for name in names]:
        for gone in remove_model(record, registry, store):
            click.echo(f"{record.name}: deleted {gone}")


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@accept_licence_option
@click.pass_obj
def pull(places: Places, names: tuple[str, ...], accept_licence: bool) -> None:
    """Fetch models, going on where a broken download stopped.

    A download that turns out damaged is fetched again.
    """
    registry, store = load_registry(places), Store(places)
    for record in [registry.get(name) for name in names]:
        with show_progress(record) as progress:
            path = store.ensure(record, progress, accept_licence=accept_licence, replace=True)
        click.echo(f"{record.name}: {path}")
        click.echo(f"licence: {licence_of(record)}")


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.pass_obj
def verify(places: Places, names: tuple[str, ...]) -> None:
    """Hash the named models, or all on this machine; exit 1 where one is wrong or missing."""
    registry, store = load_registry(places), Store(places)
    records = [registry.get(name) for name in names or registry.names()]
    if not names:
        records = [r for r in records if store.locate(r) is not None]
    bad: list[HashMismatchError | ModelUnavailableError] = []
    for record in records:
        try:
            click.echo(f"{record.name}: ok, {store.verify(record)}")
        except (HashMismatchError, ModelUnavailableError) as e:
            click.echo(f"{record.name}: {e}", err=True)
            bad.append(e)
    if bad:
        raise type(bad[0])(f"{len(bad)} of {len(records)} models failed, see above")


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--family",
    help="How to run it, such as u2net, modnet or still; needed for a file that vmatte does not "
    "know. A name that is none lists them.",
)
@click.option("--name", help="The model's name (default: the known one, else the file's).")
@click.option("--licence", help="Licence of the weights, shown by list.")
@click.option("--size", type=Size(), help="Of the picture that the network takes.")
@click.option("--mean", type=Triple(), help="Of RGB in 0..1, taken away before it runs.")
@click.option("--std", type=Triple(), help="Of RGB in 0..1, divided by.")
@click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="Of the network's input.")
@click.option("--channel", type=Channels(), help="Of its first output: alpha; of several, the sum.")
@click.option(
    "--activation",
    type=click.Choice(["none", "sigmoid", "softmax"]),
    help="What makes alpha of its output.",
)
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other parameter of the family, for instance state_channels=[16,20,40,64].",
)
@accept_licence_option
@click.pass_obj
def import_file(
    places: Places,
    /,
    file: Path,
    family: str | None,
    name: str | None,
    licence: str | None,
    params: tuple[str, ...],
    accept_licence: bool,
    **signature: Any,
) -> None:
    """Copy an ONNX FILE into the models folder.

    A file that vmatte knows by its SHA-256 becomes that model; any other one becomes a model of
    your own, which --family says how to run. It is run once before it is kept, so that a wrong
    family is told now. For a network of no family known here: --family still, and its numbers.
    """
    # Imported here: listing models needs no runtime.
    from vmatte.matting import try_out

    numbers = {k: list(v) if isinstance(v, tuple) else v for k, v in signature.items()}
    record = import_model(
        file,
        load_registry(places),
        store := Store(places),
        family=family,
        name=name,
        licence=licence,
        params={
            **{key: value for key, value in numbers.items() if value is not None},
            **dict(_param(text) for text in params),
        },
        accept_licence=accept_licence,
        check=try_out,
    )
    click.echo(f"{record.name}: {store.find(record)}")
    click.echo(f"family: {record.family}, licence: {licence_of(record)}")
    if record.own:
        click.echo(f"record: {places.own / record.name}.toml")


@command.command()
@click.argument("name")
@click.pass_obj
def path(places: Places, name: str) -> None:
    """Print where a model's file is; exit 1 where it is not on this machine."""
    record = load_registry(places).get(name)
    found = Store(places).find(record)
    if found is None:
        raise ModelUnavailableError(
            f"{record.name} is not on this machine; run: vmatte models pull {record.name}"
        )
    click.echo(found)


def _param(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not (key.isidentifier() and equals):
        raise OptionError(f"--param is {text!r}, expected KEY=VALUE, for instance size=[512,512]")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
