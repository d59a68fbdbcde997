"""The seam of inference runtimes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from vmatte.errors import OptionError

Tensor = NDArray[np.generic]
RuntimeName = Literal["auto", "onnxruntime", "openvino"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOptions:
    """How networks are run.

    runtime: 'auto' takes onnxruntime where it has an accelerator, else OpenVINO where that is
    installed (x86-64), else onnxruntime on the CPU.
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

    def __post_init__(self) -> None:
        """Raise OptionError on values that no runtime has."""
        for what, value, known in (
            ("runtime", self.runtime, get_args(RuntimeName)),
            ("precision", self.precision, get_args(Precision)),
        ):
            if value not in known:
                raise OptionError(f"{what} is {value!r}; expected one of {', '.join(known)}")
        if not 0 <= self.threads <= 1024:
            raise OptionError(f"threads is {self.threads}; expected 1 to 1024, or 0 for all cores")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a graph says of one input: element type, and sides, None where any will do."""

    dtype: np.dtype[np.generic]
    shape: tuple[int | None, ...]


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
    def threads(self) -> int | None:
        """Threads that compute, read back from the session; None where it does not say."""
        ...

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """What each input must be, in the graph's order."""
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
