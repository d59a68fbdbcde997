"""Speed of everything, with its quality: `make bench`.

What `vmatte bench` measures, on a real clip at 480p to 4K, and beside it RVM's published recipe,
a loop over rembg, vmatte without its network, and the error of alpha on videos with true mattes.
Writes suite.json, suite.md and suite.svg, judges the goals, and compares with the results of the
last commit; exits 1 where something became worse by more than its margin, or failed.

    python -m benchmarks.suite --shared ../shared --rembg REMBG/bin/python
    python -m benchmarks.suite --shared ../shared --quick

REMBG is an environment of its own (benchmarks/rembg_loop.py says how to make it); without it that
row is left out. U²-Net is measured where its weights are: vmatte models pull u2net.
"""

import json
import shlex
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import goals as judged
from benchmarks.common import RESULTS, RVM, arguments, commit, models, rounded
from benchmarks.regression import committed, regressions, report
from vmatte import isolated
from vmatte.bench.clips import SIZES, make_clips
from vmatte.bench.machine import origin
from vmatte.bench.report import columns, lines, markdown, origin_of, plot
from vmatte.bench.run import BenchOptions, Variant, measure, results, runtimes, start, variants
from vmatte.errors import VmatteError
from vmatte.registry import Store, load_registry
from vmatte.report import print_table

CLIP = "fb_breakdance_white_1080p.mp4"
MODELS = ("vmatte", RVM, "u2net", "pphumanseg_shared", "mediapipe_selfie")
ROOT = Path(__file__).parents[1]


def plan(
    options: BenchOptions, shared: Path, rembg: str | None, folder: Path
) -> tuple[list[Variant], dict[str, str]]:
    """Return what is measured, and what is left out, with the reason."""
    left_out: dict[str, str] = {}
    names = []
    for name in options.models or MODELS:
        if Store().locate(load_registry().get(name)) is None:
            left_out[name] = f"not on this machine; run: vmatte models pull {name}"
        else:
            names.append(name)
    found = variants(replace(options, models=tuple(names)))
    weights = str(shared / "weights" / "rvm_mobilenetv3_int8w.onnx")
    if RVM in names:
        recipe = {"function": "benchmarks.peers:recipe", "arguments": {"model": weights}}
        found.append(Variant(name=judged.RECIPE, **recipe))  # type: ignore[arg-type]
        for name, runtime in runtimes(options.runtimes).items():
            found.append(
                Variant(
                    name=f"{RVM}, {name}{judged.RATIO}",
                    function="vmatte.bench.jobs:matte",
                    arguments={"model": RVM, "runtime": asdict(runtime), "ratio": 0.25},
                    sizes=("1080p",),
                )
            )
    if "u2net" in names:
        for name, runtime in runtimes(options.runtimes).items():
            found.append(
                Variant(
                    name=f"u2net, {name}{judged.ALONE}",
                    function="vmatte.bench.jobs:matte",
                    arguments={
                        "model": "u2net",
                        "runtime": asdict(runtime),
                        "stabilise": "off",
                    },
                    sizes=("1080p",),
                )
            )
    if "vmatte" in names:
        found.append(
            Variant(
                name=judged.REPLAY,
                function="benchmarks.peers:replay",
                arguments={"recorded": str(folder / "recorded.npz")},
            )
        )
    if rembg is None:
        left_out[judged.REMBG] = "no interpreter was given with --rembg"
    elif "u2net" not in names:
        left_out[judged.REMBG] = "it needs the weights of u2net"
    else:
        found.append(
            Variant(
                name=judged.REMBG,
                function="benchmarks.rembg_loop:loop",
                python=rembg,
                environment=rembg_environment(),
            )
        )
    return found, left_out


def rembg_environment() -> dict[str, str]:
    """Return what lets another interpreter find the loop, and rembg our weights of u2net."""
    weights = Store().locate(load_registry().get("u2net"))
    assert weights is not None
    # Nor shall its onnxruntime keep a device identifier and events on disk, see runtimes/ort.py.
    quiet = {"ORT_DISABLE_TELEMETRY": "1"}
    return {"PYTHONPATH": str(ROOT), "U2NET_HOME": str(weights.parent), **quiet}


def errors(
    planned: list[Variant], shared: Path, folder: Path, frames: int
) -> dict[str, dict[str, Any]]:
    """Return the scores of each variant that mattes, over the videos with true mattes."""
    dataset = shared / "gt"
    found = {}
    for variant in planned:
        mattes = variant.function.endswith("jobs:matte") and not (
            {"ratio", "stabilise"} & variant.arguments.keys()
        )
        if not mattes and variant.name not in (judged.RECIPE, judged.REMBG):
            continue
        tell(f"error of {variant.name}")
        given: dict[str, Any] = {"dataset": str(dataset), "frames": frames}
        if mattes:
            given |= variant.arguments
            found[variant.name] = isolated.call("benchmarks.peers:score", given, name=variant.name)
            continue
        written = given | {"folder": str(folder / "mattes" / variant.name)}
        if variant.name == judged.RECIPE:
            more = {**written, **variant.arguments}
            isolated.call("benchmarks.peers:recipe_mattes", more, name=variant.name)
        else:
            isolated.call(
                "benchmarks.rembg_loop:mattes",
                {"videos": videos(dataset), "folder": written["folder"], "frames": frames},
                name=variant.name,
                python=variant.python,
                environment=variant.environment,
            )
        found[variant.name] = isolated.call(
            "benchmarks.peers:score_mattes", written, name=variant.name
        )
    return found


def videos(dataset: Path) -> dict[str, str]:
    """Return the videos of ``dataset`` by the names of its clips."""
    from vmatte.evaluation import find_clips

    return {c.name: str(c.video) for c in find_clips(dataset) if not c.still}


def save(found: dict[str, Any], folder: Path) -> None:
    """Write suite.json, suite.md and suite.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "suite.json").write_text(json.dumps(rounded(found), indent=1) + "\n")
    (folder / "suite.svg").write_text(plot(found) + "\n")
    table = lines(found)
    left_out = "".join(f"- {name}: {why}\n" for name, why in found["left_out"].items())
    (folder / "suite.md").write_text(
        f"# Speed\n\n`{found['command']}`, commit {found['commit']}: {origin_of(found)}.\n\n"
        f"{markdown(found['goals'], judged.COLUMNS)}\n![frames per second](suite.svg)\n\n"
        f"MAD: of the first {found['error_frames']} frames of each of the videos with true mattes, "
        f"x1e3.\n\n{markdown(table, columns(table))}\n"
        + (f"Left out:\n\n{left_out}" if left_out else "")
    )


def command(arguments: list[str], rembg: str | None) -> str:
    """Return how to run this again, without the place that rembg has on this machine."""
    shown = [a.replace(rembg, "REMBG/bin/python") if rembg else a for a in arguments]
    return shlex.join(["python", "-m", "benchmarks.suite", *shown])


def tell(what: str) -> None:
    """Say what goes on."""
    print(f"running  {what}", file=sys.stderr)


def main() -> int:
    """Measure, print, save, judge and compare."""
    parser = arguments(__doc__)
    parser.add_argument("--rembg", metavar="PYTHON", help="an interpreter that has rembg and av")
    parser.add_argument("--clip", type=Path, help=f"default: {CLIP} of --shared")
    parser.add_argument("--models", default=",".join(MODELS), metavar="A,B,...")
    parser.add_argument("--sizes", default=",".join(SIZES), metavar="A,B,...")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run")
    parser.add_argument("--frames", type=int, default=10, help="of each video, for the error")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one round of a second each, 1080p and 4k, 2 frames; nothing is compared",
    )
    parser.add_argument("-o", "--output", type=Path, help="folder; default: results, quick: out")
    parser.add_argument("--baseline", type=Path, help="default: suite.json of the last commit")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds, args.sizes, args.frames = 1, 1.0, "1080p,4k", 2
    output = args.output or (ROOT / "out" / "bench" if args.quick else RESULTS)
    baseline = json.loads(args.baseline.read_text()) if args.baseline else None
    if baseline is None and not args.quick:
        baseline = committed(RESULTS / "suite.json")
    material = str(args.clip or args.shared / "clips" / CLIP)
    options = BenchOptions(
        models=tuple(args.models.split(",")),
        sizes=tuple(args.sizes.split(",")),
        rounds=args.rounds,
        seconds=args.seconds,
    )
    where = origin()
    with models(args.shared), tempfile.TemporaryDirectory(prefix="vmatte-suite-") as name:
        folder = Path(name)
        planned, left_out = plan(options, args.shared, args.rembg, folder)
        tell("making clips")
        clips = make_clips(material, options.sizes, folder)
        if any(v.name == judged.REPLAY for v in planned):
            given = {"recorded": str(folder / "recorded.npz"), "frames": 48}
            given |= {"source": str(next(iter(clips.values())))}
            isolated.call("benchmarks.peers:keep", given, name="recording")
        rows = measure(planned, clips, options, folder, tell)
        started = start(clips, options, tell)
        scores = errors(planned, args.shared, folder, args.frames)
    for row in rows:
        if row["variant"] in scores:
            row["error"] = scores[row["variant"]]
    found = {
        **where,
        **results(material, options, rows, started),
        "command": command(sys.argv[1:], args.rembg),
        "commit": commit(),
        "error_frames": args.frames,
        "left_out": left_out,
    }
    found["goals"] = judged.goals(found)
    save(found, output)
    table = lines(found)
    print_table(table, columns(table))
    print_table(found["goals"], judged.COLUMNS)
    for what, why in left_out.items():
        print(f"left out: {what}: {why}")
    print(f"wrote {output}/suite.json, suite.md, suite.svg")
    failed = [r for r in rows if "failed" in r]
    for row in failed:
        print(f"FAILED: {row['size']} {row['variant']}: {row['failed']}")
    if baseline is None:
        print("no committed results to compare with")
        return 1 if failed else 0
    return report(*regressions(baseline, found)) or (1 if failed else 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VmatteError as e:
        sys.exit(f"{type(e).__name__}: {e}")
