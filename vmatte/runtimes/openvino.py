"""OpenVINO behind the Runtime seam."""

import importlib
import io
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from vmatte.errors import EngineError, InferenceError, ModelError
from vmatte.runtimes.base import RuntimeOptions, Tensor, TensorSpec
from vmatte.runtimes.compiled import compile_or_load

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_NAMES = {
    "float32": "fp32",
    "f32": "fp32",
    "bfloat16": "bf16",
    "bf16": "bf16",
    "float16": "fp16",
    "f16": "fp16",
}


_LEFT_OUT = ("openvino_telemetry", "openvino.tools.ovc")
"""What OpenVINO imports if it is there: its reporting to its maker, over the network; and its
converter of other formats, which takes as long as all the rest."""


def import_openvino() -> Any:
    """Import OpenVINO without ``_LEFT_OUT``; both can still be imported by their own names."""
    if "openvino" not in sys.modules:
        absent = [name for name in _LEFT_OUT if name not in sys.modules]
        sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
        try:
            importlib.import_module("openvino")
        finally:
            for name in absent:
                del sys.modules[name]
    return sys.modules["openvino"]


class OpenVinoRuntime:
    """A network in OpenVINO. See Runtime."""

    name = "openvino"

    def __init__(self, model: Path | bytes, options: RuntimeOptions) -> None:
        """Load ``model``, a path or a serialised ONNX graph.

        Raises EngineError where device or precision cannot be had, ModelError where the file is
        not a graph that OpenVINO can load.
        """
        ov = import_openvino()
        core = ov.Core()
        wanted = options.provider
        if wanted == "auto" and not options.require_provider:
            # An integrated GPU is often slower than the CPU, and compiles for long.
            wanted = "cpu"
        # Asking for the devices loads the drivers of all, 18 MB; the CPU is there without.
        available = ["cpu"]
        if wanted != "cpu":
            available = [d.split(".")[0].lower() for d in core.available_devices]
        if wanted == "auto":
            wanted = next((d for d in available if d != "cpu"), "")
        if not wanted:
            raise EngineError(
                "an accelerator is required, but there is only the CPU; install its driver and a "
                "GPU build of onnxruntime, or run without --require-provider"
            )
        if wanted not in available:
            raise EngineError(
                f"OpenVINO has no device {wanted!r} here, only {', '.join(available)}; "
                "check the driver, or use --provider cpu"
            )
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if wanted == "cpu":
            # It keeps what it prepared for 5,000 shapes of a layer's input, and grew by 400 MB over
            # 300 pictures of as many sizes. Of one size, a video's, nothing is prepared anew.
            config["CPU_RUNTIME_CACHE_CAPACITY"] = 0
            # Threads bound to cores wait, spinning, for the one whose core decodes or encodes.
            config["ENABLE_CPU_PINNING"] = False
        if options.threads:
            config["INFERENCE_NUM_THREADS"] = options.threads
        if options.precision != "auto":
            config["INFERENCE_PRECISION_HINT"] = _HINTS[options.precision]
        try:
            # Core.read_model would also try other formats, and complain of each on stderr.
            reader = ov.frontend.FrontEndManager().load_by_framework("onnx")
            given = io.BytesIO(model) if isinstance(model, bytes) else str(model)
            loaded = reader.load(given)
            # Of the compiled graph's tensors get_any_name may tell an inner name.
            self.outputs = tuple(place.get_names()[0] for place in loaded.get_outputs())
            graph = reader.convert(loaded)
        except Exception as e:
            raise ModelError(f"OpenVINO cannot load the network: {e}") from e
        if not graph.inputs or not graph.outputs:
            raise ModelError("OpenVINO cannot load the network: the file is empty")
        try:
            self._compiled = compile_or_load(
                core, graph, model, wanted.upper(), config, ov.get_version()
            )
            hint = self._compiled.get_property("INFERENCE_PRECISION_HINT")
            counted = "INFERENCE_NUM_THREADS" in self._compiled.get_property("SUPPORTED_PROPERTIES")
            self.threads: int | None = (
                int(self._compiled.get_property("INFERENCE_NUM_THREADS")) if counted else None
            )
        except Exception as e:
            raise EngineError(f"OpenVINO cannot run the network on {wanted}: {e}") from e
        self.provider = wanted
        self.precision = _NAMES.get(hint.to_string() if hasattr(hint, "to_string") else hint, "?")
        if options.precision not in ("auto", self.precision):
            raise EngineError(
                f"OpenVINO runs in {self.precision} on this {wanted}, {options.precision} was "
                "asked for; this machine has no units for it, choose another --precision"
            )
        self.inputs: Mapping[str, TensorSpec] = MappingProxyType(
            {
                i.get_any_name(): TensorSpec(
                    np.dtype(i.element_type.to_dtype()),
                    tuple(n.get_length() if n.is_static else None for n in i.partial_shape),
                )
                for i in self._compiled.inputs
            }
        )
        self._request = self._compiled.create_infer_request()

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the network once. Raises InferenceError."""
        try:
            # Inputs are read in place; outputs are copied, because the next run reuses them.
            results = self._request.infer(dict(feeds), share_inputs=True, share_outputs=False)
        except Exception as e:
            raise InferenceError(f"OpenVINO ({self.provider}) failed: {e}") from e
        return {name: results[i] for i, name in enumerate(self.outputs)}

    def close(self) -> None:
        """Free the network."""
        for name in ("_request", "_compiled"):
            self.__dict__.pop(name, None)
