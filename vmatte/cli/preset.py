"""--preset and --save-preset, for the verbs whose class this is."""

import importlib
import sys
from typing import Any

import click

from vmatte.cli import VERBS
from vmatte.errors import OptionError
from vmatte.presets import Preset, Value, load_preset, save_preset
from vmatte.sinks.codecs import CODECS

ENCODER_PRESETS = frozenset(preset for codec in CODECS.values() for preset in codec.presets)
"""Encoders' own presets, which --preset takes too: no options can be saved under these names."""

_OWN = ("preset", "save-preset", "help")


class PresetCommand(click.Command):
    """A command whose options can be saved under a name and used again.

    What is given on the command line wins over the preset. ``kept_arguments`` are arguments that
    are saved as well.
    """

    kept_arguments: tuple[str, ...] = ()

    def __init__(self, *args: Any, **more: Any) -> None:
        """Add the two options."""
        super().__init__(*args, **more)
        self.params += [
            click.Option(
                ["--preset", "use_preset"],
                metavar="NAME",
                expose_value=False,
                help="Use the options saved under this name; ultrafast and its like, which are no "
                "names, stand for --encoder-preset.",
            ),
            click.Option(
                ["--save-preset"],
                metavar="NAME",
                expose_value=False,
                help="Save the options that are given now, and those of --preset, under a name.",
            ),
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse ``args``, over what the preset says."""
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        name, save_as = given.get("use_preset"), given.get("save_preset")
        if save_as in ENCODER_PRESETS:
            raise OptionError(f"{save_as!r} is an encoder's own preset; save under another name")
        preset: Preset = {}
        if isinstance(name, str):
            if name in ENCODER_PRESETS:
                defaults: dict[str, Value] = {"preset": name}
            else:
                preset = load_preset(name)
                defaults = self._defaults(name, preset)
            ctx.default_map = {**(ctx.default_map or {}), **defaults}
        left = super().parse_args(ctx, args)
        if isinstance(save_as, str):
            keys = {p.name: key for key, p in self.preset_keys().items()}
            picked = {keys[n]: _plain(v) for n, v in given.items() if n in keys and v is not None}
            path = save_preset(save_as, preset | picked)
            print(f"saved as preset {save_as} in {path}", file=sys.stderr)
        return left

    def preset_keys(self) -> dict[str, click.Parameter]:
        """Return what a preset may hold for this verb, by key."""
        found: dict[str, click.Parameter] = {}
        for param in self.params:
            if isinstance(param, click.Argument):
                if param.name in self.kept_arguments:
                    found[str(param.name)] = param
                continue
            key = max(param.opts, key=len).lstrip("-")
            if key not in _OWN:
                found[key] = param
        return found

    def _defaults(self, name: str, preset: Preset) -> dict[str, Value]:
        mine, others = self.preset_keys(), _keys_of_others()
        if unknown := [key for key in preset if key not in mine and key not in others]:
            raise OptionError(
                f"preset {name}: {', '.join(unknown)} is no option of vmatte; "
                f"see 'vmatte presets show {name}', and save it anew"
            )
        if foreign := [key for key in preset if key not in mine]:
            print(
                f"preset {name}: not of {self.name}, left out: {', '.join(foreign)}",
                file=sys.stderr,
            )
        return {str(mine[key].name): value for key, value in preset.items() if key in mine}


class LivePresetCommand(PresetCommand):
    """The same, with the name of the input."""

    kept_arguments = ("input",)


def _keys_of_others() -> set[str]:
    found: set[str] = set()
    for verb in VERBS:
        if verb in ("run", "live", "preview"):
            command = importlib.import_module(f"vmatte.cli.{verb}").command
            if isinstance(command, PresetCommand):
                found |= set(command.preset_keys())
    return found


def _plain(value: Any) -> Value:
    if isinstance(value, list | tuple):
        return [str(v) for v in value]
    return value if isinstance(value, bool | int | float) else str(value)
