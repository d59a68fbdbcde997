"""A matte at the frame's size, held only where it has an edge."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from vmatte.frames import Frame
from vmatte.pixels import Plane

TILE = 64
"""Rows of a tile: a multiple of every chroma subsampling, small enough to skip much."""


COLUMNS = 32
"""Columns of a tile: fewer than rows, as tiles side by side are computed as one."""


_BATCH = 1 << 16
"""Pixels that are computed at once: much for one call, little for the caches."""


Map = NDArray[np.floating[Any]]
"""[h, w] or [h, w, C] float32."""


Slices = tuple[slice, slice]


class Region(NamedTuple):
    """A rectangle of whole tiles (cut at the frame's edge): x0 <= x < x1, y0 <= y < y1."""

    y0: int
    y1: int
    x0: int
    x1: int

    def scaled(self, shift: tuple[int, int]) -> "Region":
        """Return the region on a plane subsampled by 2**shift = (x, y)."""
        sx, sy = shift
        return Region(self.y0 >> sy, -(-self.y1 >> sy), self.x0 >> sx, -(-self.x1 >> sx))

    @property
    def slices(self) -> Slices:
        """Index of the region in a plane."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def area(self) -> int:
        """How many pixels it has."""
        return (self.y1 - self.y0) * (self.x1 - self.x0)


Tiles = tuple[tuple[Region, ...], tuple[Region, ...]]


Shift = tuple[int, int]


class Packing:
    """Regions of a plane, their pixels packed: row by row, one region after the other.

    What is done to all of them is then one call. Packed values are [1, n], of planes with C
    interleaved channels [1, n * C].
    """

    __slots__ = ("_parts", "count", "regions")

    def __init__(self, regions: Iterable[Region]) -> None:
        """Pack ``regions`` of one plane."""
        self.regions = tuple(regions)
        self.count = 0
        self._parts: list[tuple[Slices, int, int, int]] = []
        for region in self.regions:
            end = self.count + region.area
            self._parts.append((region.slices, self.count, end, region.y1 - region.y0))
            self.count = end

    def blocks(self, values: NDArray[Any], channels: int = 1) -> Iterator[tuple[Slices, Plane]]:
        """Yield for each region its index in the plane, and its pixels: a view of ``values``."""
        for slices, begin, end, rows in self._parts:
            yield slices, values[0, begin * channels : end * channels].reshape(rows, -1)

    def gather(self, plane: Plane) -> Map:
        """Return the regions of ``plane``, float32."""
        channels = plane.shape[2] if plane.ndim > 2 else 1
        values = np.empty((1, self.count * channels), np.float32)
        for slices, block in self.blocks(values, channels):
            part = plane[slices]
            block.reshape(part.shape)[...] = part
        return values

    def scatter(self, values: NDArray[Any], plane: Plane) -> None:
        """Put ``values`` where they belong in ``plane``."""
        channels = plane.shape[2] if plane.ndim > 2 else 1
        for slices, block in self.blocks(values, channels):
            part = plane[slices]
            part[...] = block.reshape(part.shape)

    def enlarge(self, maps: Map, size: tuple[int, int]) -> Map:
        """Return the regions of ``maps``, brought to the plane's ``size`` by ``sample``."""
        channels = maps.shape[2] if maps.ndim > 2 else 1
        values = np.empty((1, self.count * channels), np.float32)
        for region, (_, block) in zip(self.regions, self.blocks(values, channels), strict=True):
            block[...] = sample(maps, region, size).reshape(block.shape)
        return values


def sample(maps: Map, region: Region, plane_size: tuple[int, int]) -> Map:
    """Return a region of ``maps`` enlarged to ``plane_size`` (width, height), bilinear.

    Pixel centres correspond, as in cv2.resize.
    """
    h, w = maps.shape[:2]
    if (w, h) == plane_size:
        return maps[region.slices]
    sx, sy = w / plane_size[0], h / plane_size[1]
    place = np.array([[sx, 0, (region.x0 + 0.5) * sx - 0.5], [0, sy, (region.y0 + 0.5) * sy - 0.5]])
    enlarged: Map = cv2.warpAffine(
        maps,
        place,
        (region.x1 - region.x0, region.y1 - region.y0),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return enlarged


def split(maps: Map) -> tuple[Map, ...]:
    """Return the channels of ``maps``. Without places given, cv2.split copies each twice."""
    h, w, channels = np.atleast_3d(maps).shape
    apart = tuple(np.empty((channels, h, w), np.float32))
    cv2.split(maps, apart)
    return apart


class Edges:
    """Regions that hold an edge, with their alpha.

    alpha: [1, n] float32 in 0..1, see Packing.
    """

    __slots__ = ("_reduced", "alpha", "packing")

    def __init__(self, packing: Packing, alpha: Map) -> None:
        """Hold ``alpha`` for the regions of ``packing``."""
        self.packing, self.alpha = packing, alpha
        self._reduced: dict[Shift, tuple[Packing, Map]] = {(0, 0): (packing, alpha)}

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions, in pixels of the frame."""
        return self.packing.regions

    def at(self, shift: Shift) -> tuple[Packing, Map]:
        """Return regions and alpha on a plane subsampled by 2**shift.

        Alpha is the mean over each sample's pixels.
        """
        # Two planes and several outputs ask; a race computes the same twice.
        found = self._reduced.get(shift)
        if found is None:
            packing = Packing(r.scaled(shift) for r in self.regions)
            alpha = np.empty((1, packing.count), np.float32)
            pairs = zip(self.packing.blocks(self.alpha), packing.blocks(alpha), strict=True)
            for (_, full), (_, part) in pairs:
                cv2.resize(full, part.shape[::-1], part, interpolation=cv2.INTER_AREA)
            found = self._reduced[shift] = packing, alpha
        return found


def batches(regions: Sequence[Region]) -> Iterator[Packing]:
    """Pack ``regions``, so many at once as are computed together."""
    batch: list[Region] = []
    area = 0
    for region in regions:
        if batch and area + region.area > _BATCH:
            yield Packing(batch)
            batch, area = [], 0
        batch.append(region)
        area += region.area
    if batch:
        yield Packing(batch)


@dataclass(frozen=True, slots=True, repr=False)
class FullMatte:
    """Alpha at the frame's size, held only where it is neither 0 nor 1.

    size: (width, height) of the frame. edges: regions that hold an edge; solid: regions wholly
    foreground; the rest is wholly background. residual: for each channel of the frame (Y, U, V, or
    the channels of RGB in their order) [h, w] float32 at the working size, in code values: what to
    add to get the subject's own colour. Empty where colours stay as they are. subject: the frame in
    the subject's own colours, where they were found at full size (a chroma key); residual is then
    empty. screen: False where the screen of a chroma key was looked for and not seen: the model's
    matte stands alone.
    """

    size: tuple[int, int]
    edges: tuple[Edges, ...]
    solid: tuple[Region, ...]
    residual: tuple[Map, ...] = ()
    subject: VideoFrame | None = None
    screen: bool = True

    def own(self, frame: Frame) -> Frame:
        """Return ``frame`` in the subject's own colours where these are known at full size."""
        return frame if self.subject is None else replace(frame, picture=self.subject)

    def dense(self, depth: int = 8) -> NDArray[np.generic]:
        """Return alpha as a full plane of code values, 0 .. 2**depth - 1."""
        top = (1 << depth) - 1
        width, height = self.size
        plane = np.zeros((height, width), np.uint8 if depth == 8 else np.uint16)
        for region in self.solid:
            plane[region.slices] = top
        for edges in self.edges:
            edges.packing.scatter(codes(edges.alpha * np.float32(top), depth), plane)
        return plane

    def values(self) -> Map:
        """Return alpha as a full [H, W] float32 plane in 0..1."""
        width, height = self.size
        plane = np.zeros((height, width), np.float32)
        for region in self.solid:
            plane[region.slices] = 1
        for edges in self.edges:
            edges.packing.scatter(edges.alpha, plane)
        return plane

    def masked(self, plane: Map) -> "FullMatte":
        """Return the matte times ``plane``, [H, W] float32 in 0..1."""
        edges = [Edges(e.packing, e.alpha * e.packing.gather(plane)) for e in self.edges]
        solid = [r for r in self.solid if plane[r.slices].min() >= 1]
        others = [r for r in self.solid if r not in solid]
        edges += [Edges(p, p.gather(plane)) for p in batches(others)]
        return replace(self, edges=tuple(edges), solid=tuple(solid))


def codes(values: Map, depth: int) -> Plane:
    """Return [1, n] float32 rounded to code values of ``depth`` bits; changes ``values``."""
    if depth == 8:
        # Negative ones would lose their sign.
        rounded: Plane = cv2.convertScaleAbs(cv2.max(values, 0.0, values))
        return rounded
    np.rint(values, values)
    return np.clip(values, 0, (1 << depth) - 1, out=values).astype(np.uint16)
