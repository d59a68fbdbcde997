"""Models that look at one frame at a time: one class, told apart by numbers.

U²-Net and its kin, ISNet, RMBG, BiRefNet, MODNet, DeepLab, MediaPipe selfie and PP-HumanSeg share
everything but size, layout, normalisation and what their channels mean. Figures: each model's own
published code, as gathered in models/registry.toml.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.errors import InferenceError, ModelError
from vmatte.frames import Scaling
from vmatte.matting.base import Engine, Matte, Matter, alpha_of
from vmatte.runtimes import RuntimeOptions, load_runtime

SizeRule = Callable[[int, int, float], tuple[int, int]]
"""As Matter.working_size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StillSpec:
    """The signature of a per-frame network.

    size: (width, height) of the input, None where the graph says it or any will do. keep_aspect:
    pictures keep their shape and fit into ``size``, where the graph computes its own sizes; else
    they are squeezed to it. mean, std: of RGB in 0..1. layout: of the input. channel: which channel
    of the first output is alpha; of several, alpha is the sum. activation: what turns the output
    into 0..1. classes: what each channel stands for, where they have names. stretch: the matte of a
    picture on its own is stretched to 0..1, see ``stretched``. scaling: of video, see Engine.
    """

    size: tuple[int, int] | None = None
    keep_aspect: bool = False
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    layout: Literal["nchw", "nhwc"] = "nchw"
    channel: int | tuple[int, ...] = 0
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    classes: tuple[str, ...] = ()
    stretch: bool = False
    scaling: Scaling = "bicubic"

    def __post_init__(self) -> None:
        """Raise ModelError on figures that no network can have."""
        size, channels = self.size, self.channels
        for what, value, good in (
            ("size", size, size is None or (_numbers(size, 2, int) and min(size) >= 1)),
            ("mean", self.mean, _numbers(self.mean, 3)),
            ("std", self.std, _numbers(self.std, 3) and min(self.std) > 0),
            ("layout", self.layout, self.layout in ("nchw", "nhwc")),
            (
                "channel",
                self.channel,
                _numbers(channels, len(channels), int) and min(channels, default=-1) >= 0,
            ),
            ("activation", self.activation, self.activation in ("none", "sigmoid", "softmax")),
            ("scaling", self.scaling, self.scaling in get_args(Scaling)),
            ("classes", self.classes, all(isinstance(c, str) for c in self.classes)),
            ("stretch", self.stretch, isinstance(self.stretch, bool)),
            (
                "keep_aspect",
                self.keep_aspect,
                isinstance(self.keep_aspect, bool) and (size is not None or not self.keep_aspect),
            ),
        ):
            if not good:
                raise ModelError(f"the model's record says {what} = {value!r}; correct it")

    @property
    def channels(self) -> tuple[int, ...]:
        """The channels whose sum is alpha."""
        return self.channel if isinstance(self.channel, tuple) else (self.channel,)


def _numbers(value: object, count: int, kind: type = object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == count
        and all(isinstance(v, int | float) and isinstance(v, kind) for v in value)
    )


class StillMatter:
    """A per-frame network behind the Matter seam; its state is always None."""

    def __init__(
        self,
        name: str,
        path: Path,
        options: RuntimeOptions,
        spec: StillSpec,
        rule: SizeRule | None = None,
    ) -> None:
        """Load the graph at ``path``; ``rule``: of its size, where the graph takes any."""
        self._spec, self._rule = spec, rule
        freed = _of_any_size(path, spec.size) if spec.keep_aspect and spec.size else None
        if freed is not None and spec.size:
            self._rule = rule = partial(size_inside, spec.size)
        self._runtime = load_runtime(path if freed is None else freed, options)
        inputs = self._runtime.inputs
        self._input, first = next(iter(inputs.items()))
        shape = first.shape
        sides = shape[1:3] if spec.layout == "nhwc" else shape[2:4]
        w, h = spec.size or (sides[1] if len(sides) == 2 else None, sides[0] if sides else None)
        wanted = (1, h, w, 3) if spec.layout == "nhwc" else (1, 3, h, w)
        fits = len(shape) == 4 and all(
            None in (n, m) or n == m for n, m in zip(shape, wanted, strict=True)
        )
        if len(inputs) != 1 or not fits:
            self._runtime.close()
            got = ", ".join(f"{n} {_sides(i.shape)}" for n, i in inputs.items())
            raise ModelError(
                f"{path}: takes {got}, but {name} is to take one picture {_sides(wanted)}; "
                "give the family that the file belongs to, or its size"
            )
        self._size = None if w is None or h is None or freed is not None else (w, h)
        if self._size is None and rule is None:
            self._runtime.close()
            raise ModelError(
                f"{path}: takes a picture {_sides(shape)}, of any size; say which one it was "
                "trained at, with: vmatte models import --size WxH"
            )
        self._type = first.dtype
        # One multiplication and one addition: (x / 255 - mean) / std.
        self._gain = (*(1 / (255 * s) for s in spec.std), 0.0)
        self._bias = (*(-m / s for m, s in zip(spec.mean, spec.std, strict=True)), 0.0)
        self.engine = Engine.of(name, self._runtime, spec.scaling)

    def working_size(self, width: int, height: int, share: float = 1.0) -> tuple[int, int]:
        """Return the network's own size, to which pictures are squeezed, or that of its rule."""
        if self._size is not None:
            return self._size
        assert self._rule is not None
        return self._rule(width, height, share)

    def start(self, width: int, height: int) -> None:
        """Return None: there is no state."""
        return None

    def step(self, rgb: NDArray[np.uint8], state: None) -> tuple[Matte, None]:
        """Matte one picture, see Matter."""
        # Divided by 255 and not by the picture's own maximum, nor is the matte of a video's frame
        # stretched to 0..1: both would make it flicker and turn an empty frame into noise.
        spec = self._spec
        x = cv2.add(cv2.multiply(rgb, self._gain, dtype=cv2.CV_32F), self._bias)
        tensor = x[None] if spec.layout == "nhwc" else x.transpose(2, 0, 1)[None]
        out = self._runtime.run({self._input: np.ascontiguousarray(tensor, self._type)})
        maps = out[self._runtime.outputs[0]][0].astype(np.float32)
        if spec.layout == "nhwc" and maps.ndim == 3:
            maps = maps.transpose(2, 0, 1)
        if maps.ndim == 2:
            maps = maps[None]
        if maps.shape[1:] != rgb.shape[:2] or len(maps) <= max(spec.channels):
            raise InferenceError(
                f"{self.engine.model} gave a map of {maps.shape} for a picture of {rgb.shape}; "
                "the file does not fit its family"
            )
        return Matte(alpha_of(self._alpha(maps), self.engine.model)), None

    def _alpha(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        channels = list(self._spec.channels)
        if self._spec.activation == "softmax":
            maps = np.exp(maps - maps.max(0))
            total: NDArray[np.float32] = maps[channels].sum(0) / maps.sum(0)
            return total
        values = maps[channels]
        if self._spec.activation == "sigmoid":
            # As tanh: exp(-x) overflows for logits far below 0.
            values = 0.5 * (1 + np.tanh(0.5 * values))
        summed: NDArray[np.float32] = values.sum(0)
        return summed

    def for_still(self) -> Matter[None]:
        """Return what mattes a picture on its own, see vmatte.matting.for_still."""
        return StretchedMatter(self) if self._spec.stretch else self

    def close(self) -> None:
        """Free the network."""
        self._runtime.close()


_STRIDE = 32
"""Sides are multiples of it: U²-Net halves its picture five times."""


def size_inside(
    box: tuple[int, int], width: int, height: int, share: float = 1.0
) -> tuple[int, int]:
    """Return the working size of a picture that keeps its shape and fits into ``box``.

    Sides are the nearest multiples of 32. For U²-Net that is better than the squeezing to a square
    of its own code, and less work (docs/speed.md).
    """
    scale = share * min(box[0] / width, box[1] / height)
    w, h = (max(_STRIDE, round(side * scale / _STRIDE) * _STRIDE) for side in (width, height))
    return w, h


def _of_any_size(path: Path, size: tuple[int, int]) -> bytes | None:
    """Return the graph at ``path``, for pictures of any size; None where it takes one only."""
    import onnx

    from vmatte.matting.graph import free_size

    try:
        model = onnx.load(str(path))
        shape = model.graph.input[0].type.tensor_type.shape.dim
        sides = [side.dim_value for side in shape][2:]
    except Exception:  # of the parser, of many kinds; the runtime tells what is wrong
        return None
    fits = len(sides) == 2 and all(n in (0, m) for n, m in zip(sides[::-1], size, strict=True))
    return model.SerializeToString() if fits and free_size(model) else None


_FOUND = 0.2
"""A matte that is nowhere above it shows nothing, and one nowhere as far below 1 nothing but the
subject: stretched, either would be noise. Ours."""


def stretched(alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``alpha`` stretched to 0..1, as U²-Net's own code does (normPRED); see _FOUND."""
    low, high = float(alpha.min()), float(alpha.max())
    if high < _FOUND or low > 1 - _FOUND:
        return alpha
    wide: NDArray[np.float32] = (alpha - np.float32(low)) * np.float32(1 / (high - low))
    return np.clip(wide, 0, 1, out=wide)


class StretchedMatter:
    """A per-frame network, each matte of it stretched to 0..1: for pictures. See Matter."""

    def __init__(self, inner: StillMatter) -> None:
        """Wrap ``inner``, and close it when closed."""
        self._inner = inner
        self.engine = inner.engine
        self.working_size, self.start, self.close = inner.working_size, inner.start, inner.close

    def step(self, rgb: NDArray[np.uint8], state: None) -> tuple[Matte, None]:
        """Matte one picture, see Matter."""
        matte, _ = self._inner.step(rgb, state)
        return replace(matte, alpha=stretched(matte.alpha)), None


def _sides(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if n is None else str(n) for n in shape)
