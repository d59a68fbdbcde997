"""vmatte presets: what was saved with --save-preset."""

import json

import click

from vmatte.errors import mask
from vmatte.presets import delete_preset, load_preset, load_presets, presets_file, toml_text


@click.group("presets", epilog="Example: vmatte live camera:0 --save-preset meeting")
def command() -> None:
    """List, show and delete what was saved with --save-preset."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_(as_json: bool) -> None:
    """List the presets."""
    found = load_presets()
    if as_json:
        click.echo(mask(json.dumps(found)))
        return
    for name in sorted(found):
        click.echo(f"{name}: {mask(' '.join(f'{k}={v}' for k, v in found[name].items()))}")
    if not found:
        click.echo(f"no presets yet; they are kept in {presets_file()}")


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Show the options of a preset, as the file has them; passwords in addresses are masked."""
    click.echo(mask(toml_text({name: load_preset(name)})), nl=False)


@command.command("delete")
@click.argument("name")
def delete(name: str) -> None:
    """Delete a preset."""
    delete_preset(name)
    click.echo(f"deleted {name}")
