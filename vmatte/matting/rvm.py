"""Robust Video Matting (Lin et al., arXiv 2108.11515): recurrent, people.

The published graphs downsample, matte at base size, and refine at full size. We cut them at the
base-size tensors and refine outside (vmatte.refine), which works on the native planes and only
where there is an edge. Signature and state: the release page of RobustVideoMatting, v1.0.0.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vmatte.errors import InferenceError, ModelError
from vmatte.matting.base import Engine, Matte, alpha_of, scaled_size, to_nchw
from vmatte.runtimes import RuntimeOptions, Tensor, load_runtime

if TYPE_CHECKING:
    from vmatte.device.graph import Network

RvmState = tuple[Tensor, ...]
"""The four recurrent maps r1..r4, at 1/2, 1/4, 1/8 and 1/16 of the working size (rounded up)."""

_BASE = 512
"""Longer side of the base size: the automatic ratio is min(512 / max(H, W), 1)."""


class RvmMatter:
    """RVM behind the Matter seam; S is RvmState."""

    def __init__(
        self,
        name: str,
        path: Path,
        options: RuntimeOptions,
        state_channels: tuple[int, ...],
        ratio: float | None = None,
    ) -> None:
        """Load and cut the graph at ``path``; ``ratio`` overrides the automatic downsample ratio.

        Raises ModelError where the file is not an RVM graph.
        """
        self._channels = state_channels
        self._path = path
        self._ratio = ratio
        self._runtime = load_runtime(base_size_graph(path), options)
        self._type = self._runtime.inputs["src"].dtype
        self.engine = Engine.of(name, self._runtime)

    def working_size(self, width: int, height: int, share: float = 1.0) -> tuple[int, int]:
        """Return the frame's size times the downsample ratio, times ``share``."""
        ratio = (self._ratio or min(_BASE / max(width, height), 1.0)) * share
        return scaled_size(width, height, ratio)

    def start(self, width: int, height: int) -> RvmState:
        """Return the empty state."""
        return tuple(
            np.zeros((1, c, math.ceil(height / 2**k), math.ceil(width / 2**k)), self._type)
            for k, c in enumerate(self._channels, 1)
        )

    def step(self, rgb: NDArray[np.uint8], state: RvmState) -> tuple[Matte, RvmState]:
        """Matte one picture, see Matter."""
        src = to_nchw(rgb, self._type)
        feeds: dict[str, Tensor] = {"src": src}
        feeds.update({f"r{k}i": r for k, r in enumerate(state, 1)})
        if "downsample_ratio" in self._runtime.inputs:
            feeds["downsample_ratio"] = np.ones(1, np.float32)
        out = self._runtime.run(feeds)
        base = out[self._runtime.outputs[0]][0].astype(np.float32, copy=False)
        if base.shape[1:] != rgb.shape[:2]:
            raise InferenceError(f"RVM gave {base.shape} for a picture of {rgb.shape}")
        alpha = alpha_of(base[3], self.engine.model)
        # Its foreground, base[:3] + src, is left out: blur-fusion errs half as much, 4.7
        # against 10.6 levels (benchmarks.refinement).
        return Matte(alpha), tuple(out[f"r{k}o"] for k in range(1, len(state) + 1))

    def network(self) -> "Network":
        """Return the network, to be part of a larger graph."""
        import onnx

        from vmatte.device.graph import Network

        model = onnx.load_model_from_string(base_size_graph(self._path))
        states = tuple((f"r{k}i", f"r{k}o") for k in range(1, len(self._channels) + 1))
        fixed = {"downsample_ratio": np.ones(1, np.float32)}
        return Network(model, "src", model.graph.output[0].name, states, fixed=fixed)

    def close(self) -> None:
        """Free the network."""
        self._runtime.close()


def base_size_graph(path: Path) -> bytes:
    """Return the RVM graph at ``path`` without its full-size refiner, serialised.

    Its first output has four channels: the foreground residual and alpha, at the working size.
    """
    import onnx

    from vmatte.matting.graph import cut, first_convolution

    try:
        model = onnx.load(str(path))
    except Exception as e:
        raise ModelError(f"{path}: not an ONNX file ({e}); fetch it again") from e
    # The projection to residual and alpha; the deep guided filter behind it has one of that shape
    # too, but later.
    base = first_convolution(model.graph, (4, 16, 1, 1))
    states = ["r1o", "r2o", "r3o", "r4o"]
    if base is None or not set(states) <= {o.name for o in model.graph.output}:
        raise ModelError(f"{path}: not an RVM graph; give the family that it belongs to")
    return bytes(cut(model, [base, *states]).SerializeToString())
