"""The seam of inference runtimes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[np.generic]
RuntimeName = Literal["auto", "onnxruntime", "openvino"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOptions:
    """How networks are run.

    runtime: 'auto' takes OpenVINO where it is installed (x86-64), else onnxruntime.
    provider: 'auto', or a name such as 'cpu', 'cuda', 'tensorrt', 'coreml', 'directml', 'gpu'.
    precision: 'auto' leaves the choice to the runtime (OpenVINO: bf16 where the CPU has units for
    it). threads: 0 takes every core. require_provider: fail where the provider asked for, or any
    accelerator when 'auto', cannot be had.
    """

    runtime: RuntimeName = "auto"
    provider: str = "auto"
    precision: Precision = "auto"
    threads: int = 0
    require_provider: bool = False


class Runtime(Protocol):
    """A loaded network. ``run`` may be called from any one thread at a time."""

    @property
    def name(self) -> str:
        """'onnxruntime' or 'openvino'."""
        ...

    @property
    def provider(self) -> str:
        """The provider that really runs, read back from the session."""
        ...

    @property
    def precision(self) -> str:
        """The precision that really runs, read back from the session."""
        ...

    @property
    def inputs(self) -> Mapping[str, np.dtype[np.generic]]:
        """Name and element type of each input, in the graph's order."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in the graph's order."""
        ...

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the network once. Raises InferenceError."""
        ...

    def close(self) -> None:
        """Free the network."""
        ...
