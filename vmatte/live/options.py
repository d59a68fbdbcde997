"""How a live run behaves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vmatte.errors import InputNotFoundError, OptionError

OnError = Literal["slate", "hold", "stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """How a live run behaves.

    on_error: when the model fails, show the slate and go on, hold the last good picture and go on,
    or stop with the error. slate: a picture shown where there is no matte; by default the
    background alone. target_fps: make the model's picture smaller where it cannot keep this rate.
    mirror: exchange left and right of the camera's picture. scale: share of the model's usual
    picture size. reuse_still: keep the matte while the scene does not change. idle: seconds
    without anybody watching until the camera is let go, where the outputs can tell.
    """

    on_error: OnError = "slate"
    slate: Path | None = None
    target_fps: float | None = None
    mirror: bool = False
    scale: float = 1.0
    reuse_still: bool = False
    idle: float = 10.0

    def __post_init__(self) -> None:
        """Raise OptionError on values out of range, InputNotFoundError for a missing slate."""
        if self.on_error not in ("slate", "hold", "stop"):
            raise OptionError(f"on error is {self.on_error!r}; expected slate, hold or stop")
        if self.target_fps is not None and not 1 <= self.target_fps <= 240:
            raise OptionError(f"target rate is {self.target_fps} fps; expected 1 to 240")
        if not 0.1 <= self.scale <= 1:
            raise OptionError(f"scale is {self.scale}; expected 0.1 to 1")
        if not self.idle > 0:
            raise OptionError(f"idle is {self.idle} s; expected above 0")
        if self.slate is not None and not self.slate.is_file():
            raise InputNotFoundError(f"slate {self.slate}: no such file; check the path")
