"""Files and records that are not what they should be, and where the RVM graph is cut."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import graphs
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from vmatte.errors import InferenceError, ModelError, ModelUnavailableError, OptionError
from vmatte.frames import from_array
from vmatte.matting import Matter, MatterOptions, build_matter, load_matter, try_out
from vmatte.matting.graph import cut, first_convolution
from vmatte.matting.modnet import modnet_size
from vmatte.matting.rvm import base_size_graph
from vmatte.refine import RefineOptions, refine
from vmatte.registry import ModelRecord, find_places, load_registry
from vmatte.runtimes import RuntimeOptions, load_runtime

FP32 = RuntimeOptions(runtime="onnxruntime", precision="fp32")


def record(name: str) -> ModelRecord:
    return load_registry(find_places(Path("/nowhere"))).get(name)


def load(path: Path, record: ModelRecord) -> Matter[Any]:
    return build_matter(record, path, MatterOptions(runtime=FP32))


def test_a_file_of_another_family(tmp_path: Path) -> None:
    paths = {"rvm_mobilenetv3": graphs.rvm(tmp_path / "a.onnx")}
    for name, file in (("u2netp", "u2net"), ("mediapipe_selfie", "mediapipe")):
        paths[name] = graphs.STILLS[file](tmp_path / f"{file}.onnx")
    for wanted in [*paths, "isnet-general-use", "mediapipe_selfie_landscape"]:
        for given, path in paths.items():
            if wanted != given:
                with pytest.raises(ModelError, match=r"family|not an RVM graph"):
                    build_matter(record(wanted), path, MatterOptions())


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x07" * 99])
def test_a_file_that_is_no_graph(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    for name in ("rvm_mobilenetv3", "u2netp"):
        with pytest.raises(ModelError):
            build_matter(record(name), path, MatterOptions())


def own(family: str, **params: Any) -> ModelRecord:
    return ModelRecord(
        name="mine", family=family, file="a", sha256="0" * 64, licence="MIT", params=params
    )


@pytest.mark.parametrize(
    "wrong",
    [
        own("u2net", size=[320], mean=[0, 0, 0]),
        own("u2net", size=[320.5, 320]),
        own("u2net", size=[320, 320], channel=[]),
        own("u2net", size=[320, 320], channel=[0, "a"]),
        own("u2net", size=[320, 320], activation="relu"),
        own("u2net", size=[320, 320], std=[1, 1, 0]),
        own("u2net", size=[320, 320], layout="hwc"),
        own("u2net", size=[320, 320], channel=-1),
        own("u2net", size=[320, 320], colour="red"),
        own("rvm"),
        own("rvm", state_channels=[16, 20]),
    ],
    ids=lambda r: str(dict(r.params)),
)
def test_a_record_that_is_wrong(tmp_path: Path, wrong: ModelRecord) -> None:
    with pytest.raises(ModelError, match="record"):
        build_matter(wrong, graphs.u2net(tmp_path / "u.onnx"), MatterOptions())


def test_a_channel_that_is_not_there(tmp_path: Path) -> None:
    path = graphs.u2net(tmp_path / "u.onnx")
    matter = build_matter(own("u2net", size=[320, 320], channel=1), path, MatterOptions())
    with pytest.raises(InferenceError, match="family"):
        matter.step(np.zeros((320, 320, 3), np.uint8), None)


def test_values_that_are_not_numbers(tmp_path: Path) -> None:
    """Half precision overflows; such a matte must not reach the picture or the next state."""
    path = graphs.pphumanseg(tmp_path / "n.onnx")
    record = own("x", size=[192, 192], mean=[math.nan, 0, 0], channel=1)
    matter = build_matter(record, path, MatterOptions(runtime=FP32))
    with pytest.raises(InferenceError, match="not numbers"):
        matter.step(np.zeros((192, 192, 3), np.uint8), None)


def picture(size: tuple[int, int]) -> NDArray[np.uint8]:
    w, h = size
    y, x = np.mgrid[:h, :w]
    rgb = np.dstack([x * 200 / w, y * 200 / h, 128 + 0 * x])
    return rgb.astype(np.uint8)


def test_a_wrong_state_is_typed(tmp_path: Path) -> None:
    matter = load(graphs.rvm(tmp_path / "r.onnx"), record("rvm_mobilenetv3"))
    with pytest.raises(InferenceError):
        matter.step(picture((64, 64)), matter.start(32, 32))


def test_ratio_is_for_rvm(tmp_path: Path) -> None:
    path = graphs.rvm(tmp_path / "r.onnx")
    half = MatterOptions(ratio=0.5)
    assert build_matter(record("rvm"), path, half).working_size(75, 40) == (38, 20)
    whole = load(path, record("rvm"))
    for size, wanted in {(1920, 1080): (512, 288), (512, 300): (512, 300), (99, 7): (99, 7),
                         (1080, 1920): (288, 512), (100000, 16): (512, 1)}.items():  # fmt: skip
        assert whole.working_size(*size) == wanted
    with pytest.raises(OptionError, match="a size of its own"):
        build_matter(record("u2netp"), graphs.u2net(tmp_path / "u.onnx"), half)
    for ratio in (0, 1.01, -1):
        with pytest.raises(OptionError, match="ratio"):
            MatterOptions(ratio=ratio)


def whole_graph(path: Path, rgb: NDArray[np.uint8], channels: tuple[int, ...]) -> Any:
    """Run the graph as published, at ratio 1, for one frame."""
    runtime = load_runtime(path, FP32)
    src = rgb.transpose(2, 0, 1)[None].astype(np.float32) / 255
    zeros = [np.zeros((1, c, 1, 1), np.float32) for c in channels]
    h, w = rgb.shape[:2]
    zeros = [
        np.zeros((1, c, math.ceil(h / 2**k), math.ceil(w / 2**k)), np.float32)
        for k, c in enumerate(channels, 1)
    ]
    feeds = {f"r{k}i": r for k, r in enumerate(zeros, 1)}
    out = runtime.run({"src": src, **feeds, "downsample_ratio": np.ones(1, np.float32)})
    return out["pha"][0, 0]


def test_the_cut_takes_the_first_projection(tmp_path: Path) -> None:
    """The refiner's own, later, would give other values: here none at all."""
    matter = load(graphs.rvm(tmp_path / "r.onnx"), record("rvm_mobilenetv3"))
    rgb = picture((90, 50))
    matte, _ = matter.step(rgb, matter.start(90, 50))
    alpha = whole_graph(tmp_path / "r.onnx", rgb, graphs.MOBILENETV3)
    assert alpha.std() > 0.1
    np.testing.assert_allclose(matte.alpha, alpha, atol=1e-5)
    # RVM's own colours err more than those that vmatte.refine estimates.
    assert matte.foreground is None


def test_the_cut_graph_is_smaller(tmp_path: Path) -> None:
    model = onnx.load(graphs.rvm(tmp_path / "r.onnx"))
    small = onnx.load_from_string(base_size_graph(tmp_path / "r.onnx"))
    onnx.checker.check_model(small)
    assert [o.name for o in small.graph.output] == ["projected", "r1o", "r2o", "r3o", "r4o"]
    assert len(small.graph.node) < len(model.graph.node) - 10
    assert len(small.graph.initializer) < len(model.graph.initializer)
    # Nothing of the original may have changed, and an input that nothing needs goes.
    assert first_convolution(model.graph, (4, 16, 1, 1)) == "projected"
    assert first_convolution(model.graph, (9, 9, 1, 1)) is None
    alone = cut(model, ["r1o"])
    assert {i.name for i in alone.graph.input} == {"src", "r1i", "downsample_ratio"}


def test_cut_and_refined_equals_the_whole_real_graph(shared: Callable[[str], Path]) -> None:
    """At ratio 1 the published refiner has little to do, and neither has ours."""
    import av

    path = shared("weights/rvm_mobilenetv3_int8w.onnx")
    with av.open(str(shared("clips/th_newsreader_blue.mp4"))) as clip:
        native = next(clip.decode(video=0)).reformat(320, 180)
    rgb = np.ascontiguousarray(native.to_ndarray(format="rgb24"))
    matter = load(path, record("rvm_mobilenetv3"))
    matte, _ = matter.step(rgb, matter.start(320, 180))
    options = RefineOptions(levels=(0, 1))
    full = refine(from_array(rgb, "rgb24"), rgb, matte, options)
    alpha = whole_graph(path, rgb, graphs.MOBILENETV3)
    difference = np.abs(full.values() - alpha)
    assert alpha.max() > 0.99 and alpha.min() < 0.01
    assert difference.mean() < 0.003 and (difference > 0.1).mean() < 0.005


def test_the_size_rule_of_modnet() -> None:
    """The published rule, by hand: its own inference script gives these."""
    for size, wanted in {
        (512, 512): (512, 512),
        (1920, 1080): (896, 512),  # 910.2 cut to 28 blocks
        (1080, 1920): (512, 896),
        (640, 480): (640, 480),  # on both sides of 512: not scaled
        (641, 483): (640, 480),
        (300, 200): (768, 512),
        (4000, 3000): (672, 512),
        (513, 513): (512, 512),
        (511, 511): (512, 512),
        (1, 1): (512, 512),
        # Ours: neither nothing nor gigabytes.
        (4000, 30): (2048, 32),
        (400, 16): (2048, 64),
        (18, 900): (32, 896),
    }.items():
        assert modnet_size(*size) == wanted, size
        assert modnet_size(*size[::-1]) == wanted[::-1]
    assert modnet_size(1920, 1080, 0.5) == (448, 256)


def test_classes_are_summed(tmp_path: Path) -> None:
    """The stand-in: brightness is a person; of the rest a cat has three quarters, a dog one."""
    path = graphs.deeplab(tmp_path / "d.onnx")
    rgb = np.full((257, 257, 3), 51, np.uint8)

    def alpha(*classes: str) -> float:
        options = MatterOptions(runtime=FP32, classes=classes)
        matter = build_matter(record("deeplab"), path, options)
        got = matter.step(rgb, None)[0].alpha
        assert got.max() - got.min() < 1e-5
        return float(got[0, 0])

    assert alpha() == alpha("person") == pytest.approx(0.2, abs=1e-4)
    assert alpha("cat") == pytest.approx(0.6, abs=1e-4)
    assert alpha("dog", "person") == pytest.approx(0.4, abs=1e-4)
    assert alpha("cat", "dog", "person") == pytest.approx(1, abs=1e-4)
    with pytest.raises(OptionError, match=r"knows no class 'kat'; expected background, .*cat"):
        alpha("kat")
    with pytest.raises(OptionError, match="does not tell classes apart"):
        build_matter(record("u2netp"), path, MatterOptions(classes=("cat",)))


def test_the_size_of_a_network_of_the_users_own(tmp_path: Path) -> None:
    """Read from the graph; where the graph takes any, it must be told."""
    matter = load(graphs.u2net(tmp_path / "u.onnx"), own("still"))
    assert matter.working_size(9, 9) == (320, 320)
    path = graphs.modnet(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"\?x3x\?x\?, of any size; .* --size WxH"):
        load(path, own("still"))
    numbers = {"mean": [0.5] * 3, "std": [0.5] * 3}
    matter = load(path, own("still", size=[96, 64], **numbers))
    rgb = np.full((64, 96, 3), 102, np.uint8)
    np.testing.assert_allclose(matter.step(rgb, None)[0].alpha, 0.4, atol=1e-5)


def test_u2net_keeps_the_shape_of_pictures(tmp_path: Path) -> None:
    """A file that says 320 x 320 but computes its sizes takes others; one that is told does not."""
    for write, wanted in (
        (graphs.u2net, [(320, 192), (192, 320), (320, 320), (320, 32), (32, 320), (320, 256)]),
        (graphs.u2net_of_one_size, [(320, 320)] * 6),
    ):
        matter = build_matter(record("u2netp"), write(tmp_path / "u.onnx"), MatterOptions())
        frames = [(1920, 1080), (720, 1280), (64, 64), (4000, 30), (1, 900), (640, 480)]
        assert [matter.working_size(*size) for size in frames] == wanted
        rgb = np.zeros((*wanted[0][::-1], 3), np.uint8)
        assert matter.step(rgb, None)[0].alpha.shape == rgb.shape[:2]
        matter.close()
    other = graphs._still(tmp_path / "u.onnx", (512, 512), 7, 0.449, 0.226)
    with pytest.raises(ModelError, match="512x512, but u2netp is to take one picture 1x3x320x320"):
        build_matter(record("u2netp"), other, MatterOptions())


def test_a_file_is_tried_out(tmp_path: Path) -> None:
    """What can only be seen by running it: too few channels."""
    path = graphs.u2net(tmp_path / "u.onnx")
    try_out(own("u2net", size=[320, 320]), path)
    for wrong in (own("u2net", size=[320, 320], channel=1), own("rvm", state_channels=[1] * 4)):
        with pytest.raises(ModelError, match=f"does not run as family {wrong.family}"):
            try_out(wrong, path)


def test_a_licence_is_asked_for_at_every_use() -> None:
    for _ in range(2):
        with pytest.raises(ModelUnavailableError, match=r"commercially.*--accept-licence"):
            load_matter("rmbg")
