"""vmatte devices: cameras and virtual cameras, with what they can do."""

import json
from dataclasses import asdict
from fractions import Fraction
from itertools import groupby
from typing import Any

import click

from vmatte.devices import Camera, elsewhere, list_cameras


@click.command("devices", epilog="Example: vmatte devices --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """List the cameras and virtual cameras of this machine, with their modes."""
    found = list_cameras()
    cameras = [c for c in found if not c.virtual]
    virtual = [c for c in found if c.virtual]
    others = elsewhere()
    if as_json:
        click.echo(
            json.dumps(
                {
                    "cameras": [_plain(c) for c in cameras],
                    "virtual": [_plain(c) for c in virtual] + [{"name": n} for n in others],
                }
            )
        )
        return
    click.echo("Cameras")
    for camera in cameras:
        click.echo(_line("camera", camera))
        for line in _modes(camera):
            click.echo(f"      {line}")
    if not cameras:
        click.echo("  none found; 'vmatte doctor' says what to look at")
    click.echo("Virtual cameras")
    for camera in virtual:
        click.echo(_line("virtualcam", camera))
    for name in others:
        click.echo(f"  virtualcam:  {name}")
    if not virtual and not others:
        click.echo("  none found; 'vmatte doctor' says how to get one")


def _line(scheme: str, camera: Camera) -> str:
    name = camera.path if scheme == "virtualcam" else str(camera.index)
    words = [camera.name, *([camera.path] if camera.path and camera.path != name else [])]
    words += [camera.driver] if camera.driver else []
    line = f"  {scheme}:{name}  {', '.join(words)}"
    return f"{line}: {camera.problem}" if camera.problem else line


def _modes(camera: Camera) -> list[str]:
    """Return a line for each pixel format: its sizes, with the highest rate of each."""
    lines = []
    for format, modes in groupby(camera.modes, key=lambda m: m.format):
        sizes = [
            f"{m.width}x{m.height}" + (f"@{_rate(max(m.rates))}" if m.rates else "") for m in modes
        ]
        lines.append(f"{format or 'size'}: {', '.join(dict.fromkeys(sizes))}")
    return lines


def _rate(rate: Fraction) -> str:
    return f"{float(rate):.4g}"


def _plain(camera: Camera) -> dict[str, Any]:
    facts = asdict(camera)
    for mode in facts["modes"]:
        mode["rates"] = [str(r) for r in mode["rates"]]
    return facts
