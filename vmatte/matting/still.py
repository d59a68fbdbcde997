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

from vmatte.errors import InferenceError, ModelError
from vmatte.matting.base import Engine, Matte, alpha_of
from vmatte.runtimes import RuntimeOptions, load_runtime


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

    def __post_init__(self) -> None:
        """Raise ModelError on figures that no network can have."""
        for what, value, good in (
            ("size", self.size, _numbers(self.size, 2) and min(self.size) >= 1),
            ("mean", self.mean, _numbers(self.mean, 3)),
            ("std", self.std, _numbers(self.std, 3) and min(self.std) > 0),
            ("layout", self.layout, self.layout in ("nchw", "nhwc")),
            ("channel", self.channel, isinstance(self.channel, int) and self.channel >= 0),
            ("softmax", self.softmax, isinstance(self.softmax, bool)),
        ):
            if not good:
                raise ModelError(f"the model's record says {what} = {value!r}; correct it")


def _numbers(value: object, count: int) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == count
        and all(isinstance(v, int | float) for v in value)
    )


class StillMatter:
    """A per-frame network behind the Matter seam; its state is always None."""

    def __init__(self, name: str, path: Path, options: RuntimeOptions, spec: StillSpec) -> None:
        """Load the graph at ``path``."""
        self._spec = spec
        self._runtime = load_runtime(path, options)
        (w, h), inputs = spec.size, self._runtime.inputs
        wanted = (1, h, w, 3) if spec.layout == "nhwc" else (1, 3, h, w)
        self._input, first = next(iter(inputs.items()))
        fits = len(first.shape) == 4 and all(
            n in (None, m) for n, m in zip(first.shape, wanted, strict=True)
        )
        if len(inputs) != 1 or not fits:
            self._runtime.close()
            got = ", ".join(f"{n} {_sides(i.shape)}" for n, i in inputs.items())
            raise ModelError(
                f"{path}: takes {got}, but {name} is to take one picture {_sides(wanted)}; "
                "give the family that the file belongs to, or its size"
            )
        self._type = first.dtype
        # One multiplication and one addition: (x / 255 - mean) / std.
        self._gain = (*(1 / (255 * s) for s in spec.std), 0.0)
        self._bias = (*(-m / s for m, s in zip(spec.mean, spec.std, strict=True)), 0.0)
        self.engine = Engine.of(name, self._runtime)

    def working_size(self, width: int, height: int, share: float = 1.0) -> tuple[int, int]:
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
        if maps.shape[1:] != rgb.shape[:2] or len(maps) <= spec.channel:
            raise InferenceError(
                f"{self.engine.model} gave a map of {maps.shape} for a picture of {rgb.shape}; "
                "the file does not fit its family"
            )
        if spec.softmax:
            maps = np.exp(maps - maps.max(0))
            maps /= maps.sum(0)
        return Matte(alpha_of(maps[spec.channel], self.engine.model)), None

    def close(self) -> None:
        """Free the network."""
        self._runtime.close()


def _sides(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if n is None else str(n) for n in shape)
