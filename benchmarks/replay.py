"""Mattes from a recording, to see what everything but the network costs."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from vmatte.matting import Engine, Matte, Matter
from vmatte.sources import FrameSource


def record(matter: Matter[Any], source: FrameSource, path: Path, frames: int) -> None:
    """Run ``matter`` over the first frames of ``source`` and keep its mattes, closing both."""
    state, kept = None, []
    for frame in islice(source, frames):
        size = matter.working_size(frame.width, frame.height)
        state = matter.start(*size) if state is None else state
        matte, state = matter.step(frame.rgb(size, matter.engine.scaling), state)
        kept.append(matte.alpha.astype(np.float16))
    source.close()
    matter.close()
    np.savez(path, alpha=np.stack(kept))


class Replay:
    """A matter that gives recorded mattes, over and over. See Matter."""

    def __init__(self, path: Path) -> None:
        """Load the recording at ``path``."""
        self._alphas = [*np.load(path)["alpha"].astype(np.float32)]
        # As the bundled model, whose mattes are recorded.
        self.engine = Engine(
            model="replay", runtime="replay", provider="cpu", precision="fp32", scaling="area"
        )

    def working_size(self, width: int, height: int, share: float = 1.0) -> tuple[int, int]:
        """Return that of the recording."""
        height, width = self._alphas[0].shape
        return width, height

    def start(self, width: int, height: int) -> int:
        """Begin with the first matte."""
        return 0

    def step(self, rgb: Any, state: int) -> tuple[Matte, int]:
        """Return the next matte."""
        return Matte(self._alphas[state % len(self._alphas)]), state + 1

    def close(self) -> None:
        """Nothing is held."""


class Remembered:
    """A matter that computes every matte once, for clips that come in the same order again."""

    def __init__(self, matter: Any, clips: int) -> None:
        """Remember what ``matter`` says of so many clips."""
        self._matter, self._clips, self._started = matter, clips, 0
        self._known: dict[tuple[int, int], Matte] = {}
        self.engine, self.working_size = matter.engine, matter.working_size

    def start(self, width: int, height: int) -> tuple[int, int, Any]:
        """Begin the next clip; its state: which clip, which frame, the model's own."""
        self._started += 1
        return (self._started - 1) % self._clips, 0, self._matter.start(width, height)

    def step(self, rgb: Any, state: tuple[int, int, Any]) -> tuple[Matte, tuple[int, int, Any]]:
        """Matte one picture, or say what was said of it."""
        clip, index, inner = state
        if (clip, index) not in self._known:
            self._known[clip, index], inner = self._matter.step(rgb, inner)
        return self._known[clip, index], (clip, index + 1, inner)

    def close(self) -> None:
        """Free the model."""
        self._matter.close()
