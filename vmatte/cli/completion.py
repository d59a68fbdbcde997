"""vmatte completion: scripts for the shells."""

import click
from click.shell_completion import get_completion_class


@click.command("completion", epilog='Example: eval "$(vmatte completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for SHELL."""
    from vmatte.cli import cli

    complete = get_completion_class(shell)
    assert complete is not None
    click.echo(complete(cli, {}, "vmatte", "_VMATTE_COMPLETE").source())
