"""vmatte probe: what vmatte sees in an input."""

import json
from dataclasses import asdict
from fractions import Fraction
from itertools import pairwise
from typing import Any

import click

from vmatte.colour import HLG, PQ
from vmatte.frames import StreamInfo
from vmatte.sources import open_source

MATRICES = {
    0: "RGB",
    1: "BT.709",
    4: "FCC",
    5: "BT.601",
    6: "BT.601",
    7: "SMPTE 240M",
    9: "BT.2020",
}
TRANSFERS = {
    1: "BT.709",
    4: "gamma 2.2",
    5: "gamma 2.8",
    6: "BT.601",
    8: "linear",
    13: "sRGB",
    14: "BT.2020",
    15: "BT.2020",
    PQ: "PQ",
    HLG: "HLG",
}
RANGES = {1: "limited", 2: "full"}


@click.command("probe", epilog="Example: vmatte probe clip.mp4 --json")
@click.argument("input")
@click.option("--count", is_flag=True, help="Decode it all: count frames, look for damage and VFR.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(input: str, count: bool, as_json: bool) -> None:
    """Show what vmatte sees in INPUT, and what it will do with it."""
    source = open_source(input)
    try:
        facts = describe(source.info)
        if count:
            facts.update(_count(source))
    finally:
        source.close()
    if as_json:
        click.echo(json.dumps(facts))
        return
    width = max(map(len, facts))
    for key, value in facts.items():
        if value not in (None, [], False) and key != "colour":  # its numbers are for programs
            shown = ", ".join(value) if isinstance(value, list) else value
            click.echo(f"{key:{width}}  {shown}")


def describe(info: StreamInfo) -> dict[str, Any]:
    """Return the facts of a stream as plain values."""
    said = info.colour
    used = said.resolved(info.width, info.height, rgb=info.format.rgb)
    facts: dict[str, Any] = {
        "size": f"{info.width}x{info.height}",
        "pixel format": info.format.name,
        "bits": info.format.depth,
        "rate": _number(info.rate),
        "time base": str(info.time_base),
        "frames": info.frames,
        "seconds": info.duration,
        "pixel aspect": _number(info.sample_aspect_ratio),
        "matrix": MATRICES.get(used.matrix, str(used.matrix))
        + ("" if said.matrix == used.matrix else " (assumed)"),
        "transfer": TRANSFERS.get(said.transfer, "unspecified"),
        "range": RANGES[used.range] + ("" if said.range else " (assumed)"),
        "hdr": said.hdr,
        "turned": info.rotation or None,
        "deinterlaced": info.deinterlaced,
        "still": info.still,
        "other streams": _streams(info.container),
        "notes": list(info.notes),
        "colour": asdict(said),
    }
    return facts


def _number(value: Fraction | None) -> str | None:
    if value is None:
        return None
    return str(value) if value.denominator == 1 else f"{value} ({float(value):.3f})"


def _streams(path: str | None) -> list[str]:
    if path is None:
        return []
    import av

    with av.open(path, metadata_errors="replace") as container:
        found = [
            f"{s.type} {s.codec_context.name if s.codec_context else '?'}"
            + (f" ({s.language})" if s.language else "")
            for s in container.streams
            if s.type != "video"
        ]
        chapters = len(container.chapters())
    return found + ([f"{chapters} chapters"] if chapters else [])


def _count(source: Any) -> dict[str, Any]:
    times = [frame.time for frame in source]
    gaps = {b - a for a, b in pairwise(times)}
    # Containers that count in milliseconds round a constant rate to two neighbouring steps.
    unsteady = bool(gaps) and max(gaps) - min(gaps) > source.info.time_base
    return {
        "frames": len(times),
        "first at": float(times[0]) if times else None,
        "variable rate": unsteady,
        "damaged": source.skipped,
    }
