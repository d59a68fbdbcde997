"""Our own network: a small encoder, three ConvGRUs, a decoder (training/network.py). Recurrent.

Matte only: the foreground's colour is estimated outside (vmatte.decontaminate). Takes any aspect;
sides are padded here to the multiples of 16 that the graph wants.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.errors import InferenceError, ModelError
from vmatte.matting.base import Engine, Matte, alpha_of, scaled_size, to_nchw
from vmatte.runtimes import RuntimeOptions, Tensor, load_runtime

if TYPE_CHECKING:
    from vmatte.device.graph import Network

ConvGruState = tuple[Tensor, ...]
"""The recurrent maps r1, r2, r3, at 1/4, 1/8 and 1/16 of the padded working size."""

_STRIDES = (4, 8, 16)


class ConvGruMatter:
    """The network behind the Matter seam; S is ConvGruState."""

    def __init__(
        self,
        name: str,
        path: Path,
        options: RuntimeOptions,
        longest: int,
        ratio: float | None = None,
    ) -> None:
        """Load the graph at ``path``.

        longest: of the working size's sides, in pixels, where the frame is larger; ``ratio`` (of
        working size to frame size) overrides it. Raises ModelError where the file is not such a
        graph.
        """
        self._longest, self._ratio, self._path = longest, ratio, path
        self._runtime = load_runtime(path, options)
        inputs = self._runtime.inputs
        if tuple(inputs) != ("src", "r1", "r2", "r3"):
            self._runtime.close()
            raise ModelError(
                f"{path}: takes {', '.join(inputs)}, but {name} is to take src, r1, r2, r3; give "
                "the family that the file belongs to"
            )
        self._channels = tuple(inputs[r].shape[1] or 0 for r in ("r1", "r2", "r3"))
        self._type = inputs["src"].dtype
        self.engine = Engine.of(name, self._runtime, "area")

    def working_size(self, width: int, height: int, share: float = 1.0) -> tuple[int, int]:
        """Return the frame's size, its longer side brought down to ``longest``, times ``share``."""
        ratio = (self._ratio or min(self._longest / max(width, height), 1.0)) * share
        return scaled_size(width, height, ratio)

    def start(self, width: int, height: int) -> ConvGruState:
        """Return the empty state."""
        w, h = width + -width % 16, height + -height % 16
        return tuple(
            np.zeros((1, c, h // s, w // s), self._type)
            for c, s in zip(self._channels, _STRIDES, strict=True)
        )

    def step(self, rgb: NDArray[np.uint8], state: ConvGruState) -> tuple[Matte, ConvGruState]:
        """Matte one picture, see Matter."""
        h, w = rgb.shape[:2]
        padded = cv2.copyMakeBorder(rgb, 0, -h % 16, 0, -w % 16, cv2.BORDER_REPLICATE)
        feeds = {"src": to_nchw(np.asarray(padded, np.uint8), self._type)}
        feeds.update({f"r{k}": r for k, r in enumerate(state, 1)})
        out = self._runtime.run(feeds)
        alpha = out["pha"]
        if alpha.shape != (1, 1, *padded.shape[:2]):
            raise InferenceError(
                f"{self.engine.model} gave a matte of {alpha.shape} for a picture of {rgb.shape}; "
                "the file does not fit its family"
            )
        own = alpha[0, 0, :h, :w].astype(np.float32)
        return Matte(alpha_of(own, self.engine.model)), tuple(out[f"r{k}o"] for k in (1, 2, 3))

    def network(self) -> "Network":
        """Return the network, to be part of a larger graph."""
        import onnx

        from vmatte.device.graph import Network

        states = tuple((f"r{k}", f"r{k}o") for k in (1, 2, 3))
        return Network(onnx.load(str(self._path)), "src", "pha", states, stride=16)

    def close(self) -> None:
        """Free the network."""
        self._runtime.close()
