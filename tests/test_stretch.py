"""Mattes of stills are stretched to 0..1 where the model's own code does so; never of video."""

from pathlib import Path
from typing import Any

import graphs
import numpy as np
import pytest
from numpy.typing import NDArray

from vmatte.images import ImageOptions, cut_out
from vmatte.matting import Matter, MatterOptions, build_matter, for_still
from vmatte.matting.stabilise import StabilisedMatter
from vmatte.matting.still import stretched
from vmatte.refine import RefineOptions
from vmatte.registry import find_places, load_registry
from vmatte.runtimes import RuntimeOptions
from vmatte.server.models import Model
from vmatte.steer import SteerOptions, steered
from vmatte.testing import FunctionMatter

FP32 = RuntimeOptions(runtime="onnxruntime", precision="fp32")
PLAIN = RefineOptions(method="off", decontaminate=False, levels=(0.0, 1.0))


def load(name: str, folder: Path, *, stretch: bool = True) -> Matter[Any]:
    """A model whose alpha is the mean of red, green and blue."""
    path = {"deeplab": graphs.deeplab, "u2netp": graphs.u2net}.get(name, graphs.isnet)(
        folder / "graph.onnx"
    )
    record = load_registry(find_places(Path("/nowhere"))).get(name)
    return build_matter(record, path, MatterOptions(runtime=FP32, stretch=stretch))


def steps(low: int, high: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    rgb = np.full((size[1], size[0], 3), low, np.uint8)
    rgb[:, size[0] // 2 :] = high
    return rgb


def ends(matter: Matter[Any], rgb: NDArray[np.uint8]) -> tuple[float, float]:
    alpha = matter.step(rgb, matter.start(rgb.shape[1], rgb.shape[0]))[0].alpha
    assert alpha.dtype == np.float32 and alpha.shape == rgb.shape[:2]
    return round(float(alpha[0, 0]), 2), round(float(alpha[0, -1]), 2)


@pytest.mark.parametrize("name", ["u2netp", "isnet", "rmbg"])
def test_stills_are_stretched_and_videos_are_not(name: str, tmp_path: Path) -> None:
    matter = load(name, tmp_path)
    rgb = steps(51, 153, matter.working_size(9, 9))
    assert ends(matter, rgb) == pytest.approx((0.2, 0.6), abs=0.03)
    # However it is worn: a still run through the pipeline is stabilised, one of a server shared.
    worn = [matter, StabilisedMatter(matter), Model(matter), Model(StabilisedMatter(matter))]
    for one in worn:
        assert ends(for_still(one), rgb) == (0, 1)
        for still, wanted in ((True, (0, 1)), (False, (0.2, 0.6))):
            idle = steered(one, SteerOptions(), 9, 9, still=still)
            assert ends(idle, rgb) == pytest.approx(wanted, abs=0.03)
    matter.close()


def test_what_a_user_gets_of_a_picture(tmp_path: Path) -> None:
    for stretch, wanted in ((True, (0, 255)), (False, (51, 153))):
        matter = load("u2netp", tmp_path, stretch=stretch)
        shown = cut_out(steps(51, 153, (320, 320)), ImageOptions(refine=PLAIN), matter=matter)
        assert shown.getchannel("A").getextrema() == pytest.approx(wanted, abs=8)
        matter.close()


def test_other_families_are_left_alone(tmp_path: Path) -> None:
    matter = load("deeplab", tmp_path)
    assert for_still(matter) is matter
    matter.close()
    function = FunctionMatter()
    assert for_still(function) is function


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0.1, 0.6, (0, 1)),
        (0.0, 0.25, (0, 1)),
        (0.0, 0.1, (0.0, 0.1)),  # nothing was found, and stretched noise would be something
        (0.9, 1.0, (0.9, 1.0)),  # nothing but the subject
        (0.0, 0.0, (0, 0)),
        (1.0, 1.0, (1, 1)),
    ],
)
def test_noise_is_not_stretched(low: float, high: float, wanted: tuple[float, float]) -> None:
    alpha = np.linspace(low, high, 12, dtype=np.float32).reshape(3, 4)
    before = alpha.copy()
    found = stretched(alpha)
    assert (found.min(), found.max()) == pytest.approx(wanted)
    np.testing.assert_array_equal(alpha, before)
