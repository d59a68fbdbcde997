"""Somebody seen where nobody is, and holes where somebody is: what scores on true mattes hide.

nobody: mean alpha of pictures without people, those of the training data that training never sees
(training.pack holds one in thirty out). holes: the share of what is well inside RVM's matte, with
alpha under .7, and how many frames have more than a hundredth of it.

    python -m benchmarks.presence --shared ../shared
    python -m benchmarks.presence --models vmatte,mediapipe_selfie --clips walk.mkv
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import common
from benchmarks.warmup import alphas, pictures
from training.pack import held_out
from vmatte.matting import Matter, MatterOptions, load_matter
from vmatte.runtimes import RuntimeOptions

CLIPS = ("walk.mkv", "fb_breakdance_white_1080p.mp4", "hb_woman_purple_studio.mp4", "book.mkv")
INSIDE = 13  # pixels of RVM's working size from its matte's edge
FAINT, MANY = 0.7, 0.01


def empty(folder: Path) -> list[Path]:
    """Return the pictures without people that training holds out."""
    found = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return [p for p in found if held_out(p.relative_to(folder.parent).as_posix(), "empty")]


def seen(matter: Matter[Any], path: Path) -> float:
    """Return the mean alpha of a picture, times 1,000."""
    (alpha,) = alphas(matter, pictures(path, matter, 1))
    return 1e3 * float(alpha.mean())


def holes(ours: list[NDArray[np.float32]], theirs: list[NDArray[np.float32]]) -> list[float]:
    """Return for each frame the share of the inside of ``theirs`` that is faint in ``ours``."""
    kernel = np.ones((2 * INSIDE + 1,) * 2, np.uint8)
    shares = []
    for mine, other in zip(ours, theirs, strict=True):
        inside = cv2.erode((other > 0.95).astype(np.uint8), kernel) > 0
        same = cv2.resize(mine, other.shape[::-1], interpolation=cv2.INTER_LINEAR)
        shares.append(float((same[inside] < FAINT).mean()) if inside.any() else 0.0)
    return shares


def main() -> None:
    """Measure, print and write results/presence.json."""
    parser = common.arguments(__doc__)
    parser.add_argument("--models", default="vmatte")
    parser.add_argument("--clips", nargs="*", default=CLIPS, help="of --shared/clips")
    parser.add_argument("--frames", type=int, default=90, help="of each clip")
    given = parser.parse_args()
    exact = MatterOptions(runtime=RuntimeOptions(runtime="onnxruntime", precision="fp32"))
    nobody = empty(given.shared / "train" / "no_person")
    found: dict[str, Any] = {}
    with common.models(given.shared):

        def matted(matter: Matter[Any], clip: str) -> list[NDArray[np.float32]]:
            path = given.shared / "clips" / clip
            return list(alphas(matter, pictures(path, matter, given.frames)))

        teacher = load_matter(common.RVM, exact)
        theirs = {clip: matted(teacher, clip) for clip in given.clips}
        teacher.close()
        for name in given.models.split(","):
            matter = load_matter(name, exact)
            values = [seen(matter, path) for path in nobody]
            row: dict[str, Any] = {"nobody": float(np.mean(values)), "worst": max(values)}
            for clip in given.clips:
                shares = holes(matted(matter, clip), theirs[clip])
                row[clip] = {
                    "share": float(np.mean(shares)),
                    "frames": float(np.mean([s > MANY for s in shares])),
                }
            matter.close()
            found[name] = row
    print(
        f"{len(nobody)} pictures without people, mean alpha x1e3; holes: % of bodies, % of frames"
    )
    head = ["model", "nobody", "worst", *(f"{c} {w}" for c in given.clips for w in ("%", "frames"))]
    rows = [
        [m, r["nobody"], r["worst"], *(100 * v for c in given.clips for v in r[c].values())]
        for m, r in found.items()
    ]
    common.table(head, rows)
    common.write("presence", {"pictures": len(nobody), "models": found})


if __name__ == "__main__":
    main()
