"""A matte at the frame's size, held only where it has an edge."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from vmatte.frames import Frame

TILE = 64
"""Side of a tile in pixels: a multiple of every chroma subsampling, small enough to skip much."""


Map = NDArray[np.floating[Any]]
"""[h, w] or [h, w, C] float32."""


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
    def slices(self) -> tuple[slice, slice]:
        """Index of the region in a plane."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


Tiles = tuple[tuple[Region, ...], tuple[Region, ...]]


Shift = tuple[int, int]


class Edge:
    """A region that holds an edge, with its alpha, [h, w] float32 in 0..1, contiguous."""

    __slots__ = ("_reduced", "alpha", "region")

    def __init__(self, region: Region, alpha: Map) -> None:
        """Hold ``alpha`` for ``region``."""
        self.region, self.alpha = region, alpha
        self._reduced: dict[Shift, tuple[Map, Map]] = {}

    def shares_at(self, shift: Shift) -> tuple[Map, Map]:
        """Return (alpha, 1 - alpha) on a plane subsampled by 2**shift.

        Alpha is the mean over each sample's pixels.
        """
        # Two planes and several outputs ask; a race computes the same twice.
        found = self._reduced.get(shift)
        if found is None:
            alpha = self.alpha
            if shift != (0, 0):
                part = self.region.scaled(shift)
                size = (part.x1 - part.x0, part.y1 - part.y0)
                alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
            found = self._reduced[shift] = alpha, np.float32(1) - alpha
        return found


@dataclass(frozen=True, slots=True, repr=False)
class FullMatte:
    """Alpha at the frame's size, held only where it is neither 0 nor 1.

    size: (width, height) of the frame. edges: regions that hold an edge; solid: regions wholly
    foreground; the rest is wholly background. residual: for each channel of the frame (Y, U, V, or
    the channels of RGB in their order) [h, w] float32 at the working size, in code values: what to
    add to get the subject's own colour. Empty where colours stay as they are. subject: the frame in
    the subject's own colours, where they were found at full size (a chroma key); residual is then
    empty.
    """

    size: tuple[int, int]
    edges: tuple[Edge, ...]
    solid: tuple[Region, ...]
    residual: tuple[Map, ...] = ()
    subject: VideoFrame | None = None

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
        for edge in self.edges:
            plane[edge.region.slices] = np.rint(edge.alpha * top)
        return plane

    def values(self) -> Map:
        """Return alpha as a full [H, W] float32 plane in 0..1."""
        width, height = self.size
        plane = np.zeros((height, width), np.float32)
        for region in self.solid:
            plane[region.slices] = 1
        for edge in self.edges:
            plane[edge.region.slices] = edge.alpha
        return plane

    def masked(self, plane: Map) -> "FullMatte":
        """Return the matte times ``plane``, [H, W] float32 in 0..1."""
        edges = [Edge(e.region, e.alpha * plane[e.region.slices]) for e in self.edges]
        solid = []
        for region in self.solid:
            part = plane[region.slices]
            if part.min() >= 1:
                solid.append(region)
            else:
                edges.append(Edge(region, np.ascontiguousarray(part)))
        return replace(self, edges=tuple(edges), solid=tuple(solid))

    def residual_at(self, edge: Edge, shift: Shift, channel: int) -> Map:
        """Return one channel of ``residual`` in an edge's region of a plane.

        It fades to 0 as alpha comes near 1, so that opaque pixels stay bit-equal to the source.
        """
        width, height = self.size
        plane_size = (-(-width >> shift[0]), -(-height >> shift[1]))
        sampled = sample(self.residual[channel], edge.region.scaled(shift), plane_size)
        # min(1 - alpha, 1/8) * 8
        _, fade = cv2.threshold(edge.shares_at(shift)[1], 1 / 8, 1 / 8, cv2.THRESH_TRUNC)
        faded: Map = cv2.multiply(sampled, fade, sampled, scale=8.0)
        return faded


def sample(maps: Map, region: Region, plane_size: tuple[int, int]) -> Map:
    """Return a region of ``maps`` enlarged to ``plane_size`` (width, height), bilinear.

    Pixel centres correspond, as in cv2.resize.
    """
    h, w = maps.shape[:2]
    if (w, h) == plane_size:
        return np.ascontiguousarray(maps[region.slices])
    sx, sy = w / plane_size[0], h / plane_size[1]
    place = np.array([[sx, 0, (region.x0 + 0.5) * sx - 0.5], [0, sy, (region.y0 + 0.5) * sy - 0.5]])
    size = (region.x1 - region.x0, region.y1 - region.y0)
    enlarged: Map = cv2.warpAffine(
        np.ascontiguousarray(maps),
        place,
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return enlarged
