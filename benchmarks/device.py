"""Frames composed on the device of the network: milliseconds a frame, beside the same on the host.

From a frame's planes to the composited planes, no decoding or encoding: what binds a GPU. One frame
over and over, each way in turn, in one process. On a machine with a GPU:

    python -m benchmarks.device --shared ../shared --provider cuda
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

from benchmarks.common import RVM, arguments, models, table, write
from vmatte.composite import Composite
from vmatte.composite.background import COLOURS, ColourBackground
from vmatte.composite.hdr import srgb
from vmatte.device import DeviceComposer, obstacle
from vmatte.matting import MatterOptions, load_matter
from vmatte.refine import RefineOptions, refine
from vmatte.runtimes import RuntimeOptions
from vmatte.sources import open_source

CLIP = "clips/fb_breakdance_white_1080p.mp4"
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
WARM = 3


def main() -> int:
    """Measure, print and write."""
    parser = arguments(__doc__)
    parser.add_argument("--provider", default="cuda")
    parser.add_argument("--frames", type=int, default=60)
    args = parser.parse_args()
    runtime = RuntimeOptions(runtime="onnxruntime", provider=args.provider)
    rows: dict[str, Any] = {}
    with models(args.shared):
        for name in ("vmatte", RVM):
            for size in SIZES:
                rows[f"{name} {size}"] = measure(name, SIZES[size], runtime, args)
                write(f"device_{args.provider}", {"rows": rows, "frames": args.frames})
    table(
        ["ms a frame", "device", "host", "host over device", "device, fps"],
        [[n, r["device"], r["host"], r["ratio"], 1000 / r["device"]] for n, r in rows.items()],
    )
    return 0


def measure(
    name: str, size: tuple[int, int], runtime: RuntimeOptions, args: Any
) -> dict[str, float]:
    """Return the median milliseconds of both ways."""
    source = open_source(str(args.shared / CLIP))
    frame = next(iter(source)).convert("yuv420p", size)
    info = replace(source.info, width=size[0], height=size[1])
    source.close()
    matter = load_matter(name, MatterOptions(runtime=runtime))
    options = RefineOptions()
    compositor = Composite(ColourBackground(COLOURS["green"]))
    compositor.open(info)
    why = obstacle(matter, info, options, [compositor])
    if why is not None:
        raise SystemExit(f"cannot be composed on the device: {why}")
    device = DeviceComposer(matter, info, options, runtime)
    working = matter.working_size(*size)
    state = matter.start(*working)

    def on_host() -> None:
        nonlocal state
        rgb = srgb(frame, working, matter.engine.scaling)
        matte, state = matter.step(rgb, state)
        compositor.compose(frame, refine(frame, rgb, matte, options), None)

    behind = compositor.behind(frame)
    ways: dict[str, Callable[[], object]] = {
        "device": lambda: device.compose(frame, behind),
        "host": on_host,
    }
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(WARM + args.frames):
        for way, work in ways.items():
            begin = time.perf_counter()
            work()
            if turn >= WARM:
                spent[way].append((time.perf_counter() - begin) * 1e3)
    device.close()
    matter.close()
    found = {way: median(times) for way, times in spent.items()}
    return {**found, "ratio": median(a / b for a, b in zip(spent["host"], spent["device"]))}  # noqa: B905


if __name__ == "__main__":
    sys.exit(main())
