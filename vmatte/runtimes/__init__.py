"""Inference runtimes: one seam, one file each."""

import importlib.util
from dataclasses import replace
from pathlib import Path

from vmatte.errors import EngineError
from vmatte.runtimes.base import Precision, Runtime, RuntimeName, RuntimeOptions, Tensor, TensorSpec

__all__ = [
    "Precision",
    "Runtime",
    "RuntimeName",
    "RuntimeOptions",
    "Tensor",
    "TensorSpec",
    "load_runtime",
]


def load_runtime(model: Path | bytes, options: RuntimeOptions | None = None) -> Runtime:
    """Load a network, given as a path or a serialised ONNX graph.

    'auto' takes the first that can be had: an accelerator in onnxruntime, OpenVINO, onnxruntime on
    the CPU; which one it was, the result tells. Raises EngineError, ModelError.
    """
    options = options or RuntimeOptions()
    if options.runtime != "auto":
        return _load(options.runtime, model, options)
    from vmatte.runtimes import ort

    openvino = importlib.util.find_spec("openvino") is not None
    if options.provider == "auto":
        fast = ort.accelerator()
        if fast is not None:
            try:
                return _load("onnxruntime", model, replace(options, provider=fast))
            except EngineError:
                # Built in, but its driver or libraries are not there.
                if options.require_provider and not openvino:
                    raise
    elif options.provider != "cpu" and options.provider in ort.PROVIDERS:
        return _load("onnxruntime", model, options)
    return _load("openvino" if openvino else "onnxruntime", model, options)


def _load(name: RuntimeName, model: Path | bytes, options: RuntimeOptions) -> Runtime:
    try:
        if name == "openvino":
            from vmatte.runtimes.openvino import OpenVinoRuntime

            return OpenVinoRuntime(model, options)
        from vmatte.runtimes.ort import OrtRuntime

        return OrtRuntime(model, options)
    except ImportError as e:
        raise EngineError(f"{name} is not installed ({e}); run: pip install {name}") from e
