"""Inference runtimes: one seam, one file each."""

import importlib.util
from pathlib import Path

from vmatte.errors import EngineError
from vmatte.runtimes.base import Precision, Runtime, RuntimeName, RuntimeOptions, Tensor

__all__ = ["Precision", "Runtime", "RuntimeName", "RuntimeOptions", "Tensor", "load_runtime"]


def load_runtime(model: Path | bytes, options: RuntimeOptions | None = None) -> Runtime:
    """Load a network, given as a path or a serialised ONNX graph.

    'auto' takes OpenVINO where it is installed and the provider asked for is one of its devices,
    else onnxruntime. Raises EngineError, ModelError.
    """
    options = options or RuntimeOptions()
    name = options.runtime
    if name == "auto":
        ours = options.provider in ("auto", "cpu") and not options.require_provider
        usable = importlib.util.find_spec("openvino") is not None
        name = "openvino" if ours and usable else "onnxruntime"
    try:
        if name == "openvino":
            from vmatte.runtimes.openvino import OpenVinoRuntime

            return OpenVinoRuntime(model, options)
        from vmatte.runtimes.ort import OrtRuntime

        return OrtRuntime(model, options)
    except ImportError as e:
        raise EngineError(f"{name} is not installed ({e}); run: pip install {name}") from e
