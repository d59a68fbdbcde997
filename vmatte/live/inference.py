"""The matting of a live stream, frame by frame: state, working size, reuse of what stays."""

import time
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.composite.hdr import srgb
from vmatte.errors import InferenceError
from vmatte.frames import Frame, StreamInfo
from vmatte.live.adapt import Adapter
from vmatte.live.age import Spent
from vmatte.live.conform import mirrored
from vmatte.live.feed import Captured
from vmatte.live.options import LiveOptions
from vmatte.matting import Matte, Matter
from vmatte.stats import Clock

_STILL = 2.0
"""Mean difference of a block, in levels of 255, that camera noise stays below."""

_BLOCKS = (16, 9)

_REUSE = 1.0
"""Seconds after which a matte is made anew, however still the scene."""


def warm(matter: Matter[Any], info: StreamInfo, share: float = 1.0) -> None:
    """Let ``matter`` do once what takes long the first time. Raises what it raises."""
    w, h = matter.working_size(info.width, info.height, share)
    matter.step(np.zeros((h, w, 3), np.uint8), matter.start(w, h))


@dataclass(frozen=True, slots=True)
class Matted:
    """A frame, when it came, the model's picture of it, its matte, seconds in the network."""

    frame: Frame
    at: float
    rgb: NDArray[np.uint8]
    matte: Matte
    network: float


class Inference:
    """Turns captured frames into mattes. Used from one thread at a time."""

    def __init__(
        self, matter: Matter[Any], info: StreamInfo, options: LiveOptions, clock: Clock
    ) -> None:
        """Begin with ``matter`` and no state, for frames of ``info``."""
        self.matter, self._info, self._clock = matter, info, clock
        self.mirror, self.scale, self.reuse = options.mirror, options.scale, options.reuse_still
        self.adapter = Adapter(options.target_fps) if options.target_fps else None
        self._adapts = True
        self.reused = 0
        self.working: tuple[int, int] | None = None
        self.notes: list[str] = []
        self._spent = Spent()
        self.replace(matter)

    @property
    def share(self) -> float:
        """The working size as a share of the model's usual one."""
        return self.scale * (self.adapter.share if self.adapter else 1.0)

    @property
    def busy(self) -> float:
        """Seconds that scaling and the network usually take; 0 before the first frame."""
        return self._spent.usual

    def replace(self, matter: Matter[Any]) -> Matter[Any]:
        """Go on with ``matter``, from a fresh state; return the one before."""
        before, self.matter = self.matter, matter
        self._spent.clear()
        self.reset()
        if self.adapter is not None:
            self.adapter.reset()
            w, h = self._info.size
            self._adapts = matter.working_size(w, h, 0.5) != matter.working_size(w, h)
            if not self._adapts:
                self.notes.append(
                    f"{matter.engine.model} has a fixed picture size: its rate cannot be adapted"
                )
        return before

    def reset(self) -> None:
        """Forget the state: the next frame begins anew."""
        self._key: object = None
        self._state: Any = None
        self._last: tuple[float, NDArray[np.uint8], Matte] | None = None

    def step(self, captured: Captured) -> Matted:
        """Matte one frame. Raises what the model raises, and has no state then."""
        begin = time.perf_counter()
        frame, mirror = captured.frame, self.mirror
        with self._clock.measure("scale"):
            if mirror:
                frame = mirrored(frame)
            self.working = self.matter.working_size(frame.width, frame.height, self.share)
            rgb = srgb(frame, self.working, self.matter.engine.scaling)
        key = (frame.segment, rgb.shape, mirror)
        if key != self._key:
            self.reset()
        found = self._still(rgb, captured.at)
        network = 0.0
        if found is None:
            try:
                if self._key is None:
                    self._state = self.matter.start(rgb.shape[1], rgb.shape[0])
                    self._key = key
                started = time.perf_counter()
                with self._clock.measure("infer"):
                    found, self._state = self.matter.step(rgb, self._state)
                # Half precision may overflow. Infinity would show the room, and a state keeps NaN.
                if not np.isfinite(found.alpha).all():
                    raise InferenceError(
                        f"{self.matter.engine.model} gave numbers that are none (NaN or infinite); "
                        "where that goes on, try --precision fp32"
                    )
                network = time.perf_counter() - started
            except BaseException:
                self.reset()
                raise
            if self.reuse:
                self._last = (captured.at, rgb, found)
            spent = time.perf_counter() - begin
            self._spent.add(spent)
            self._adapt(captured.at, spent)
        return Matted(frame, captured.at, rgb, found, network)

    def _still(self, rgb: NDArray[np.uint8], at: float) -> Matte | None:
        """Return the last matte where the picture has not changed since it was made."""
        if not self.reuse or self._last is None or at - self._last[0] > _REUSE:
            return None
        _, before, matte = self._last
        # By blocks: a hand that moves is little in the mean of the whole picture.
        blocks = cv2.resize(cv2.absdiff(rgb, before), _BLOCKS, interpolation=cv2.INTER_AREA)
        if blocks.max() >= _STILL:
            return None
        self.reused += 1
        return matte

    def _adapt(self, now: float, spent: float) -> None:
        if self.adapter is None or not self._adapts:
            return
        before = self.adapter.share
        if self.adapter.update(now, spent) and self.adapter.share != before:
            self.notes.append(
                f"picture size {before:.0%} -> {self.adapter.share:.0%} of the model's usual one, "
                f"to hold {self.adapter.target_fps:g} fps"
            )
