"""Runs the composed graph: states and still backgrounds stay on the device."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vmatte.composite import Composite, Compositor
from vmatte.composite.background import BlurBackground
from vmatte.device.graph import MEAN, PLANES, Network, composed
from vmatte.errors import InferenceError
from vmatte.frames import Frame, Pictures, StreamInfo, plane_views
from vmatte.matting import Engine, Matter
from vmatte.pixels import Plane
from vmatte.refine import RefineOptions
from vmatte.runtimes import RuntimeOptions

DEVICES = {"cpu": "cpu", "cuda": "cuda", "tensorrt": "cuda"}
"""Where a provider of onnxruntime keeps its tensors."""


def obstacle(
    matter: Matter[Any],
    info: StreamInfo,
    options: RefineOptions,
    compositors: Sequence[Compositor],
) -> str | None:
    """Return why frames of ``info`` cannot be composed on the device; None where they can."""
    format, engine = info.format, matter.engine
    grid = 1 << format.shift_x, 1 << format.shift_y
    for wrong, words in (
        (engine.runtime != "onnxruntime", f"the network runs in {engine.runtime}"),
        (engine.provider not in DEVICES, f"the provider is {engine.provider}"),
        (not hasattr(matter, "network"), f"{engine.model} is not run by itself, or not recurrent"),
        (
            format.rgb or format.planes != 3,
            f"the pixel format is {format.name}, not luma and chroma without alpha",
        ),
        (info.width % grid[0] or info.height % grid[1], "chroma does not divide the frame's sides"),
        (info.colour.hdr, "the video is HDR"),
        (info.still, "the input is one picture"),
        (len(compositors) != 1, "there is more than one output"),
        (
            not all(
                isinstance(c, Composite) and not isinstance(c.background, BlurBackground)
                for c in compositors
            ),
            "only a subject over a colour, a picture or a video is composed there",
        ),
        (
            options.method == "closed-form" or options.threshold is not None or options.key,
            "closed-form, a threshold and a chroma key are worked out on the processor",
        ),
        (options.grow or options.feather, "edges are grown and feathered on the processor"),
    ):
        if wrong:
            return words
    return None


class DeviceComposer:
    """Frames over a background, all in one graph on the device of the network."""

    def __init__(
        self, matter: Any, info: StreamInfo, options: RefineOptions, runtime: RuntimeOptions
    ) -> None:
        """Load the graph of ``matter`` for frames of ``info``, which have no ``obstacle``.

        runtime: what the matter was loaded with. Raises EngineError, ModelError.
        """
        from vmatte.runtimes.ort import OrtRuntime

        network: Network = matter.network()
        self._engine: Engine = matter.engine
        self._size = matter.working_size(*info.size)
        graph = composed(network, info, self._size, options, self._engine.scaling)
        here = replace(runtime, runtime="onnxruntime", provider=self._engine.provider)
        self._runtime = OrtRuntime(graph.SerializeToString(), here)
        self._device = DEVICES[self._engine.provider]
        self._format = info.format.name
        self._states = network.states
        self._matter = matter
        self._pictures = Pictures()
        self._segment: int | None = None
        self._state: list[Any] = []
        self._behind: tuple[Plane, ...] = ()
        self._behind_there: list[Any] = []

    def compose(self, frame: Frame, behind: tuple[Plane, ...]) -> Frame:
        """Return ``frame`` over the planes ``behind``; frames come in order.

        Raises InferenceError.
        """
        import onnxruntime

        tensor = onnxruntime.OrtValue.ortvalue_from_numpy
        if frame.segment != self._segment:
            self._segment = frame.segment
            self._state = [tensor(r, self._device, 0) for r in self._matter.start(*self._size)]
        if behind is not self._behind:
            # Those of a colour or a picture are always the same, and go up once.
            self._behind = behind
            self._behind_there = [tensor(_four(p), self._device, 0) for p in behind]
        binding = self._runtime.session.io_binding()
        for index, name in enumerate(PLANES):
            binding.bind_cpu_input(name, _four(frame.planes[index]))
            binding.bind_ortvalue_input(f"behind_{name}", self._behind_there[index])
        for (given, _), state in zip(self._states, self._state, strict=True):
            binding.bind_ortvalue_input(given, state)
        for name in (MEAN, *(f"out_{name}" for name in PLANES)):
            binding.bind_output(name, "cpu")
        for _, name in self._states:
            binding.bind_output(name, self._device, 0)
        try:
            self._runtime.session.run_with_iobinding(binding)
            mean, *planes = [v.numpy() for v in binding.get_outputs()[: 1 + len(PLANES)]]
        except Exception as e:
            raise InferenceError(f"onnxruntime ({self._engine.provider}) failed: {e}") from e
        if not np.isfinite(mean).all():
            raise InferenceError(
                f"{self._engine.model} gave values that are no numbers; try --precision fp32"
            )
        self._state = binding.get_outputs()[1 + len(PLANES) :]
        picture = self._pictures.take(frame.width, frame.height, self._format)
        for out, plane in zip(plane_views(picture), planes, strict=True):
            out[...] = plane[0, 0]
        return replace(frame, picture=picture)

    def close(self) -> None:
        """Free the graph and what lies on the device."""
        self._state = self._behind_there = []
        self._runtime.close()


def _four(plane: Plane) -> Plane:
    """Return a plane as [1, 1, H, W], one block of memory."""
    return np.ascontiguousarray(plane)[None, None]
