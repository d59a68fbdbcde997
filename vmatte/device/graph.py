"""One graph from planes to planes: scaling, colours, network, refinement, foreground and blending.

It does what vmatte.frames, vmatte.refine, vmatte.decontaminate and vmatte.composite do, whose
formulas these are, but densely: a GPU has no use for skipped tiles. All sizes are fixed, and every
operation is one that each provider has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from vmatte.decontaminate import RADII, SIDE
from vmatte.frames import Scaling, StreamInfo
from vmatte.refine import RefineOptions

Size = tuple[int, int]
"""(width, height)."""

PLANES = ("y", "u", "v")

MEAN = "mean_alpha"
"""The network's own, for the host to see that it is a number."""


@dataclass(frozen=True)
class Network:
    """A recurrent network as a graph.

    picture: its input, [1, 3, h, w] RGB in 0..1, sides multiples of ``stride``. alpha: the output
    that holds alpha as its last channel, [1, C, h, w]. states: names of inputs and of the outputs
    that are fed to them with the next frame. fixed: what its other inputs are fed.
    """

    model: onnx.ModelProto
    picture: str
    alpha: str
    states: tuple[tuple[str, str], ...]
    stride: int = 1
    fixed: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def composed(
    network: Network, info: StreamInfo, working: Size, options: RefineOptions, scaling: Scaling
) -> onnx.ModelProto:
    """Return ``network`` with all that stands before and behind it, for frames of ``info``.

    Inputs: y, u, v and the background's behind_y, behind_u, behind_v, [1, 1, H, W] in the frame's
    type, and the states; outputs: out_y, out_u, out_v, and the next states. working: the size at
    which the network runs, before its sides are padded.
    """
    g = _Graph(network.model, working)
    format = info.format
    top = float((1 << format.depth) - 1)
    sizes = [
        (-(-info.width >> sx), -(-info.height >> sy))
        for sx, sy in (format.shift(i) for i in range(3))
    ]
    planes = [g.op("Cast", name, to=TensorProto.FLOAT) for name in PLANES]
    small = [g.shrunk(p, s, working, scaling) for p, s in zip(planes, sizes, strict=True)]
    picture = g.op("Concat", *small, axis=1)
    alpha = g.through(network, _rgb(g, picture, info))
    g.op("GlobalAveragePool", alpha, out=MEAN)
    low, high = options.levels
    alpha = g.clip(g.mul(g.sub(alpha, g.const(low)), g.const(1 / (high - low))), 0, 1)
    if options.method == "off":
        full = g.resized(alpha, info.size)
    else:
        full = _along(g, planes[0], small[0], alpha, info, options, top)
    residual = None
    if options.decontaminate:
        residual = g.sub(_foreground(g, picture, alpha, working, top), picture)
    for index, (plane, size) in enumerate(zip(planes, sizes, strict=True)):
        share = g.halved(full, format.shift(index))
        if residual is not None:
            # It fades to the plane's own colour, see vmatte.composite.blend.own_colours.
            fade = g.mul(g.clip(g.sub(g.const(1), share), 0, 1 / 8), g.const(8))
            plane = g.add(plane, g.mul(fade, g.resized(g.channel(residual, index), size)))
        behind = g.op("Cast", f"behind_{PLANES[index]}", to=TensorProto.FLOAT)
        blended = g.add(behind, g.mul(share, g.sub(plane, behind)))
        codes = g.clip(g.op("Round", blended), 0, top)
        g.op("Cast", codes, to=_type(info), out=f"out_{PLANES[index]}")
    return g.finished(network, info, sizes)


def _type(info: StreamInfo) -> int:
    return int(TensorProto.UINT8 if info.format.depth == 8 else TensorProto.UINT16)


def _rgb(g: "_Graph", picture: str, info: StreamInfo) -> str:
    """Return the picture in RGB, 0..1."""
    colour = info.colour.resolved(info.width, info.height, rgb=False)
    matrix = colour.rgb_to_yuv(info.format.depth).astype(np.float64)
    back = np.linalg.inv(matrix[:, :3])
    weights = g.const(back[:, :, None, None])
    return g.clip(g.op("Conv", picture, weights, g.const(-back @ matrix[:, 3])), 0, 1)


def _along(
    g: "_Graph",
    plane: str,
    guide: str,
    alpha: str,
    info: StreamInfo,
    options: RefineOptions,
    top: float,
) -> str:
    """Return alpha at full size, along the edges of luma, see vmatte.refine."""
    scale = max(1.0, info.width / g.width)
    r, share = options.radius, g.const(1 / scale**2)
    mean_guide, mean_alpha = g.mean(guide, r), g.mean(alpha, r)
    covariance = g.sub(g.mean(g.mul(guide, alpha), r), g.mul(mean_guide, mean_alpha))
    variance = g.sub(g.mean(g.mul(guide, guide), r), g.mul(mean_guide, mean_guide))
    a = g.op("Div", covariance, g.add(variance, g.const(options.epsilon * scale * top**2)))
    kernel = cv2.getGaussianKernel(3, 0.6)
    a = g.op("Conv", g.padded(a, (1, 1, 1, 1)), g.const((kernel @ kernel.T)[None, None]))
    own = g.add(alpha, g.mul(share, g.sub(mean_alpha, alpha)))
    b = g.sub(own, g.mul(a, g.add(guide, g.mul(share, g.sub(mean_guide, guide)))))
    most = g.most(alpha)
    least = g.op("Neg", g.most(g.op("Neg", alpha)))
    maps = g.resized(g.op("Concat", a, b, least, most, axis=1), info.size, 4)
    a, b, least, most = (g.channel(maps, n) for n in range(4))
    return g.op("Min", g.op("Max", g.add(g.mul(a, plane), b), least), most)


def _foreground(g: "_Graph", picture: str, alpha: str, working: Size, top: float) -> str:
    """Return the foreground's colour at the working size, see vmatte.decontaminate."""

    def spread(near: str, far: str, radius: int) -> tuple[str, str]:
        share = g.mean(opacity, radius)
        near = g.mean(g.mul(near, opacity), radius)
        far = g.mean(g.sub(far, g.mul(far, opacity)), radius)
        rest = g.sub(g.const(1 + 1e-5), share)
        return g.op("Div", near, g.add(share, g.const(1e-5))), g.op("Div", far, rest)

    def correct(image: str, near: str, far: str, opacity: str) -> str:
        unexplained = g.sub(g.sub(image, g.mul(g.sub(near, far), opacity)), far)
        return g.clip(g.add(g.mul(unexplained, opacity), near), 0, top)

    small, opacity, (w, h) = picture, alpha, working
    while max(w, h) > SIDE:
        w, h = -(-w // 2), -(-h // 2)
        small, opacity = g.resized(small, (w, h), 3), g.resized(opacity, (w, h))
    first, second = (max(1, round(r * max(w, h))) for r in RADII)
    near, far = spread(small, small, first)
    near, far = spread(correct(small, near, far, opacity), far, second)
    near, far = g.resized(near, working, 3), g.resized(far, working, 3)
    return correct(picture, near, far, alpha)


def weights(many: int, few: int, scaling: Scaling) -> NDArray[np.float64]:
    """Return [few, many]: what each sample of a line takes from those of the line it stands for."""
    step = many / few
    centres = (np.arange(few)[:, None] + 0.5) * step - 0.5
    away = np.abs(np.arange(many)[None] - centres)
    if step < 1:
        weights = np.clip(1 - away, 0, 1)
    elif scaling == "area":
        weights = np.clip(step / 2 + 0.5 - away, 0, 1)
    else:
        # Keys' cubic with a = -0.6, as swscale's, widened to the step.
        x, a = away / step, -0.6
        inner = ((a + 2) * x - (a + 3)) * x**2 + 1
        outer = a * (((x - 5) * x + 8) * x - 4)
        weights = np.where(x <= 1, inner, np.where(x < 2, outer, 0))
    scaled: NDArray[np.float64] = weights / weights.sum(1, keepdims=True)
    return scaled


class _Graph:
    """Collects nodes and constants, beside those of the network."""

    def __init__(self, model: onnx.ModelProto, working: Size) -> None:
        self.width, self.height = working
        self._opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self._model = model
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"vmatte_c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"vmatte_t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [*inputs], [name], **attributes))
        return name

    def add(self, a: str, b: str) -> str:
        return self.op("Add", a, b)

    def sub(self, a: str, b: str) -> str:
        return self.op("Sub", a, b)

    def mul(self, a: str, b: str) -> str:
        return self.op("Mul", a, b)

    def clip(self, x: str, low: float, high: float) -> str:
        return self.op("Clip", x, self.const(low), self.const(high))

    def channel(self, x: str, index: int) -> str:
        ends = [np.array([n], np.int64) for n in (index, index + 1, 1)]
        return self.op("Slice", x, *(self.const(n, np.int64) for n in ends))

    def padded(self, x: str, sides: tuple[int, int, int, int]) -> str:
        """Repeat the border; sides: left, top, right, bottom."""
        left, above, right, below = sides
        pads = np.array([0, 0, above, left, 0, 0, below, right])
        return self.op("Pad", x, self.const(pads, np.int64), mode="edge")

    def mean(self, x: str, radius: int) -> str:
        side = 2 * radius + 1
        padded = self.padded(x, (radius,) * 4)
        return self.op("AveragePool", padded, kernel_shape=[side, side], strides=[1, 1])

    def most(self, x: str) -> str:
        return self.op("MaxPool", x, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])

    def halved(self, x: str, shift: tuple[int, int]) -> str:
        """Return means over the samples of a subsampled plane."""
        kernel = [1 << shift[1], 1 << shift[0]]
        if kernel == [1, 1]:
            return x
        return self.op("AveragePool", x, kernel_shape=kernel, strides=kernel)

    def resized(self, x: str, size: Size, channels: int = 1) -> str:
        """Resize linearly; pixel centres correspond, as in cv2.resize."""
        sizes = self.const([1, channels, size[1], size[0]], np.int64)
        nothing = "" if self._opset >= 13 else self.const(np.zeros(0))
        modes = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        return self.op("Resize", x, nothing, nothing, sizes, **modes)

    def shrunk(self, x: str, size: Size, working: Size, scaling: Scaling) -> str:
        """Resize by two matrix products: exact weights, in every provider."""
        rows = self.const(weights(size[1], working[1], scaling))
        columns = self.const(weights(size[0], working[0], scaling).T)
        return self.op("MatMul", rows, self.op("MatMul", x, columns))

    def through(self, network: Network, rgb: str) -> str:
        """Add the network after ``rgb``; return its alpha."""
        below, right = -self.height % network.stride, -self.width % network.stride
        element = next(
            i.type.tensor_type.elem_type
            for i in network.model.graph.input
            if i.name == network.picture
        )
        renamed = {name: self.const(v, v.dtype) for name, v in network.fixed.items()}
        renamed[network.picture] = self.op(
            "Cast", self.padded(rgb, (0, 0, right, below)), to=element
        )
        for node in network.model.graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.input[:] = [renamed.get(name, name) for name in node.input]
            self.nodes.append(copy)
        alpha = self.op("Cast", network.alpha, to=TensorProto.FLOAT)
        # Of [alpha] or [red, green, blue, alpha] the last; without what was padded.
        begin, end = [-1, 0, 0], [2**31 - 1, self.height, self.width]
        axes = self.const([1, 2, 3], np.int64)
        return self.op("Slice", alpha, self.const(begin, np.int64), self.const(end, np.int64), axes)

    def finished(self, network: Network, info: StreamInfo, sizes: list[Size]) -> onnx.ModelProto:
        """Return the graph with its inputs and outputs."""
        states = {name for pair in network.states for name in pair}
        inputs = [i for i in self._model.graph.input if i.name in states]
        outputs = [o for o in self._model.graph.output if o.name in states]
        element = _type(info)
        for name, (w, h) in zip(PLANES, sizes, strict=True):
            for prefix, values in (("", inputs), ("behind_", inputs), ("out_", outputs)):
                values.append(helper.make_tensor_value_info(prefix + name, element, [1, 1, h, w]))
        outputs.append(helper.make_tensor_value_info(MEAN, TensorProto.FLOAT, [1, 1, 1, 1]))
        constants = [*self._model.graph.initializer, *self.constants]
        graph = helper.make_graph(self.nodes, "vmatte", inputs, outputs, constants)
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        model.graph.CopyFrom(graph)
        return model
