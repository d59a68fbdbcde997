"""Writes a checkpoint as ONNX and checks it: python -m training.export --help.

The graph holds the input normalisation and the final clamp. Inputs src [1,3,H,W] RGB 0..1 and
r1 [1,16,H/4,W/4], r2 [1,24,H/8,W/8], r3 [1,48,H/16,W/16] (zeros at the start); outputs pha
[1,1,H,W] 0..1, r1o, r2o, r3o; H and W any multiples of 16. With --half the weights are stored as
float16 behind Cast nodes, which runtimes fold away when they load: half the file, same speed.
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from training.network import STATE_CHANNELS, STATE_STRIDES, MattingNet, to_alpha

OPSET = 17
PREFIX = "net."  # of the weights' names in the graph, from Exported.net
HALF = "_half"  # at the end of the names of those stored as float16
SMALL = 64  # arrays with fewer values stay float32: nothing to save
Array = npt.NDArray[np.float32]


class Exported(nn.Module):
    """The network with plain tensors as inputs and outputs."""

    def __init__(self, net: MattingNet) -> None:
        super().__init__()
        self.net = folded(net)

    def forward(
        self, src: Tensor, r1: Tensor, r2: Tensor, r3: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        logits, _, state = self.net(src, (r1, r2, r3))
        return (to_alpha(logits), *state)


def folded(net: MattingNet) -> MattingNet:
    """A copy for inference with every batch norm folded into the convolution before it."""
    net = copy.deepcopy(net).float().cpu().eval()
    for _, module in normed(net):
        conv, norm, _ = module
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        module[0] = torch.nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
        module[1] = nn.Identity()
    return net


def normed(net: MattingNet) -> list[tuple[str, nn.Sequential]]:
    """The convolutions with a batch norm behind them, `network.mix`, and their names."""
    return [
        (name, module)
        for name, module in net.named_modules()
        if isinstance(module, nn.Sequential) and isinstance(module[1], nn.BatchNorm2d)
    ]


def restored(path: Path) -> MattingNet:
    """The network of a file that `write` wrote, to train on where it ended.

    Its folded batch norms begin again with a scale of 1: each filter gets the size that training
    gives it, and the variance what brings the folded one back. Those statistics are none of any
    data, so the plan must be past the phases that learn them. The heads that are for training
    only begin at zero, and so disturb nothing.
    """
    net = MattingNet()
    found = {
        i.name.removeprefix(PREFIX).removesuffix(HALF): torch.tensor(
            numpy_helper.to_array(i)
        ).float()
        for i in onnx.load(str(path)).graph.initializer
        if i.name.startswith(PREFIX)
    }
    for name, module in normed(net):
        weight, bias = (found.pop(f"{name}.0.{part}") for part in ("weight", "bias"))
        size = weight.flatten(1).norm(dim=1).clamp(min=1e-6)
        found |= {
            f"{name}.0.weight": weight / size[:, None, None, None],
            f"{name}.1.weight": torch.ones_like(size),
            f"{name}.1.bias": bias,
            f"{name}.1.running_mean": torch.zeros_like(size),
            f"{name}.1.running_var": size**-2 - module[1].eps,
            f"{name}.1.num_batches_tracked": torch.tensor(0),
        }
    found |= {f"coarse.{n}": torch.zeros_like(v) for n, v in net.coarse.state_dict().items()}
    net.load_state_dict(found)
    return net


def load(checkpoint: Path, average: bool = True) -> MattingNet:
    """The averaged (or the raw) weights of a checkpoint."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    net = MattingNet()
    net.load_state_dict(state["average" if average else "net"])
    return net.eval()


def write(net: MattingNet, path: Path, half: bool) -> None:
    """Exports with dynamic H and W."""
    module = Exported(net).eval()
    example = (torch.rand(1, 3, 64, 96), *net.start(1, 64, 96))
    axes = {"src": {2: "height", 3: "width"}, "pha": {2: "height", 3: "width"}}
    for number, stride in enumerate(STATE_STRIDES, 1):
        for name in (f"r{number}", f"r{number}o"):
            axes[name] = {2: f"height_{stride}", 3: f"width_{stride}"}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # The tracing exporter needs no further package and makes the plainer graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            example,
            str(path),
            input_names=["src", "r1", "r2", "r3"],
            output_names=["pha", "r1o", "r2o", "r3o"],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(str(path))
    if half:
        store_half(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def store_half(model: onnx.ModelProto) -> None:
    """Keeps float32 arithmetic but stores large weights as float16, each behind a Cast."""
    casts, kept = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALL:
            kept.append(tensor)
            continue
        name = tensor.name + HALF
        kept.append(numpy_helper.from_array(values.astype(np.float16), name))
        casts.append(helper.make_node("Cast", [name], [tensor.name], to=TensorProto.FLOAT))
    nodes = casts + list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)


def session(path: Path, threads: int = 0) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def start(height: int, width: int) -> dict[str, Array]:
    """Empty state, as inputs of the graph."""
    return {
        f"r{n}": np.zeros((1, c, height // s, width // s), np.float32)
        for n, (c, s) in enumerate(zip(STATE_CHANNELS, STATE_STRIDES, strict=True), 1)
    }


def step(graph: Any, src: Array, state: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    """One frame through onnxruntime: alpha [1,1,H,W] and the next state."""
    pha, *rest = graph.run(["pha", "r1o", "r2o", "r3o"], {"src": src, **state})
    return pha, {f"r{n}": value for n, value in enumerate(rest, 1)}


def parity(net: MattingNet, graph: Any, height: int, width: int, frames: int = 4) -> float:
    """Largest difference of alpha between torch and onnxruntime over a few noisy frames."""
    rng = np.random.default_rng(0)
    smooth = rng.random((1, 3, height // 16, width // 16)).repeat(16, 2).repeat(16, 3)
    state, ours = start(height, width), net.start(1, height, width)
    worst = 0.0
    for _ in range(frames):
        noisy = smooth + 0.05 * rng.standard_normal((1, 3, height, width))
        src = np.clip(noisy, 0, 1).astype(np.float32)
        pha, state = step(graph, src, state)
        with torch.no_grad():
            logits, _, ours = net(torch.from_numpy(src), ours)
        worst = max(worst, float(np.abs(to_alpha(logits).numpy() - pha).max()))
    return worst


def milliseconds(graph: Any, height: int, width: int, frames: int = 30) -> float:
    """Fastest of `frames` runs, because others may use the same cores."""
    state = start(height, width)
    src = np.random.default_rng(0).random((1, 3, height, width)).astype(np.float32)
    best = float("inf")
    for _ in range(frames):
        begin = time.perf_counter()
        _, state = step(graph, src, state)
        best = min(best, time.perf_counter() - begin)
    return best * 1e3


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Writes a checkpoint as ONNX and checks it.")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the .onnx to write")
    parser.add_argument("--half", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--raw", action="store_true", help="not the averaged weights")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)
    net = load(options.checkpoint, average=not options.raw)
    write(net, options.out, options.half)
    graph = session(options.out, options.threads)
    difference = parity(net, graph, 144, 256)
    size = options.out.stat().st_size / 2**20
    print(f"{options.out}: {size:.2f} MiB, alpha differs from torch by at most {difference:.2e}")
    if difference > (0.05 if options.half else 1e-3):
        raise SystemExit("the exported graph does not do what the network does")
    for height, width in ((144, 256), (224, 384), (288, 512)):
        print(f"{width}x{height}: {milliseconds(graph, height, width):.1f} ms per frame")


if __name__ == "__main__":
    main()
