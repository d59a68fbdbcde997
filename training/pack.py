"""Packs everything that training needs into one small file: python -m training.pack --help.

The pack is one .npz: `blob` uint8 [bytes] holds WebP pictures one after another (mattes and
cut-outs lossless), `index` the JSON list of items, as bytes. It is made to travel (some 100 MB, 60
with --quality 65); `unpack` decodes it once into a plain memory-mapped array of fixed-size
canvases, from which batches are gathered undecoded.
"""

from __future__ import annotations

import argparse
import json
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from training.teachers import Picture, resized

KINDS = ("person", "cutout", "background", "empty", "clip")
EDGE = 0.04  # share of a border row or column under alpha from which it counts as cut off
LOSSLESS = 101  # of OpenCV's quality of WebP
THIN = 0.2  # share of the box's height that arms and legs held out sideways fill at most
# Subjects of the test folder's motion_a, motion_b and motion_c, which are among the cut-outs.
TESTED = "1_15.png,4_1.png,4_2.png,r_4.png"
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Item:
    """One picture of the pack; `box` is where alpha > 0.5: left, top, right, bottom pixels."""

    name: str
    kind: str
    group: str  # frames of one clip share it, in order
    weight: float  # how far the teachers agree, 0..1
    held_out: bool  # for validation only
    height: int
    width: int
    box: tuple[int, int, int, int]
    cut: tuple[bool, bool, bool, bool]  # the subject leaves at the left, top, right, bottom
    reach: float  # width of limbs held out sideways by that of the rest
    at: tuple[int, int, int]  # start of the picture, of its alpha, and their end in the blob


class Packer:
    """Encodes items one by one."""

    def __init__(self, size: int, quality: int) -> None:
        self.size, self.quality = size, quality
        self.parts: list[bytes] = []
        self.items: list[Item] = []
        self.length = 0

    def encode(self, picture: Bytes, quality: int = LOSSLESS) -> int:
        ok, data = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])
        if not ok:
            raise ValueError("cannot encode WebP")
        self.parts.append(data.tobytes())
        self.length += len(self.parts[-1])
        return self.length

    def add(
        self, name: str, kind: str, rgb: Picture, alpha: Bytes | None, weight: float, group: str
    ) -> None:
        """Rgb [H,W,3] and alpha [H,W] (None: nobody), made at most `size` wide and high."""
        scale = min(1.0, self.size / max(rgb.shape[:2]))
        width, height = (max(1, round(n * scale)) for n in (rgb.shape[1], rgb.shape[0]))
        start = self.length
        exact = LOSSLESS if kind == "cutout" else self.quality
        middle = self.encode(resized(rgb, width, height)[..., ::-1], exact)
        end, box = middle, (0, 0, 0, 0)
        cut = (False, False, False, False)
        if alpha is not None:
            alpha = np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA))
            end = self.encode(np.repeat(alpha[..., None], 3, 2))
            box, cut = extent(alpha.astype(np.uint8))
        reach = 0.0 if alpha is None else limbs(alpha.astype(np.uint8), box, cut)
        apart = held_out(group or name, kind)
        at = (start, middle, end)
        item = Item(name, kind, group, weight, apart, height, width, box, cut, reach, at)
        self.items.append(item)

    def save(self, path: Path) -> None:
        blob = np.frombuffer(b"".join(self.parts), np.uint8)
        index = json.dumps([asdict(i) for i in self.items])
        path.parent.mkdir(parents=True, exist_ok=True)
        text = np.frombuffer(index.encode(), np.uint8)
        np.savez(path, blob=blob, index=text, size=np.array(self.size))


def held_out(name: str, kind: str) -> bool:
    """Whether a picture or a whole clip is for validation: by its checksum, whatever the order."""
    return zlib.crc32(name.encode()) % (12 if kind == "clip" else 30) == 0


def extent(alpha: Bytes) -> tuple[tuple[int, int, int, int], tuple[bool, bool, bool, bool]]:
    """Bounding box of alpha > 0.5 and at which borders (left, top, right, bottom) it is cut."""
    solid = alpha > 127
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    if not len(rows):
        return (0, 0, 0, 0), (False, False, False, False)
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    left, top, right, bottom = (
        bool(line.mean() > EDGE) for line in (solid[:, 0], solid[0], solid[:, -1], solid[-1])
    )
    return box, (left, top, right, bottom)


def limbs(
    alpha: Bytes, box: tuple[int, int, int, int], cut: tuple[bool, bool, bool, bool]
) -> float:
    """How far thin parts stick out to the left and right of the rest, 0 to 1."""
    left, top, right, bottom = box
    thick = np.flatnonzero((alpha[top:bottom, left:right] > 127).sum(0) >= THIN * (bottom - top))
    if not len(thick):
        return 0.0
    out = (0 if cut[0] else int(thick[0])) + (0 if cut[2] else right - left - 1 - int(thick[-1]))
    return min(1.0, out / max(right - left - out, 1))


def read(path: Path) -> Bytes:
    """uint8 [H,W,3] RGB or [H,W,4] RGBA, or [H,W] when gray."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise OSError(f"not a picture: {path}")
    if picture.ndim == 3:
        order = [2, 1, 0, 3][: picture.shape[2]]
        picture = picture[..., order]
    return np.ascontiguousarray(picture).astype(np.uint8)


def as_rgb(picture: Bytes) -> Bytes:
    return np.repeat(picture[..., None], 3, 2) if picture.ndim == 2 else picture[..., :3]


def excluded(sources: Path, pattern: str) -> set[str]:
    """Names (below the data folder) whose stated licence matches `pattern`."""
    if not sources.exists():
        return set()
    rows = [line.split("\t") for line in sources.read_text().splitlines()[1:]]
    return {row[0].split("/", 1)[-1] for row in rows if re.search(pattern, row[1])}


def collect(options: argparse.Namespace) -> Packer:
    """Fills a Packer from the data folder and the labels."""
    packer = Packer(options.size, options.quality)
    data, labels = options.data, options.labels
    skip = excluded(data / "SOURCES.tsv", options.exclude_licence)
    lines = (labels / "labels.jsonl").read_text().splitlines()
    rows = sorted((json.loads(line) for line in lines), key=lambda r: str(r["path"]))
    for row in rows:
        name, kind, agree = row["path"], row["kind"], row["agree"]
        if name in skip:
            continue
        weight = min(max((agree - 0.6) / 0.3, 0.0), 1.0)
        if kind == "people" and weight >= 0.25 and row["area"] > 0.01:
            alpha = read((labels / name).with_suffix(".png"))
            packer.add(name, "person", as_rgb(read(data / name)), alpha, weight, "")
        elif kind == "no_person":
            # The folder's word counts, not the teachers': they see people in garments and chairs,
            # which makes exactly these pictures worth learning from.
            packer.add(name, "empty", as_rgb(read(data / name)), None, 1.0, "")
        elif kind == "clips" and weight > 0:
            clip = np.load((labels / name).with_suffix(".npz"))
            both = list(zip(clip["frames"], clip["alpha"], strict=True))
            for number, (frame, alpha) in enumerate(both[:: options.clip_step]):
                packer.add(f"{name}#{number}", "clip", frame, alpha, weight, name)
    tested = set(options.exclude_cutouts.split(","))
    for path in sorted((data / "cutouts").glob("*")):
        rgba = read(path)
        if path.name in tested:
            continue
        if rgba.ndim == 3 and rgba.shape[2] == 4 and f"cutouts/{path.name}" not in skip:
            packer.add(path.name, "cutout", rgba[..., :3], rgba[..., 3], 1.0, "")
    for path in sorted((data / "backgrounds").glob("*")):
        if f"backgrounds/{path.name}" not in skip:
            packer.add(path.name, "background", as_rgb(read(path)), None, 1.0, "")
    return packer


def from_json(row: dict[str, Any]) -> Item:
    """JSON knows no tuples."""
    fields: dict[str, Any] = row | {key: tuple(row[key]) for key in ("box", "cut", "at")}
    return Item(**fields)


def unpack(pack: Path, folder: Path) -> tuple[list[Item], Bytes]:
    """Items and their canvases, uint8 [N,4,S,S]: RGB and alpha, top left, zeros around.

    The canvases live in a file in `folder`, which is written once and then only mapped.
    """
    with np.load(pack) as archive:
        index = json.loads(archive["index"].tobytes())
        blob, size = archive["blob"], int(archive["size"])
    items = [from_json(row) for row in index]
    shape = (len(items), 4, size, size)
    cache = folder / f"{pack.stem}-{zlib.crc32(blob.tobytes()):08x}.canvases"
    if not cache.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = cache.with_suffix(".part")
        canvases = np.memmap(part, np.uint8, "w+", shape=shape)

        def fill(number: int) -> None:
            item = items[number]
            start, middle, end = item.at
            bgr = cv2.imdecode(blob[start:middle], cv2.IMREAD_COLOR)
            assert bgr is not None
            here = canvases[number, :, : item.height, : item.width]
            here[:3] = bgr[..., ::-1].transpose(2, 0, 1)
            if end > middle:
                alpha = cv2.imdecode(blob[middle:end], cv2.IMREAD_GRAYSCALE)
                assert alpha is not None
                here[3] = alpha

        with ThreadPoolExecutor() as pool:
            list(pool.map(fill, range(len(items))))
        canvases.flush()
        part.rename(cache)
    return items, np.memmap(cache, np.uint8, "r", shape=shape)


def runs(items: list[Item]) -> Iterator[tuple[str, list[int]]]:
    """Indices of the frames of each clip, in order."""
    groups: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        if item.kind == "clip":
            groups.setdefault(item.group, []).append(number)
    yield from groups.items()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Packs pictures and labels into one file.")
    parser.add_argument("--data", type=Path, required=True, help="folder given to label")
    parser.add_argument("--labels", type=Path, required=True, help="folder written by label")
    parser.add_argument("--out", type=Path, required=True, help="the .npz to write")
    parser.add_argument("--size", type=int, default=320, help="longest side of a picture")
    parser.add_argument("--quality", type=int, default=90, help="WebP quality")
    parser.add_argument("--clip-step", type=int, default=2, help="keep every n-th frame")
    parser.add_argument("--exclude-licence", default=r"(?i)non-commercial|\bNC\b|-NC-")
    parser.add_argument("--exclude-cutouts", default=TESTED, help="names, separated by commas")
    options = parser.parse_args(argv)
    packer = collect(options)
    packer.save(options.out)
    counts = {k: sum(i.kind == k for i in packer.items) for k in KINDS}
    held = sum(i.held_out for i in packer.items)
    print(f"{options.out}: {packer.length / 2**20:.1f} MiB, {counts}, held out {held}")


if __name__ == "__main__":
    main()
