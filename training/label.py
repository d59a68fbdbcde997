"""Labels pictures and clips with teachers: python -m training.label --help.

Reads a folder with people/, no_person/ and clips/, writes to --out:
  people/**.png     uint8 alpha [H,W] at the picture's size
  clips/NAME.npz    frames uint8 [T,H,W,3] (RGB) and alpha uint8 [T,H,W]
  labels.jsonl      one object per picture or clip: path, kind, area (mean alpha, 0..1), agree

`agree` is the best IoU of the matting teacher with a voter (people, clips), or 1 minus the
largest share of the picture on which at least two networks see somebody (no_person).
Pictures already in labels.jsonl are skipped, so the command can be stopped and run again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from training.teachers import DeepLabHuman, Picture, PPHumanSeg, Rvm, iou, resized, working_size

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
VIDEOS = {".mp4", ".mkv", ".mov", ".webm"}
SURE = 0.85  # IoU above which the fast voter is enough
DOUBT = 0.005  # share of an empty picture from which the slow voter is asked too
WARM_UP = 12  # frames played backwards first: RVM's error falls over about as many

_labeller: Labeller | None = None


class Labeller:
    """Holds one process's sessions."""

    def __init__(self, options: argparse.Namespace) -> None:
        cv2.setNumThreads(1)
        self.options = options
        self.root: Path = options.data
        self.out: Path = options.out
        self.rvm = Rvm(options.weights, options.longer)
        self.fast = PPHumanSeg(options.weights)
        self.slow = DeepLabHuman(options.weights)

    def label(self, path: Path) -> dict[str, Any]:
        """Labels one file and returns its row of labels.jsonl."""
        name = path.relative_to(self.root).as_posix()
        kind = name.split("/")[0]
        work = {"people": self.person, "no_person": self.nobody, "clips": self.clip}[kind]
        row: dict[str, Any] = {"path": name, "kind": kind}
        try:
            row |= work(path, self.out / name)
        except (OSError, ValueError, cv2.error) as error:  # a broken file must not end the run
            row |= {"area": 0.0, "agree": 0.0, "error": str(error)}
        return row

    def person(self, path: Path, out: Path) -> dict[str, Any]:
        picture = read_rgb(path)
        alpha = self.rvm.still(picture, self.options.passes)
        agree = iou(alpha, self.fast(picture))
        if agree < SURE:
            agree = max(agree, iou(alpha, self.slow(picture)))
        out.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(out.with_suffix(".png")), np.rint(alpha * 255).astype(np.uint8))
        return {"area": float(alpha.mean()), "agree": agree}

    def nobody(self, path: Path, out: Path) -> dict[str, Any]:
        picture = read_rgb(path)
        alpha = self.rvm.still(picture, 2)
        seen = (alpha > 0.5).astype(int) + (self.fast(picture) > 0.5)
        if float((seen > 0).mean()) > DOUBT:
            seen += self.slow(picture) > 0.5
        return {"area": float(alpha.mean()), "agree": 1 - float((seen >= 2).mean())}

    def clip(self, path: Path, out: Path) -> dict[str, Any]:
        frames = list(read_clip(path, self.options.clip_longer, self.options.clip_frames))
        warm = frames[WARM_UP:0:-1]
        alphas = list(self.rvm.frames(warm + frames))[len(warm) :]
        votes = [
            max(iou(a, self.fast(f)), iou(a, self.slow(f)))
            for a, f in zip(alphas[::8], frames[::8], strict=True)
        ]
        out.parent.mkdir(parents=True, exist_ok=True)
        alpha = np.rint(np.stack(alphas) * 255).astype(np.uint8)
        np.savez(out.with_suffix(".npz"), frames=np.stack(frames), alpha=alpha)
        return {"area": float(alpha.mean()) / 255, "agree": float(np.mean(votes))}


def read_rgb(path: Path) -> Picture:
    """uint8 RGB [H,W,3]; OSError when the file is no picture."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise OSError(f"not a picture: {path.name}")
    return np.ascontiguousarray(picture[..., ::-1]).astype(np.uint8)


def read_clip(path: Path, longer: int, count: int) -> Iterator[Picture]:
    """The first `count` frames, resized so that the longer side is `longer`."""
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == count:
                return
            rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            yield resized(rgb, *working_size(rgb.shape, longer, 2))


def start_worker(options: argparse.Namespace) -> None:
    global _labeller
    _labeller = Labeller(options)


def label_one(path: Path) -> dict[str, Any]:
    assert _labeller is not None
    return _labeller.label(path)


def files(root: Path) -> list[Path]:
    """Clips first (the longest jobs), then all pictures in an order that is mixed but fixed.

    Mixed, so that a run that is cut short has labelled a fair sample.
    """
    clips = sorted(p for p in root.glob("clips/*") if p.suffix.lower() in VIDEOS)
    rest = [p for kind in ("no_person", "people") for p in sorted(root.glob(f"{kind}/**/*"))]
    rest = [p for p in rest if p.suffix.lower() in PICTURES]
    random.Random(0).shuffle(rest)
    return clips + rest


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Labels pictures and clips with teachers.")
    parser.add_argument("--data", type=Path, required=True, help="folder with people/, clips/ ...")
    parser.add_argument("--weights", type=Path, required=True, help="folder of teacher .onnx files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--longer", type=int, default=320, help="teacher's working size")
    parser.add_argument("--passes", type=int, default=3, help="times a still is shown")
    parser.add_argument("--clip-longer", type=int, default=288, help="size of stored frames")
    parser.add_argument("--clip-frames", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / "labels.jsonl"
    done: set[str] = set()
    if log.exists():
        done = {json.loads(line)["path"] for line in log.read_text().splitlines()}
    todo = [p for p in files(options.data) if p.relative_to(options.data).as_posix() not in done]
    print(f"{len(done)} done, {len(todo)} to do", flush=True)
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.jobs, start_worker, (options,)) as pool, log.open("a") as sink:
        for number, row in enumerate(pool.imap_unordered(label_one, todo), 1):
            print(json.dumps(row), file=sink, flush=True)
            if number % 200 == 0:
                print(f"{number}/{len(todo)}", flush=True)


if __name__ == "__main__":
    main()
