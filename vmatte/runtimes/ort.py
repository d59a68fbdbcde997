"""onnxruntime behind the Runtime seam."""

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from vmatte.errors import EngineError, InferenceError, ModelError
from vmatte.runtimes.base import RuntimeOptions, Tensor, TensorSpec

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "rocm": "ROCMExecutionProvider",
}
"""Our short names, in onnxruntime's terms."""

_AUTO = ("cuda", "directml", "cpu")
"""What 'auto' tries. TensorRT builds engines for minutes, CoreML rejects dynamic shapes: both
must be asked for."""


def import_onnxruntime() -> Any:
    """Import onnxruntime without its reporting, unless the user set ORT_DISABLE_TELEMETRY.

    Its official builds keep a device identifier and events on disk and send them to their maker.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def accelerator() -> str | None:
    """Return the first provider of 'auto' that is not the CPU and built in; None without one."""
    try:
        if "onnxruntime" not in sys.modules and not _brings_libraries():
            return None
        ort = import_onnxruntime()
    except ImportError:
        return None
    available = ort.get_available_providers()
    return next((p for p in _AUTO if p != "cpu" and PROVIDERS[p] in available), None)


def _brings_libraries() -> bool:
    """Return whether the package holds what CUDA or DirectML run through: a look, not an import.

    Importing it takes time and memory, in vain where OpenVINO then runs.
    """
    found = importlib.util.find_spec("onnxruntime")
    places = (found and found.submodule_search_locations) or []
    names = [f.name for place in places for f in (Path(place) / "capi").glob("*")]
    return any("providers_cuda" in n or n.startswith("DirectML") for n in names)


_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}


class OrtRuntime:
    """A network in onnxruntime. See Runtime."""

    name = "onnxruntime"

    def __init__(self, model: Path | bytes, options: RuntimeOptions) -> None:
        """Load ``model``, a path or a serialised ONNX graph.

        Raises EngineError where provider or precision cannot be had, ModelError where the file is
        not a graph that onnxruntime can load.
        """
        ort = import_onnxruntime()
        available = ort.get_available_providers()
        short = options.provider
        if short == "auto":
            short = accelerator() or "cpu"
        if short not in PROVIDERS:
            raise EngineError(
                f"onnxruntime has no provider {short!r}; expected one of {', '.join(PROVIDERS)}"
            )
        wanted = PROVIDERS[short]
        if wanted not in available:
            raise EngineError(
                f"this onnxruntime was built without {wanted} (it has {', '.join(available)}); "
                f"install the onnxruntime build for {short}, or use --provider cpu"
            )
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = options.threads
        # Only what ends the process: every other failure is raised, once, and in our words.
        settings.log_severity_level = 4
        # Waiting threads must not spin: the decoder and encoder need the cores between two frames.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        chain = [wanted] if wanted == PROVIDERS["cpu"] else [wanted, PROVIDERS["cpu"]]
        try:
            self.session = ort.InferenceSession(
                str(model) if isinstance(model, Path) else model, settings, providers=chain
            )
        except Exception as e:
            raise ModelError(f"onnxruntime cannot load the network: {e}") from e
        got = self.session.get_providers()[0]
        if got != wanted:
            raise EngineError(
                f"{wanted} was to be used, but onnxruntime fell back to {got}; check the driver "
                "and libraries that it needs, or use --provider cpu"
            )
        if options.require_provider and options.provider == "auto" and short == "cpu":
            raise EngineError(
                "an accelerator is required, but onnxruntime has only the CPU; install a GPU "
                "build of onnxruntime, or run without --require-provider"
            )
        self.provider = short
        # 0 stands for onnxruntime's own choice, which it does not tell.
        self.threads: int | None = self.session.get_session_options().intra_op_num_threads or None
        self.inputs: Mapping[str, TensorSpec] = MappingProxyType(
            {
                i.name: TensorSpec(
                    np.dtype(_TYPES.get(i.type, "float32")),
                    tuple(n if isinstance(n, int) else None for n in i.shape),
                )
                for i in self.session.get_inputs()
            }
        )
        self.outputs = tuple(o.name for o in self.session.get_outputs())
        half = any(i.dtype == np.float16 for i in self.inputs.values())
        self.precision = "fp16" if half else "fp32"
        if options.precision not in ("auto", self.precision):
            raise EngineError(
                f"onnxruntime runs this network in {self.precision}, the precision of its weights; "
                f"{options.precision} was asked for: choose a model file with these weights, or "
                "--runtime openvino"
            )

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the network once. Raises InferenceError."""
        try:
            results = self.session.run(None, dict(feeds))
        except Exception as e:
            raise InferenceError(f"onnxruntime ({self.provider}) failed: {e}") from e
        return dict(zip(self.outputs, results, strict=True))

    def close(self) -> None:
        """Free the network."""
        self.__dict__.pop("session", None)
