"""One video in parts: where it is cut, and a part that continues what it did not see."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vmatte.composite.hdr import srgb
from vmatte.errors import InputError, reading
from vmatte.frames import Frame, StreamInfo
from vmatte.job import JobOptions
from vmatte.matting import Engine, Matte, Matter
from vmatte.sources.file import FileSource, Window, exact, pick_video


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a video: ``frames`` from ``first`` (pts) on; the window also holds the warm-up.

    begin: time of the whole's first frame. shape: what must be as in the whole for parts to fit.
    """

    window: Window
    first: int
    frames: int
    begin: Fraction
    shape: tuple[Any, ...]


def plan(path: str, options: JobOptions, seconds: float, warmup: int) -> list[Piece] | str:
    """Divide a video into parts of about ``seconds``, each with ``warmup`` frames before it.

    Cuts lie at exact pts, wherever they fall: only decoding begins at a key frame. One part for
    all that is too short. Returns why where it cannot be divided. Raises InputError.
    """
    if options.steer.trimap is not None:
        return "a trimap is carried from the first frame to the last"
    source = FileSource(path, start=options.start, end=options.end, salvage=options.salvage)
    source.close()
    info = source.info
    packets = _packets(path, source, options)
    if packets is None:
        return "not every frame has a time"
    order = sorted(p.pts for p in packets if not p.hidden)
    if len(set(order)) < len(order):
        return "two frames have the same time"
    span = float((order[-1] - order[0]) * info.time_base) if order else 0.0
    count = max(1, min(round(span / seconds), len(order)))
    keys = [p for p in packets if p.key]
    edges = [round(i * len(order) / count) for i in range(count + 1)]
    pieces = []
    for a, b in pairwise(edges):
        begin = order[max(0, a - warmup)]
        before = [p.dts for p in keys if p.pts <= begin]
        window = Window(begin, order[b] if b < len(order) else None, max(before, default=None))
        pieces.append(Piece(window, order[a], b - a, order[0] * info.time_base, _shape(info)))
    return pieces


@dataclass(frozen=True, slots=True)
class _Packet:
    pts: int
    dts: int
    key: bool
    hidden: bool
    """Outside of start and end, or of an edit list: decoded, but not shown."""


def _packets(path: str, source: FileSource, options: JobOptions) -> list[_Packet] | None:
    """Return all packets, in the pts of ``source``'s frames; None where one has no time."""
    start, end = exact(options.start), exact(options.end)
    found = []
    with reading(path), av.open(path, "r", metadata_errors="replace") as container:
        stream = pick_video(path, container)
        zero = Fraction(container.start_time or 0, av.time_base)
        base = source.info.time_base
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.pts is None or packet.dts is None:
                return None
            when = packet.pts * base - zero
            hidden = bool(
                packet.is_discard or (start and when < start) or (end is not None and when >= end)
            )
            pts = packet.pts - source.shift
            found.append(_Packet(pts, packet.dts, packet.is_keyframe, hidden))
    return found


def _shape(info: StreamInfo) -> tuple[Any, ...]:
    return (info.size, info.format.name, info.colour, info.time_base, info.rate,
            info.sample_aspect_ratio, info.rotation, info.deinterlaced)  # fmt: skip


class Part:
    """The frames of a piece, as a source, and ``matter``: a model that has seen those before it.

    The sound stays with the whole.
    """

    def __init__(self, path: str, options: JobOptions, piece: Piece, matter: Matter[Any]) -> None:
        """Open the file. Raises InputError where it is another file here than where it was cut."""
        self._piece = piece
        self._source = FileSource(
            path,
            start=options.start,
            end=options.end,
            salvage=options.salvage,
            window=piece.window,
        )
        info = self._source.info
        if _shape(info) != piece.shape:
            self._source.close()
            raise InputError(
                f"{path}: changes its size, colours or scan in the middle, so that parts do not "
                "fit together; run it without --split"
            )
        self.info = replace(info, container=None, frames=piece.frames, begin=piece.begin)
        self.matter = Continued(matter)

    @property
    def skipped(self) -> int:
        """Damaged frames left out so far, those before the part too."""
        return self._source.skipped

    def __iter__(self) -> Iterator[Frame]:
        """Yield the part's frames; first, the model sees those before them."""
        matter, segment = self.matter, None
        for frame in self._source:
            if frame.pts < self._piece.first:
                size = matter.working_size(frame.width, frame.height)
                rgb = srgb(frame, size, matter.engine.scaling)
                matter.see(rgb, fresh=frame.segment != segment)
                segment = frame.segment
                continue
            if segment is not None and frame.segment != segment:
                matter.forget()
            segment = None
            yield frame

    def close(self) -> None:
        """Close the file."""
        self._source.close()


class Continued:
    """A matter whose first state is not empty: it holds what was seen before. See Matter."""

    def __init__(self, inner: Matter[Any]) -> None:
        """Wrap ``inner``, which the caller closes."""
        self._inner = inner
        self._state: Any = None

    def see(self, rgb: NDArray[np.uint8], *, fresh: bool) -> None:
        """Take a picture into the state; ``fresh``: nothing before it counts."""
        if fresh or self._state is None:
            self._state = self._inner.start(rgb.shape[1], rgb.shape[0])
        self._state = self._inner.step(rgb, self._state)[1]

    def forget(self) -> None:
        """Begin with an empty state after all: a gap lies between."""
        self._state = None

    @property
    def engine(self) -> Engine:
        """What really runs."""
        return self._inner.engine

    def working_size(self, width: int, height: int, share: float = 1.0) -> tuple[int, int]:
        """Return the inner matter's."""
        return self._inner.working_size(width, height, share)

    def start(self, width: int, height: int) -> Any:
        """Return what was seen, once; then the empty state."""
        state, self._state = self._state, None
        return self._inner.start(width, height) if state is None else state

    def step(self, rgb: NDArray[np.uint8], state: Any) -> tuple[Matte, Any]:
        """Matte one picture, see Matter."""
        return self._inner.step(rgb, state)

    def close(self) -> None:
        """Leave the network open: it is the worker's."""
