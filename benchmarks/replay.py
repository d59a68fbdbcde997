"""Networks that answer from a recording, to see what everything but the network costs."""

from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vmatte.matting import Engine, Matte, Matter
from vmatte.sources import FrameSource


def record(matter: Any, source: FrameSource, path: Path) -> None:
    """Run RVM over ``source`` and keep the network's first output, frame by frame."""
    runtime, state, kept = matter._runtime, None, []
    run = runtime.run

    def remembering(feeds: Any) -> Any:
        out = run(feeds)
        kept.append(out[runtime.outputs[0]].astype(np.float16))
        return out

    runtime.run = remembering
    for frame in source:
        size = matter.working_size(frame.width, frame.height)
        state = state or matter.start(*size)
        state = matter.step(frame.rgb(size), state)[1]
    source.close()
    np.savez(path, base=np.stack(kept))


class _Recorded:
    """A runtime that answers what was recorded, whatever it is asked."""

    def __init__(self, real: Any, path: Path) -> None:
        self._answers = np.load(path)["base"].astype(np.float32)
        self._real, self._next = real, count()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def run(self, feeds: Any) -> Any:
        answer = self._answers[next(self._next) % len(self._answers)]
        states = {f"r{k}o": feeds[f"r{k}i"] for k in range(1, 5)}
        return {self._real.outputs[0]: answer, **states}


def replaying(matter: Any, path: Path) -> Matter[Any]:
    """Return RVM with its network replaced; packing, unpacking and checks stay."""
    matter._runtime = _Recorded(matter._runtime, path)
    return matter  # type: ignore[no-any-return]


class ReplayAlpha:
    """A matter that gives recorded alpha at ``size``, no foreground. See Matter."""

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        """Scale the recording at ``path``."""
        base = np.load(path)["base"][:, 0, 3].astype(np.float32).clip(0, 1)
        self._alphas = [cv2.resize(a, size, interpolation=cv2.INTER_AREA) for a in base]
        self._size = size
        self.engine = Engine(model="replay", runtime="replay", provider="cpu", precision="fp32")

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the fixed size."""
        return self._size

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
