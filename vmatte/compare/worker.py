"""One model over all inputs: what it costs and how good it is. Run in a process of its own."""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from vmatte.compare.inputs import open_input
from vmatte.composite import Subject
from vmatte.composite.hdr import srgb
from vmatte.errors import InputError
from vmatte.evaluation import read_alpha
from vmatte.frames import Frame
from vmatte.matting import Matter, MatterOptions, build_matter, expect_licence, for_still
from vmatte.metrics import Scores
from vmatte.refine import RefineOptions, refine
from vmatte.registry import ensure_model, load_registry
from vmatte.runtimes import RuntimeOptions
from vmatte.sinks.images import encode_image
from vmatte.sources import open_source
from vmatte.stats import peak_memory


def measure(
    model: str,
    clips: list[dict[str, Any]],
    limit: int,
    runtime: dict[str, Any],
    accept_licence: bool,
    classes: Sequence[str],
) -> dict[str, Any]:
    """Run ``model`` over ``clips``; return what the report shows of it."""
    record = load_registry().get(model)
    options = MatterOptions(
        runtime=RuntimeOptions(**runtime),
        accept_licence=accept_licence,
        classes=tuple(classes) if record.params.get("classes") else (),
    )
    expect_licence(record, options)
    path = ensure_model(record, accept_licence=accept_licence)
    begin = time.perf_counter()
    matter = build_matter(record, path, options)
    loading = time.perf_counter() - begin
    try:
        measured = [_clip(matter, clip, limit) for clip in clips]
    finally:
        matter.close()
    return {
        **asdict(matter.engine),
        "licence": record.licence,
        "non_commercial": record.non_commercial,
        "bytes": path.stat().st_size,
        "load_seconds": loading,
        "peak_memory": peak_memory(),
        "clips": measured,
    }


def _clip(matter: Matter[Any], clip: dict[str, Any], limit: int) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {"matte": [], "refine": []}
    scores = Scores()
    truth = None if clip["alpha"] is None else open_source(clip["alpha"])
    source = open_input(Path(clip["video"]))
    try:
        subject = Subject(transparent=True)
        subject.open(source.info)
        if source.info.still:
            matter = for_still(matter)
        alphas: Iterator[Frame] | None = None if truth is None else iter(truth)
        state: Any = None
        segment: int | None = None
        count = 0
        for frame in islice(source, limit):
            size = matter.working_size(frame.width, frame.height)
            if frame.segment != segment:
                state, segment = matter.start(*size), frame.segment
            if not count:
                # Once unmeasured: the first run also pays for memory and code that later ones find.
                matter.step(frame.rgb(size), state)
            begin = time.perf_counter()
            rgb = srgb(frame, size, matter.engine.scaling)
            matte, state = matter.step(rgb, state)
            between = time.perf_counter()
            full = refine(frame, rgb, matte, RefineOptions())
            end = time.perf_counter()
            seconds["matte"].append(between - begin)
            seconds["refine"].append(end - between)
            if alphas is not None:
                true = next(alphas, None)
                if true is None or (true.width, true.height) != (frame.width, frame.height):
                    raise InputError(
                        f"{clip['alpha']}: has fewer frames than {clip['video']}, or another size"
                    )
                scores.add(full.values(), read_alpha(true))
            if count == clip["shown"]:
                shown = subject.compose(frame, full, None)
                png = encode_image(shown.convert("rgba"), "png", "rgba")
                Path(clip["preview"]).write_bytes(png)
            count += 1
    finally:
        source.close()
        if truth is not None:
            truth.close()
    return {
        "name": clip["name"],
        "frames": count,
        "seconds": {k: statistics.median(v) for k, v in seconds.items() if v},
        "means": scores.means().as_dict() if scores.frames else None,
    }
