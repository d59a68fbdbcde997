"""Tiny ONNX graphs that stand in for model weights: right signature, no knowledge.

Each computes something plain from brightness, so that a test can say what must come out.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F32, F16 = TensorProto.FLOAT, TensorProto.FLOAT16
MOBILENETV3, RESNET50 = (16, 20, 40, 64), (16, 32, 64, 128)
OPSET = 17


class Builder:
    """Collects nodes and initializers under names of its own."""

    def __init__(self, element: int = F32) -> None:
        self.element = element
        self.dtype: Any = np.float16 if element == F16 else np.float32
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any, dtype: Any = None) -> str:
        name = f"c{len(self.constants)}"
        array = np.asarray(value, dtype or self.dtype)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def conv(self, x: str, weights: Any, **attributes: Any) -> str:
        return self.add("Conv", x, self.constant(weights), **attributes)

    def save(self, path: Path, inputs: Sequence[Any], outputs: Sequence[Any]) -> Path:
        graph = helper.make_graph(self.nodes, "stand-in", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 9
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(path))
        return path


def value(name: str, shape: Sequence[Any], element: int = F32) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, list(shape))


def rvm(
    path: Path, *, channels: tuple[int, ...] = MOBILENETV3, half: bool = False, decoy: bool = True
) -> Path:
    """Write a look-alike of RVM's release graphs.

    Official names; states at 1/2 .. 1/16 (rounded up), each half of itself plus the picture; base
    alpha = mean RGB plus a twentieth of the mean of r1, foreground residual 0.1, 0, -0.1; a
    refiner at full size with a second Conv of the same shape as the projection, ``decoy``.
    """
    element = F16 if half else F32
    b = Builder(element)
    # Resize wants float32 scales; the ratio stays float32 in half precision too.
    scales = b.add("Concat", b.constant([1, 1], np.float32), "downsample_ratio",
                   "downsample_ratio", axis=0)  # fmt: skip
    small = b.add("Resize", "src", "", scales, mode="linear")
    gray = b.conv(small, np.full((1, 3, 1, 1), 1 / 3))
    level, states = gray, []
    for k, count in enumerate(channels, 1):
        # ceil(n / 2) at each level, as strided convolutions with padding give it.
        level = b.add("MaxPool", level, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        wide = b.conv(level, np.ones((count, 1, 1, 1)))
        kept = b.add("Mul", f"r{k}i", b.constant(0.5))
        states.append(b.add("Add", wide, kept, out=f"r{k}o"))
    memory = b.add("ReduceMean", "r1o", axes=[1, 2, 3], keepdims=1)
    trace = b.add("Mul", memory, b.constant(0.05))
    bright = b.add("Add", gray, trace)
    features = b.conv(bright, np.ones((16, 1, 1, 1)))
    weights = np.zeros((4, 16, 1, 1))
    weights[3] = 1 / 16
    bias = b.constant([0.1, 0, -0.1, 0])
    projected = b.add("Conv", features, b.constant(weights), bias, out="projected")
    size = b.add("Shape", "src")
    batch = b.add("Slice", size, b.constant([0], np.int64), b.constant([1], np.int64))
    sides = b.add("Slice", size, b.constant([2], np.int64), b.constant([4], np.int64))
    target = b.add("Concat", batch, b.constant([4], np.int64), sides, axis=0)
    large = b.add("Resize", projected, "", "", target, mode="linear")
    if decoy:
        again = b.conv(large, np.ones((16, 4, 1, 1)))
        other = b.conv(again, np.zeros((4, 16, 1, 1)))
        large = b.add("Add", large, other)
    colour = b.add("Slice", large, *(b.constant([n], np.int64) for n in (0, 3, 1)))
    alpha = b.add("Slice", large, *(b.constant([n], np.int64) for n in (3, 4, 1)))
    low, high = b.constant(0), b.constant(1)
    b.add("Clip", b.add("Add", colour, "src"), low, high, out="fgr")
    b.add("Clip", alpha, low, high, out="pha")
    batched = [None, None, None, None]
    inputs = [value("src", ["b", 3, "h", "w"], element)]
    inputs += [value(f"r{k}i", batched, element) for k in range(1, 5)]
    inputs += [value("downsample_ratio", [1])]
    outputs = [value(n, [None, c, None, None], element) for n, c in (("fgr", 3), ("pha", 1))]
    outputs += [value(f"r{k}o", [None, c, None, None], element) for k, c in enumerate(channels, 1)]
    return b.save(path, inputs, outputs)


CONVGRU = (16, 24, 48)


def convgru(path: Path) -> Path:
    """Write a look-alike of our own network's graph, whose sides must be multiples of 16.

    States at 1/4, 1/8 and 1/16, each half of itself plus the picture; alpha = mean RGB plus a
    twentieth of the mean of r1. What follows the sum hides the output's name from OpenVINO.
    """
    b = Builder()
    gray = b.conv("src", np.full((1, 3, 1, 1), 1 / 3))
    for k, (count, stride) in enumerate(zip(CONVGRU, (4, 8, 16), strict=True), 1):
        sides = [stride, stride]
        wide = b.conv(b.add("AveragePool", gray, kernel_shape=sides, strides=sides),
                      np.ones((count, 1, 1, 1)))  # fmt: skip
        b.add("Add", wide, b.add("Mul", f"r{k}", b.constant(0.5)), out=f"r{k}o")
    memory = b.add("ReduceMean", "r1o", axes=[1, 2, 3], keepdims=1)
    trace = b.add("Mul", memory, b.constant(0.05))
    wider = b.add("Sub", b.add("Mul", b.add("Add", gray, trace), b.constant(1.0)), b.constant(0.0))
    b.add("Clip", wider, b.constant(0), b.constant(1), out="pha")
    inputs = [value("src", [1, 3, "h", "w"])]
    inputs += [value(f"r{k}", [1, c, None, None]) for k, c in enumerate(CONVGRU, 1)]
    outputs = [value("pha", [1, 1, "h", "w"])]
    outputs += [value(f"r{k}o", [1, c, None, None]) for k, c in enumerate(CONVGRU, 1)]
    return b.save(path, inputs, outputs)


def _still(
    path: Path,
    size: tuple[int, int],
    outputs: int,
    mean: float,
    gain: float,
    sizes: Callable[[Builder, str], str] | None = None,
) -> Path:
    """Alpha = the mean of the three channels of the picture as it was before normalisation.

    sizes: where given, a map at half the size is resized to what it returns for another map.
    """
    w, h = size
    b = Builder()
    gray = b.conv("input.1", np.full((1, 3, 1, 1), gain / 3))
    shifted = b.add("Add", gray, b.constant(mean))
    second = b.constant(0)
    if sizes is not None:
        pooled = b.add("MaxPool", gray, kernel_shape=[2, 2], strides=[2, 2])
        whole = b.add("Resize", pooled, "", "", sizes(b, gray), mode="linear")
        second = b.add("Mul", whole, second)
        shifted = b.add("Add", shifted, second)
    names = [b.add("Identity", shifted, out="d0")]
    # The side outputs differ from the first: taking the wrong one must show.
    names += [b.add("Mul", shifted, second, out=f"d{i}") for i in range(1, outputs)]
    return b.save(path, [value("input.1", [1, 3, h, w])], [value(n, [1, 1, h, w]) for n in names])


def u2net(path: Path) -> Path:
    """Write a stand-in for U²-Net: 320 x 320, seven outputs, sizes computed from other maps."""
    return _still(path, (320, 320), 7, 0.449, 0.226, lambda b, like: b.add("Shape", like))


def u2net_of_one_size(path: Path) -> Path:
    """Write a stand-in for a simplified U²-Net, with its sizes baked in."""
    sizes = np.array([1, 1, 320, 320], np.int64)
    return _still(path, (320, 320), 7, 0.449, 0.226, lambda b, _: b.constant(sizes, np.int64))


def isnet(path: Path) -> Path:
    """Write a stand-in for ISNet: 1024 x 1024."""
    return _still(path, (1024, 1024), 6, 0.5, 1.0)


def mediapipe(path: Path, size: tuple[int, int] = (256, 256)) -> Path:
    """Write a stand-in for MediaPipe selfie segmentation: NHWC, one channel."""
    w, h = size
    b = Builder()
    b.add("ReduceMean", "input_1", axes=[3], keepdims=1, out="activation_10")
    return b.save(path, [value("input_1", [1, h, w, 3])], [value("activation_10", [1, h, w, 1])])


def pphumanseg(path: Path) -> Path:
    """Write a stand-in for PP-HumanSeg: background and person, the second is brightness."""
    b = Builder()
    gray = b.conv("x", np.full((1, 3, 1, 1), 0.5 / 3))
    person = b.add("Add", gray, b.constant(0.5))
    b.add("Concat", b.add("Sub", b.constant(1), person), person, axis=1, out="y")
    return b.save(path, [value("x", [1, 3, 192, 192])], [value("y", [1, 2, 192, 192])])


def _logit(b: Builder, share: str) -> str:
    """Undo a sigmoid; 0 and 1 become 1e-4 away from them."""
    inside = b.add("Clip", share, b.constant(1e-4), b.constant(1 - 1e-4))
    return b.add("Log", b.add("Div", inside, b.add("Sub", b.constant(1), inside)))


def modnet(path: Path) -> Path:
    """Write a stand-in for MODNet: any size, alpha = brightness."""
    b = Builder()
    gray = b.conv("input", np.full((1, 3, 1, 1), 0.5 / 3))
    b.add("Add", gray, b.constant(0.5), out="output")
    sides = ["b", "h", "w"]
    return b.save(
        path,
        [value("input", [sides[0], 3, *sides[1:]])],
        [value("output", [sides[0], 1, *sides[1:]])],
    )


def birefnet(path: Path) -> Path:
    """Write a stand-in for BiRefNet: 1024 x 1024, logits."""
    b = Builder()
    gray = b.conv("input_image", np.full((1, 3, 1, 1), 0.226 / 3))
    logit = _logit(b, b.add("Add", gray, b.constant(0.449)))
    b.add("Identity", logit, out="output_image")
    shape = [1, 1, 1024, 1024]
    return b.save(path, [value("input_image", [1, 3, 1024, 1024])], [value("output_image", shape)])


def deeplab(path: Path) -> Path:
    """Write a stand-in for DeepLabV3: NHWC, 21 logits.

    Probabilities: brightness for a person (15); the rest of it three parts cat (8), one dog (12).
    """
    b = Builder()
    mean = b.add("ReduceMean", "sub_7", axes=[3], keepdims=1)
    gray = b.add("Add", b.add("Mul", mean, b.constant(0.5)), b.constant(0.5))
    person = b.add("Clip", gray, b.constant(1e-4), b.constant(1 - 1e-4))
    rest = b.add("Sub", b.constant(1), person)
    none = b.add("Mul", rest, b.constant(1e-6))
    shares = [none] * 21
    shares[15] = person
    shares[8], shares[12] = (b.add("Mul", rest, b.constant(n)) for n in (0.75, 0.25))
    b.add("Log", b.add("Concat", *shares, axis=3), out="ResizeBilinear_3")
    shape = [1, 257, 257, 21]
    return b.save(path, [value("sub_7", [1, 257, 257, 3])], [value("ResizeBilinear_3", shape)])


def deeplab_human(path: Path) -> Path:
    """Write a stand-in for the people-only DeepLabV3+: NCHW, two logits."""
    b = Builder()
    gray = b.conv("input:0", np.full((1, 3, 1, 1), 0.5 / 3))
    person = _logit(b, b.add("Add", gray, b.constant(0.5)))
    b.add("Concat", b.add("Mul", person, b.constant(0)), person, axis=1, out="transpose:0")
    shape = [1, 2, 513, 513]
    return b.save(path, [value("input:0", [1, 3, 513, 513])], [value("transpose:0", shape)])


def plain(path: Path, *, broken: bool = False) -> Path:
    """Write y = 2x over any [n, 3]; ``broken``: loads, but runs for n = 5 alone."""
    b = Builder()
    doubled = b.add("Mul", "x", b.constant(2), out=None if broken else "y")
    if broken:
        b.add("Add", doubled, b.constant(np.ones((5, 3))), out="y")
    return b.save(path, [value("x", ["n", 3])], [value("y", [None, 3])])


STILLS: dict[str, Callable[[Path], Path]] = {
    "u2net": u2net,
    "isnet": isnet,
    "mediapipe": mediapipe,
    "pphumanseg": pphumanseg,
}
