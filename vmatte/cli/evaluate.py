"""vmatte evaluate: score a model, or finished mattes, against true mattes."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from vmatte.cli.options import delay_one, engine_options, matter_options
from vmatte.evaluation import RAW, Clip, Evaluation, compare, evaluate, find_clips, finished, pair
from vmatte.matting import load_matter
from vmatte.metrics import LABELS, Means

_EXAMPLES = """\b
Examples:
  vmatte evaluate DATASET --model rvm --json
  vmatte evaluate clip.mp4 --true alpha.mkv
  vmatte evaluate alpha.mkv --alpha my_alpha.mkv
"""


@click.command("evaluate", epilog=_EXAMPLES)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--true",
    "true",
    type=click.Path(path_type=Path),
    metavar="ALPHA",
    help="DATASET is one video, picture or folder of frames, and this its true matte.",
)
@click.option(
    "--alpha",
    "pred",
    type=click.Path(path_type=Path),
    metavar="PRED",
    help="Score these finished mattes, and run no model: DATASET is then the true matte "
    "(a video, picture or folder of frames), or a dataset with PRED/CLIP/VIDEO.* for each clip.",
)
@click.option(
    "--refine/--no-refine",
    "refined",
    default=True,
    show_default=True,
    help="Score the matte as users get it, or the model's own, enlarged bilinearly.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Score only the first N frames of each clip.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@engine_options
@delay_one
def command(
    dataset: Path,
    true: Path | None,
    pred: Path | None,
    refined: bool,
    limit: int | None,
    as_json: bool,
    model: str | None,
    delay_one: bool,
    **engine: Any,
) -> None:
    """Score a model, or finished mattes, against true mattes.

    DATASET is a folder of clips: each a folder with alpha.mkv and one or more videos, or with
    image/NAME.png and alpha/NAME.png. Every clip is matted from its first frame and scored at its
    own size; the means count each clip the same. Lower is better, but for IoU.

    MAD and MSE are times 1,000, Grad and Conn sums over 1,000, dtSSD times 100.
    """
    if true and pred:
        raise click.UsageError("--true and --alpha exclude each other: with --alpha, DATASET is it")
    with _Shown() as shown:
        if pred:
            result = compare(finished(pred, dataset), limit=limit, progress=shown.frame)
        else:
            clips = [pair(dataset, true)] if true else find_clips(dataset)
            matter = load_matter(model, matter_options(engine), shown.fetch)
            try:
                result = evaluate(
                    matter,
                    clips,
                    None if refined else RAW,
                    limit=limit,
                    progress=shown.frame,
                    delay_one=delay_one,
                )
            finally:
                matter.close()
    if as_json:
        click.echo(json.dumps(_as_dict(result, limit), ensure_ascii=False))
    else:
        _print(result, limit)


class _Shown:
    """What goes on, on standard error where it is a terminal. A context manager."""

    def __enter__(self) -> "_Shown":
        self._status: Any = None
        if sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status("loading")
            self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._status is not None:
            self._status.stop()

    def fetch(self, done: int, total: int | None) -> None:
        """Show bytes fetched."""
        whole = f" of {total / 1e6:.0f}" if total else ""
        self._show(f"fetching the model: {done / 1e6:.0f}{whole} MB")

    def frame(self, clip: Clip, frames: int) -> None:
        """Show frames scored."""
        self._show(f"{clip.name}: frame {frames}")

    def _show(self, text: str) -> None:
        if self._status is not None:
            from rich.markup import escape

            self._status.update(escape(text))


def _as_dict(result: Evaluation, limit: int | None) -> dict[str, Any]:
    engine = result.engine
    return {
        **(asdict(engine) if engine else {"model": None}),
        "refined": result.refined,
        "limit": limit,
        "clips": [
            {
                "name": clip.name,
                "still": clip.still,
                "frames": clip.frames,
                "seconds": round(clip.seconds, 3),
                **_rounded(clip.means),
            }
            for clip in result.clips
        ],
        "means": {
            kind: {"clips": _count(result, kind), **_rounded(means)}
            for kind, means in result.means.items()
        },
    }


def _rounded(means: Means) -> dict[str, float | None]:
    # What lies beyond is noise of the processor's summing order.
    return {k: None if v is None else round(v, 6) for k, v in means.as_dict().items()}


def _count(result: Evaluation, kind: str) -> int:
    return sum(clip.still is (kind == "stills") for clip in result.clips)


def _print(result: Evaluation, limit: int | None) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    names = [n for n in LABELS if any(getattr(c.means, n) is not None for c in result.clips)]
    table = Table("clip", box=None, pad_edge=False)
    table.add_column("frames", justify="right")
    for name in names:
        table.add_column(LABELS[name], justify="right")

    def cells(means: Means) -> list[str]:
        values = [getattr(means, name) for name in names]
        return ["-" if v is None else f"{v:.3f}" for v in values]

    for clip in result.clips:
        table.add_row(escape(clip.name), str(clip.frames), *cells(clip.means))
    table.add_section()
    for kind, means in result.means.items():
        count = _count(result, kind)
        noun = kind if count > 1 else kind.removesuffix("s")
        table.add_row(f"mean of {count} {noun}", "", *cells(means), style="bold")
    # Piped into a file, rows must not be folded to 80 columns.
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)
    click.echo(_what_ran(result, limit))


def _what_ran(result: Evaluation, limit: int | None) -> str:
    engine = result.engine
    if engine is None:
        parts = ["finished mattes"]
    else:
        parts = [
            f"model {engine.model}",
            f"runtime {engine.runtime}",
            f"provider {engine.provider}",
            f"precision {engine.precision}",
            "refined" if result.refined else "not refined",
        ]
    if limit is not None:
        parts.append(f"first {limit} frames")
    return ", ".join(parts)
