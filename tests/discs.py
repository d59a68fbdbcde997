"""Clips of a moving disc with true mattes, and a fake model that sees it."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from vmatte.matting.base import Engine, Matte

SIZE = 64, 48


def disc(x: float, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    yy, xx = np.mgrid[: size[1], : size[0]]
    return np.uint8(255) * (np.hypot(xx - x, yy - 24) < 12)


def write(path: Path, pictures: list[NDArray[np.uint8]], rate: int = 25) -> Path:
    """Write [H, W] gray or [H, W, 3] RGB pictures, losslessly but for rounding."""
    path.parent.mkdir(parents=True, exist_ok=True)
    gray = pictures[0].ndim == 2
    still = path.suffix == ".png"
    with av.open(str(path), "w", format="image2" if still else None) as out:
        stream = out.add_stream("png" if still else "ffv1", rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "gray" if gray else "rgb24" if still else "yuv444p"
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="gray" if gray else "rgb24")
            frame.pts, frame.time_base = i, Fraction(1, rate)
            out.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        out.mux(stream.encode())
    return path


def colour(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(mask[..., None], 3, axis=2)


MASKS = [disc(20), disc(24), disc(28)]


def make_dataset(root: Path) -> Path:
    """Two videos that share a true matte, and two stills."""
    write(root / "walk/alpha.mkv", MASKS)
    write(root / "walk/moving.mkv", [colour(m) for m in MASKS])
    write(root / "walk/still.mkv", [colour(m) for m in MASKS])
    for name, x in (("2", 20), ("10", 30)):
        write(root / f"photos/alpha/{name}.png", [disc(x)])
        write(root / f"photos/image/{name}.png", [colour(disc(x))])
    (root / "README.txt").write_text("not a clip")
    return root


@dataclass
class BrightIsSubject:
    """Takes red for alpha, at half the size; its state counts frames."""

    engine = Engine(model="fake", runtime="none", provider="none", precision="uint8")
    starts: int = 0

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        return width // 2, height // 2

    def start(self, width: int, height: int) -> int:
        assert (width, height) == (32, 24)
        self.starts += 1
        return 0

    def step(self, rgb: NDArray[np.uint8], state: int) -> tuple[Matte, int]:
        assert rgb.shape == (24, 32, 3)
        return Matte(rgb[..., 0].astype(np.float32) / 255), state + 1

    def close(self) -> None:
        pass
