"""A pack of blobs, made the way real ones are, and the skip of what needs PyTorch."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

if importlib.util.find_spec("torch") is None and os.environ.get("VMATTE_REQUIRE_ALL") != "1":
    pytest.skip("PyTorch is not installed (it is needed only to train)", allow_module_level=True)

import torch

# The recipes are no part of the package, so they are found beside the tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training import pack

__all__ = ["packed", "torch"]


def blob(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of smooth noise with a red body in it, and the body's alpha."""
    rgb = cv2.resize(rng.random((4, 5, 3)).astype(np.float32), (width, height)) * 0.7
    alpha = np.zeros((height, width), np.float32)
    x, y = rng.uniform(0.3, 0.7) * width, height * 0.9
    axes = (int(width * 0.2), int(height * 0.6))
    cv2.ellipse(alpha, (int(x), int(y)), axes, 0, 0, 360, 1.0, -1)
    alpha = cv2.GaussianBlur(alpha, (5, 5), 1)
    rgb = rgb * (1 - alpha[..., None]) + np.array([0.95, 0.15, 0.1]) * alpha[..., None]
    return (rgb * 255).astype(np.uint8), (alpha * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of blobs, made the way real ones are: folders of pictures and labels, then pack."""
    root = tmp_path_factory.mktemp("training")
    data, labels = root / "data", root / "labels"
    rng = np.random.default_rng(5)
    rows = []

    def write(path: Path, picture: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        order = [2, 1, 0, 3][: picture.shape[2]] if picture.ndim == 3 else None
        assert cv2.imwrite(str(path), picture if order is None else picture[..., order])

    for number in range(40):
        name = f"people/{number:02}.png"
        rgb, alpha = blob(rng, 96, 80)
        write(data / name, rgb)
        write(labels / name, alpha)
        agree = 0.95 if number else 0.2  # the first one is to be dropped
        rows.append({"path": name, "kind": "people", "area": 0.3, "agree": agree})
        rgba = np.dstack(blob(rng, 90, 60))
        write(data / f"cutouts/{number:02}.png", rgba)
        room = cv2.resize(rng.integers(0, 180, (5, 6, 3), np.uint8), (96, 80))
        write(data / f"backgrounds/{number:02}.png", room)
        write(data / f"no_person/{number:02}.png", room[:, ::-1])
        rows.append(
            {"path": f"no_person/{number:02}.png", "kind": "no_person", "area": 0.0, "agree": 1.0}
        )
    clip = [blob(np.random.default_rng(9), 80, 96) for _ in range(6)]
    (labels / "clips").mkdir()
    frames, alphas = (np.stack(side) for side in zip(*clip, strict=True))
    np.savez(labels / "clips/walk.npz", frames=frames, alpha=alphas)
    rows.append({"path": "clips/walk.mp4", "kind": "clips", "area": 0.3, "agree": 0.9})
    (data / "SOURCES.tsv").write_text(
        "path\tlicence\twhat\ntrain/people/02.png\tCC BY-NC-SA 4.0\tperson\n"
    )
    (labels / "labels.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    tested = pack.TESTED.split(",")[0]
    write(data / f"cutouts/{tested}", rgba)
    out = root / "pack.npz"
    pack.main(["--data", str(data), "--labels", str(labels), "--out", str(out), "--size", "96"])
    return out
