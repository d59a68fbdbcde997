"""Models that look at one frame at a time, at a fixed size: one class, told apart by numbers.

U²-Net and its kin, ISNet, MediaPipe selfie and PP-HumanSeg share everything but size, layout,
normalisation and the channel that holds the person. Figures: each model's own published code, as
gathered in models/registry.toml.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.errors import InferenceError
from vmatte.matting.base import Engine, Matte
from vmatte.runtimes import RuntimeOptions, load_runtime

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, slots=True, kw_only=True)
class StillSpec:
    """The signature of a per-frame network.

    size: (width, height) of the input, fixed. mean, std: of RGB in 0..1. layout: of the input.
    channel: which channel of the first output is alpha. softmax: whether the channels are logits.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    layout: Literal["nchw", "nhwc"] = "nchw"
    channel: int = 0
    softmax: bool = False


class StillMatter:
    """A per-frame network behind the Matter seam; its state is always None."""

    def __init__(self, name: str, path: Path, options: RuntimeOptions, spec: StillSpec) -> None:
        """Load the graph at ``path``."""
        self._spec = spec
        self._runtime = load_runtime(path, options)
        self._input, self._type = next(iter(self._runtime.inputs.items()))
        # One multiplication and one addition: (x / 255 - mean) / std.
        self._gain = (*(1 / (255 * s) for s in spec.std), 0.0)
        self._bias = (*(-m / s for m, s in zip(spec.mean, spec.std, strict=True)), 0.0)
        self.engine = Engine(
            model=name,
            runtime=self._runtime.name,
            provider=self._runtime.provider,
            precision=self._runtime.precision,
        )

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the network's own size: these networks were trained on squeezed pictures."""
        return self._spec.size

    def start(self, width: int, height: int) -> None:
        """Return None: there is no state."""
        return None

    def step(self, rgb: NDArray[np.uint8], state: None) -> tuple[Matte, None]:
        """Matte one picture, see Matter."""
        # Divided by 255 and not by the picture's own maximum, nor is the matte stretched to 0..1
        # afterwards: both would make video flicker and turn an empty frame into noise.
        spec = self._spec
        x = cv2.add(cv2.multiply(rgb, self._gain, dtype=cv2.CV_32F), self._bias)
        tensor = x[None] if spec.layout == "nhwc" else x.transpose(2, 0, 1)[None]
        out = self._runtime.run({self._input: np.ascontiguousarray(tensor, self._type)})
        maps = out[self._runtime.outputs[0]][0].astype(np.float32)
        if spec.layout == "nhwc" and maps.ndim == 3:
            maps = maps.transpose(2, 0, 1)
        if maps.ndim == 2:
            maps = maps[None]
        if maps.shape[1:] != rgb.shape[:2]:
            raise InferenceError(
                f"{self.engine.model} gave a map of {maps.shape} for a picture of {rgb.shape}; "
                "the file does not fit its family"
            )
        if spec.softmax:
            maps = np.exp(maps - maps.max(0))
            maps /= maps.sum(0)
        return Matte(np.ascontiguousarray(np.clip(maps[spec.channel], 0, 1))), None

    def close(self) -> None:
        """Free the network."""
        self._runtime.close()
