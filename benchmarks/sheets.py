"""Contact sheets: models side by side on clips, to be looked at. One PNG a clip.

Each row is a moment: the picture, then every model's subject over magenta, where what is missing
and what is too much both show. Recurrent models see every frame up to the last moment.

    python -m benchmarks.sheets --shared ../shared --out sheets
"""

from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import RVM, arguments, models
from vmatte.composite import Composite
from vmatte.composite.background import ColourBackground
from vmatte.composite.hdr import srgb
from vmatte.frames import Frame
from vmatte.matting import Matter, MatterOptions, load_matter
from vmatte.refine import RefineOptions, refine
from vmatte.runtimes import RuntimeOptions
from vmatte.sources import open_source

HEIGHT = 270  # of a picture on a sheet
MAGENTA = (255, 0, 200)


def moments(clip: Path, last: int, count: int) -> list[int]:
    """Return the numbers of the frames to show: the first, then evenly up to ``last``."""
    source = open_source(str(clip))
    try:
        frames = sum(1 for _ in islice(source, last + 1))
    finally:
        source.close()
    return sorted({round(n * (frames - 1) / max(1, count - 1)) for n in range(count)})


def column(clip: Path, shown: list[int], matter: Matter[Any] | None) -> list[NDArray[np.uint8]]:
    """Return pictures [HEIGHT, w, 3] BGR of ``clip``, matted where ``matter`` is given."""
    source = open_source(str(clip))
    output = Composite(ColourBackground(MAGENTA))
    output.open(source.info)
    pictures = []
    state: Any = None
    try:
        for number, frame in enumerate(islice(source, shown[-1] + 1)):
            result: Frame = frame
            if matter is not None:
                size = matter.working_size(frame.width, frame.height)
                rgb = srgb(frame, size, matter.engine.scaling)
                if state is None:
                    state = matter.start(rgb.shape[1], rgb.shape[0])
                matte, state = matter.step(rgb, state)
                if number in shown:
                    full = refine(frame, rgb, matte, RefineOptions())
                    result = output.compose(frame, full, output.advance(frame))
            if number in shown:
                width = round(HEIGHT * frame.width / frame.height)
                pictures.append(result.rgb((width, HEIGHT))[:, :, ::-1])
    finally:
        source.close()
        output.close()
    return pictures


def labelled(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """Return ``picture`` with ``text`` in its corner."""
    drawn = np.ascontiguousarray(picture)
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.5
    (width, height), below = cv2.getTextSize(text, font, size, 1)
    drawn[: height + below + 8, : width + 10] = 0
    cv2.putText(drawn, text, (5, height + 4), font, size, (255, 255, 255), 1, cv2.LINE_AA)
    return drawn


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the sheets")
    parser.add_argument("--models", default=f"vmatte,{RVM},mediapipe_selfie")
    parser.add_argument("--clips", nargs="*", type=Path, help="instead of all shared clips")
    parser.add_argument("--frames", type=int, default=100, help="how far into each clip")
    parser.add_argument("--rows", type=int, default=3)
    options = parser.parse_args()
    names = options.models.split(",")
    clips = options.clips or sorted((options.shared / "clips").iterdir())
    options.out.mkdir(parents=True, exist_ok=True)
    exact = MatterOptions(runtime=RuntimeOptions(runtime="onnxruntime", precision="fp32"))
    with models(options.shared):
        matters = {name: load_matter(name, exact) for name in names}
        try:
            for clip in clips:
                shown = moments(clip, options.frames - 1, options.rows)
                columns = [[labelled(p, clip.stem) for p in column(clip, shown, None)]]
                for name, matter in matters.items():
                    columns.append([labelled(p, name) for p in column(clip, shown, matter)])
                rows = [np.hstack(row) for row in zip(*columns, strict=True)]
                path = options.out / f"{clip.stem}.png"
                cv2.imwrite(str(path), np.vstack(rows))
                print(path, flush=True)
        finally:
            for matter in matters.values():
                matter.close()


if __name__ == "__main__":
    main()
