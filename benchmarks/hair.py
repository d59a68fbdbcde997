"""Contact sheets of hair, to be looked at: a subject over black and over white, one PNG a clip.

Each row is a moment: the picture, then head and hair over black and over white, each with the
colours as they were and with the old background's colour taken out. Rims and hair turned gray show.
The errors that go with it: ``python -m benchmarks.refinement --only foreground``.

    python -m benchmarks.hair --shared ../shared --out sheets --model rvm_shared
"""

from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import arguments, models
from benchmarks.sheets import labelled
from vmatte.composite import Composite
from vmatte.composite.background import COLOURS, ColourBackground
from vmatte.composite.hdr import srgb
from vmatte.frames import Frame, StreamInfo
from vmatte.matting import Matte, Matter, load_matter
from vmatte.refine import RefineOptions, refine
from vmatte.sources import open_source

CLIPS = ("hb_man_longhair_wind_sky", "hb_woman_plants_room", "th_woman_yellowwall")
"""Dark hair before a bright sky, fair hair before a room, brown hair before a bright wall."""

SIDE = 420
"""Of a picture on a sheet."""

Picture = NDArray[np.uint8]


def head(alpha: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of the square around the uppermost part of a matte."""
    h, w = alpha.shape
    rows = np.flatnonzero((alpha > 0.3).any(1))
    top = int(rows[0]) if len(rows) else 0
    side = min(h, w, round(0.55 * h))
    top = max(0, min(h - side, top - side // 10))
    cols = np.flatnonzero((alpha[top : top + side // 2] > 0.3).any(0))
    middle = int(cols.mean()) if len(cols) else w // 2
    left = max(0, min(w - side, middle - side // 2))
    return top, top + side, left, left + side


def over(frame: Frame, rgb: Picture, matte: Matte, info: StreamInfo) -> dict[str, Frame]:
    """Return the subject over black and white, with either colours."""
    found = {}
    for name in ("black", "white"):
        for way, decontaminate in (("as it was", False), ("ours", True)):
            full = refine(frame, rgb, matte, RefineOptions(decontaminate=decontaminate))
            output = Composite(ColourBackground(COLOURS[name]))
            output.open(info)
            found[f"{name}, {way}"] = output.compose(frame, full, output.advance(frame))
            output.close()
    return found


def row(frame: Frame, rgb: Picture, matte: Matte, info: StreamInfo) -> Picture:
    """Return one row of a sheet, BGR."""
    whole = (frame.width, frame.height)
    alpha = refine(frame, rgb, matte, RefineOptions()).values()
    top, bottom, left, right = head(alpha)
    shown = []
    for name, made in {"the picture": frame, **over(frame, rgb, matte, info)}.items():
        part = made.rgb(whole)[top:bottom, left:right, ::-1]
        shown.append(labelled(cv2.resize(part, (SIDE, SIDE)).astype(np.uint8), name))
    return np.hstack(shown)


def sheet(clip: Path, matter: Matter[Any], shown: list[int]) -> Picture:
    """Return the sheet of a clip; ``shown``: numbers of frames, in order."""
    source = open_source(str(clip))
    rows, state = [], None
    try:
        for number, frame in enumerate(islice(source, shown[-1] + 1)):
            rgb = srgb(frame, matter.working_size(frame.width, frame.height))
            if state is None:
                state = matter.start(rgb.shape[1], rgb.shape[0])
            matte, state = matter.step(rgb, state)
            if number in shown:
                rows.append(row(frame, rgb, matte, source.info))
    finally:
        source.close()
    return np.vstack(rows)


def main() -> None:
    """Make the sheets."""
    parser = arguments(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the sheets")
    parser.add_argument("--model", default="vmatte")
    parser.add_argument("--frames", type=int, nargs="+", default=[10, 40])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with models(args.shared):
        matter = load_matter(args.model)
        try:
            for name in CLIPS:
                path = args.out / f"{name}_{args.model}.png"
                made = sheet(args.shared / "clips" / f"{name}.mp4", matter, sorted(args.frames))
                cv2.imwrite(str(path), made)
                print(path, flush=True)
        finally:
            matter.close()


if __name__ == "__main__":
    main()
