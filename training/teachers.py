"""Published networks used to label pictures: one that mattes, others that only vote.

Every function takes pictures as uint8 RGB [H,W,3] and gives float32 [H,W] in 0..1 at the
picture's own size. Input conventions are those of each network's own release.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime as ort

Picture = npt.NDArray[np.uint8]
Alpha = npt.NDArray[np.float32]


def open_session(path: Path, threads: int = 1) -> Any:
    """A CPU session; warnings about old graphs are silenced because there are hundreds."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def resized(picture: Picture, width: int, height: int) -> Picture:
    """`picture` at width x height: area average when it shrinks, cubic when it grows."""
    shrinks = width * height < picture.shape[0] * picture.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)


def working_size(shape: tuple[int, ...], longer: int, multiple: int = 16) -> tuple[int, int]:
    """Width and height with the aspect of `shape` [H,W,...], rounded to `multiple`."""
    scale = longer / max(shape[0], shape[1])
    width, height = (max(1, round(n * scale / multiple)) * multiple for n in (shape[1], shape[0]))
    return width, height


class Rvm:
    """Robust Video Matting as teacher (arXiv 2108.11515): recurrent, strictly in order."""

    def __init__(self, weights: Path, longer: int, threads: int = 1) -> None:
        self.session = open_session(weights / "rvm_mobilenetv3_int8w.onnx", threads)
        self.longer = longer

    def frames(self, pictures: Iterable[Picture]) -> Iterator[Alpha]:
        """Mattes of consecutive frames of one shot, the state carried from frame to frame."""
        state: list[npt.NDArray[np.float32]] = [np.zeros((1, 1, 1, 1), np.float32)] * 4
        for picture in pictures:
            width, height = working_size(picture.shape, self.longer)
            small = resized(picture, width, height)
            src = np.asarray(small.transpose(2, 0, 1)[None] / 255, np.float32)
            feed = {"src": src} | {f"r{i + 1}i": s for i, s in enumerate(state)}
            feed["downsample_ratio"] = np.ones(1, np.float32)
            pha, *state = self.session.run(["pha", "r1o", "r2o", "r3o", "r4o"], feed)
            yield to_size(pha[0, 0], picture)

    def still(self, picture: Picture, passes: int) -> Alpha:
        """Shows the picture `passes` times, so that the recurrent state converges."""
        return list(self.frames([picture] * passes))[-1]


class PPHumanSeg:
    """PP-HumanSeg of opencv_zoo (Apache-2.0): fast first voter."""

    def __init__(self, weights: Path, threads: int = 1) -> None:
        self.session = open_session(weights / "pphumanseg_2023mar.onnx", threads)

    def __call__(self, picture: Picture) -> Alpha:
        x = resized(picture, 192, 192).transpose(2, 0, 1)[None].astype(np.float32)
        (y,) = self.session.run(None, {"x": (x / 255 - 0.5) / 0.5})
        return to_size(y[0, 1], picture)


class DeepLabHuman:
    """DeepLabV3+ trained on people (MIT): slower second voter."""

    def __init__(self, weights: Path, threads: int = 1) -> None:
        self.session = open_session(weights / "deeplabv3p_human_513.onnx", threads)
        self.input = self.session.get_inputs()[0].name

    def __call__(self, picture: Picture) -> Alpha:
        x = resized(picture, 513, 513).transpose(2, 0, 1)[None].astype(np.float32)
        (y,) = self.session.run(None, {self.input: x / 127.5 - 1})
        return to_size(1 / (1 + np.exp(y[0, 0] - y[0, 1])), picture)


def to_size(alpha: npt.NDArray[np.floating[Any]], picture: Picture) -> Alpha:
    """Brings a network's [h,w] output to the picture's size, clipped to 0..1."""
    height, width = picture.shape[:2]
    how = cv2.INTER_AREA if height < alpha.shape[0] else cv2.INTER_LINEAR
    out = cv2.resize(alpha.astype(np.float32), (width, height), interpolation=how)
    return np.clip(np.asarray(out, np.float32), 0, 1)


def iou(a: Alpha, b: Alpha) -> float:
    """Intersection over union of the two mattes cut at one half; 1 when both are empty."""
    p, q = a > 0.5, b > 0.5
    union = float(np.logical_or(p, q).sum())
    return float(np.logical_and(p, q).sum()) / union if union else 1.0
