"""Every model family, on stand-ins for its weights and on real ones: what their suite runs over."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import graphs
import numpy as np
import pytest
from numpy.typing import NDArray

from vmatte.matting import Matter, MatterOptions, build_matter
from vmatte.registry import ModelRecord, find_places, load_registry
from vmatte.registry.places import bundled_dir
from vmatte.runtimes import RuntimeOptions

Build = Callable[..., Matter[Any]]
FP32 = {"runtime": "onnxruntime", "precision": "fp32"}


@dataclass(frozen=True)
class Case:
    """A record's family and name, and where its file comes from: a stand-in or a real one."""

    family: str
    record: str
    standin: Callable[[Path], Path] | None = None
    real: str = ""

    def __str__(self) -> str:
        return f"{self.record}-{'real' if self.real else 'standin'}"

    @property
    def fixed(self) -> tuple[int, int] | None:
        """The one size that the file takes; None where it takes many."""
        params = record(self.record).params
        if "size" not in params or self.standin is graphs.u2net:
            return None
        w, h = params["size"]
        return w, h


def resnet(path: Path) -> Path:
    return graphs.rvm(path, channels=graphs.RESNET50)


def half(path: Path) -> Path:
    return graphs.rvm(path, half=True)


def landscape(path: Path) -> Path:
    return graphs.mediapipe(path, (256, 144))


RECURRENT = ("rvm", "convgru")
STANDINS = [
    Case("convgru", "vmatte", graphs.convgru),
    Case("rvm", "rvm_mobilenetv3", graphs.rvm),
    Case("rvm", "rvm_mobilenetv3_fp16", half),
    Case("rvm", "rvm_resnet50", resnet),
    Case("u2net", "u2netp", graphs.u2net),
    Case("u2net", "silueta", graphs.u2net_of_one_size),
    Case("isnet", "isnet-general-use", graphs.isnet),
    Case("mediapipe", "mediapipe_selfie", graphs.mediapipe),
    Case("mediapipe", "mediapipe_selfie_landscape", landscape),
    Case("pphumanseg", "pphumanseg", graphs.pphumanseg),
    Case("isnet", "rmbg-1.4", graphs.isnet),
    Case("birefnet", "birefnet", graphs.birefnet),
    Case("modnet", "modnet_photographic", graphs.modnet),
    Case("deeplab", "deeplabv3_mobilenetv2", graphs.deeplab),
    Case("deeplab", "deeplabv3p_human", graphs.deeplab_human),
]
REAL = [
    Case("convgru", "vmatte", real="bundled"),
    Case("rvm", "rvm_mobilenetv3", real="rvm_mobilenetv3_int8w"),
    Case("u2net", "u2netp", real="u2netp_fp16w"),
    Case("mediapipe", "mediapipe_selfie", real="mediapipe_selfie_256"),
    Case("mediapipe", "mediapipe_selfie_landscape", real="mediapipe_selfie_landscape_144x256"),
    Case("pphumanseg", "pphumanseg", real="pphumanseg_2023mar"),
    Case("deeplab", "deeplabv3_mobilenetv2", real="deeplabv3_mnv2_257"),
    Case("deeplab", "deeplabv3p_human", real="deeplabv3p_human_513"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


def record(name: str) -> ModelRecord:
    registry = load_registry(find_places(Path("/nowhere")))
    if name in registry.families and name not in registry.names():
        # A family without a record: its files are imported.
        params = registry.families[name].params
        return ModelRecord(
            name=name, family=name, file="", sha256="", licence="", params=params, own=True
        )
    return registry.get(name)


@pytest.fixture
def make(folder: Path, shared: Callable[[str], Path]) -> Iterator[Callable[..., Matter[Any]]]:
    made = []

    def build(case: Case, ratio: float | None = None, **runtime: Any) -> Matter[Any]:
        if case.standin is None:
            path = bundled_dir() / "vmatte.onnx"
            if case.real != "bundled":
                path = shared(f"weights/{case.real}.onnx")
        else:
            path = folder / f"{case.record}.onnx"
            if not path.exists():
                case.standin(path)
        if case.record.endswith("fp16"):
            runtime["precision"] = "auto"
        options = MatterOptions(runtime=RuntimeOptions(**{**FP32, **runtime}), ratio=ratio)
        made.append(build_matter(record(case.record), path, options))
        return made[-1]

    yield build
    for matter in made:
        matter.close()


every = pytest.mark.parametrize("case", STANDINS + REAL, ids=str)
recurrent = pytest.mark.parametrize("case", [*STANDINS[:4], *REAL[:2]], ids=str)


def picture(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """A figure before a gradient, so that real networks find something."""
    w, h = size
    x = np.linspace(0, 255, w)[None, :, None] + np.zeros((h, 1, 3))
    rgb = np.ascontiguousarray(x * [0.3, 0.5, 0.8]).astype(np.uint8)
    middle = (w // 2 + seed * w // 20, h // 3)
    cv2.ellipse(rgb, (middle[0], h), (w // 3, h // 2), 0, 180, 360, (40, 60, 120), -1)
    cv2.circle(rgb, middle, max(1, min(w, h) // 6), (225, 180, 150), -1)
    return rgb


def working(matter: Matter[Any], size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    return picture(matter.working_size(*size), seed)


def check(matte: Any, rgb: NDArray[np.uint8]) -> None:
    assert matte.alpha.dtype == np.float32 and matte.alpha.shape == rgb.shape[:2]
    assert matte.alpha.flags.c_contiguous
    assert matte.alpha.min() >= 0 and matte.alpha.max() <= 1
    if matte.foreground is not None:
        assert matte.foreground.dtype == np.float32 and matte.foreground.shape == rgb.shape
        assert matte.foreground.min() >= 0 and matte.foreground.max() <= 1
