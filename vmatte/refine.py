"""From a matte at the working size to one at the frame's size, along the picture's own edges.

Only tiles that hold an edge are computed: everywhere else alpha is exactly 0 or 1, and compositing
is a copy.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.decontaminate import estimate_foreground
from vmatte.errors import OptionError
from vmatte.frames import Frame
from vmatte.matting.base import Matte

TILE = 64
"""Side of a tile in pixels: a multiple of every chroma subsampling, small enough to skip much."""

Map = NDArray[np.floating[Any]]
"""[h, w] or [h, w, C] float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineOptions:
    """How a matte is brought to full size.

    guided: follow the edges of the luma plane. decontaminate: remove the old background's colour
    from half-transparent pixels. levels: alpha at or below the first is background, at or above the
    second foreground, stretched between. threshold: make the matte hard at this alpha.
    feather: blur of the matte's edge; grow: widen (or, negative, shrink) the matte; both in pixels
    of the frame. radius: of the guided filter, in working-size pixels; epsilon: variance of luma
    (in 0..1) below which it smooths (He and Sun, Fast Guided Filter, arXiv 1505.00996).
    """

    guided: bool = True
    decontaminate: bool = True
    levels: tuple[float, float] = (0.02, 0.98)
    threshold: float | None = None
    feather: float = 0.0
    grow: float = 0.0
    radius: int = 1
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        """Raise OptionError on values out of range."""
        low, high = self.levels
        if not 0 <= low < high <= 1:
            raise OptionError(f"levels are {low},{high}; expected 0 <= low < high <= 1")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise OptionError(f"threshold is {self.threshold}; expected between 0 and 1")
        if not 0 <= self.feather <= 200:
            raise OptionError(f"feather is {self.feather} px; expected 0 to 200")
        if abs(self.grow) > 200:
            raise OptionError(f"grow is {self.grow} px; expected -200 to 200")


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


_Tiles = tuple[tuple[Region, ...], tuple[Region, ...]]


@dataclass(frozen=True, slots=True, repr=False)
class FullMatte:
    """Alpha at the frame's size, dense only where it is neither 0 nor 1.

    alpha: [H, W] float32 in 0..1, valid inside ``edges`` only. edges, solid: regions that hold an
    edge, and that are wholly foreground; the rest is wholly background. residual: [h, w, 3] float32
    at the working size, what to add to the native planes to get the subject's own colour, in code
    values (YUV or RGB), or None.
    """

    alpha: Map
    edges: tuple[Region, ...]
    solid: tuple[Region, ...]
    residual: Map | None

    def dense(self, depth: int = 8) -> NDArray[np.generic]:
        """Return alpha as a full plane of code values, 0 .. 2**depth - 1."""
        top = (1 << depth) - 1
        plane = np.zeros(self.alpha.shape, np.uint8 if depth == 8 else np.uint16)
        for region in self.solid:
            plane[region.slices] = top
        for region in self.edges:
            plane[region.slices] = np.rint(self.alpha[region.slices] * top)
        return plane

    def values(self) -> Map:
        """Return alpha as a full [H, W] float32 plane in 0..1."""
        plane = np.zeros(self.alpha.shape, np.float32)
        for region in self.solid:
            plane[region.slices] = 1
        for region in self.edges:
            plane[region.slices] = self.alpha[region.slices]
        return plane

    def residual_at(self, region: Region, shift: tuple[int, int], channels: slice) -> Map:
        """Return some channels of ``residual`` in a region of a plane, weakened to 0 as alpha
        comes near 1, so that opaque pixels stay bit-equal to the source.
        """
        assert self.residual is not None
        h, w = self.alpha.shape
        part = region.scaled(shift)
        plane_size = (-(-w >> shift[0]), -(-h >> shift[1]))
        sampled = sample(self.residual[:, :, channels], part, plane_size)
        opacity = self.alpha_at(region, shift)
        weight = np.minimum((1 - opacity) * 8, 1)
        return sampled * (weight[:, :, None] if sampled.ndim == 3 else weight)

    def alpha_at(self, region: Region, shift: tuple[int, int]) -> Map:
        """Return alpha in a region of a plane: the mean over each chroma sample's pixels."""
        alpha = self.alpha[region.slices]
        if shift == (0, 0):
            return alpha
        part = region.scaled(shift)
        size = (part.x1 - part.x0, part.y1 - part.y0)
        reduced: Map = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
        return reduced


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


def refine(frame: Frame, rgb: NDArray[np.uint8], matte: Matte, options: RefineOptions) -> FullMatte:
    """Bring ``matte`` to the size of ``frame``; ``rgb`` is the picture that the model saw."""
    alpha = _levels(matte.alpha, options)
    low = cv2.erode(alpha, _NEIGHBOURS, borderType=cv2.BORDER_REPLICATE)
    high = cv2.dilate(alpha, _NEIGHBOURS, borderType=cv2.BORDER_REPLICATE)
    size = (frame.width, frame.height)
    edges, solid = _tiles(low, high, size)
    full = np.empty((frame.height, frame.width), np.float32)
    if edges:
        hard = options.threshold is not None
        if options.guided and not hard:
            a, b = _guided(_luma(rgb, frame), alpha, options)
            maps = cv2.merge([a, b, low, high])
            luma = _guide_plane(frame)
            for region in edges:
                part = sample(maps, region, size)
                value = cv2.multiply(luma[region.slices], part[:, :, 0], dtype=cv2.CV_32F)
                value += part[:, :, 1]
                # A textured background must not print through: the model's own neighbourhood binds.
                np.clip(value, part[:, :, 2], part[:, :, 3], out=value)
                full[region.slices] = value
        else:
            for region in edges:
                value = sample(alpha, region, size)
                full[region.slices] = (value >= 0.5) if hard else value
    refined = FullMatte(full, edges, solid, None)
    if options.grow or options.feather:
        refined = _shape(refined, options)
    if options.decontaminate and refined.edges:
        foreground = matte.foreground
        if foreground is None:
            foreground = estimate_foreground(rgb, alpha)
        residual = _to_code_values(foreground - rgb.astype(np.float32) / 255, frame)
        refined = replace(refined, residual=residual)
    return refined


_NEIGHBOURS = np.ones((3, 3), np.uint8)


def _levels(alpha: Map, options: RefineOptions) -> Map:
    if options.threshold is not None:
        # The edge stays soft over one working pixel, so that it is cut at full size, not in steps.
        steep: Map = np.clip((alpha - options.threshold) * 4 + 0.5, 0, 1)
        return steep
    low, high = options.levels
    stretched: Map = np.clip((alpha - low) * np.float32(1 / (high - low)), 0, 1)
    return stretched


def _tiles(low: Map, high: Map, size: tuple[int, int]) -> _Tiles:
    """Return edges and solid: runs of tiles, given the least and greatest alpha near each pixel."""
    h, w = low.shape
    width, height = size
    rows = np.minimum(np.arange(0, height, TILE) * h // height, h - 1)
    cols = np.minimum(np.arange(0, width, TILE) * w // width, w - 1)
    # A tile's last pixels are interpolated from working pixels beyond it, which low and high bind.
    low = cv2.erode(low, _NEIGHBOURS, borderType=cv2.BORDER_REPLICATE)
    high = cv2.dilate(high, _NEIGHBOURS, borderType=cv2.BORDER_REPLICATE)
    least = np.minimum.reduceat(np.minimum.reduceat(low, rows, 0), cols, 1)
    most = np.maximum.reduceat(np.maximum.reduceat(high, rows, 0), cols, 1)
    is_solid = least >= 1
    is_edge = (most > 0) & ~is_solid
    return tuple(_runs(is_edge, size)), tuple(_runs(is_solid, size))


def _runs(tiles: NDArray[np.bool_], size: tuple[int, int]) -> Iterator[Region]:
    width, height = size
    padded = np.pad(tiles, ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(padded, axis=1)
    for row in range(tiles.shape[0]):
        starts, ends = np.flatnonzero(change[row] == 1), np.flatnonzero(change[row] == -1)
        for first, last in zip(starts.tolist(), ends.tolist(), strict=True):
            yield Region(
                row * TILE, min((row + 1) * TILE, height), first * TILE, min(last * TILE, width)
            )


def _guided(guide: Map, alpha: Map, options: RefineOptions) -> tuple[Map, Map]:
    """Return a, b such that alpha is about a * luma + b around each pixel (arXiv 1505.00996).

    Half of what the filter smooths away is put back, and a and b are not smoothed again: on the
    test clips that scores best both near full size and far below it (benchmarks/refinement.py).
    """
    side = 2 * options.radius + 1

    def mean(x: Map) -> Map:
        blurred: Map = cv2.blur(x, (side, side), borderType=cv2.BORDER_REPLICATE)
        return blurred

    mean_guide, mean_alpha = mean(guide), mean(alpha)
    covariance = mean(guide * alpha) - mean_guide * mean_alpha
    variance = mean(guide * guide) - mean_guide * mean_guide
    a = covariance / (variance + options.epsilon)
    b = (mean_alpha + alpha) / 2 - a * (mean_guide + guide) / 2
    return a, b


def _luma(rgb: NDArray[np.uint8], frame: Frame) -> Map:
    """Return what _guide_plane shows, at the working size, in 0..1 of full scale."""
    colour = frame.colour.resolved(frame.width, frame.height, rgb=frame.format.rgb)
    row = colour.rgb_to_yuv(8)[:1] / 255
    row[:, :3] /= 255
    if frame.format.rgb:
        row = np.array([[0, 1 / 255, 0, 0]], np.float32)
    luma: Map = cv2.transform(rgb.astype(np.float32), row)
    return luma


def _guide_plane(frame: Frame) -> Map:
    """Return luma, or green for RGB, as [H, W] in 0..1 of full scale, without a copy if 8 bits."""
    plane = frame.planes[0]
    if frame.format.channels > 1:
        plane = plane[:, :, 1]
    top = float((1 << frame.format.depth) - 1)
    return plane.astype(np.float32) / top


def _to_code_values(residual: Map, frame: Frame) -> Map:
    """Return a difference of RGB colours (0..1) in code values of the frame's planes."""
    format = frame.format
    if format.rgb:
        order = {"b": [2, 1, 0], "g": [1, 2, 0]}.get(format.name[0], [0, 1, 2])
        return np.ascontiguousarray(residual[:, :, order]) * np.float32((1 << format.depth) - 1)
    colour = frame.colour.resolved(frame.width, frame.height, rgb=False)
    matrix = colour.rgb_to_yuv(format.depth)[: 1 if format.gray else 3, :3]
    difference: Map = cv2.transform(residual, matrix)
    return np.atleast_3d(difference)


def _shape(matte: FullMatte, options: RefineOptions) -> FullMatte:
    """Grow, shrink and feather the whole plane, and find its edges anew."""
    plane = matte.values()
    pixels = round(abs(options.grow))
    if pixels:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
        morph = cv2.dilate if options.grow > 0 else cv2.erode
        plane = morph(plane, kernel, borderType=cv2.BORDER_REPLICATE)
    if options.feather:
        plane = cv2.GaussianBlur(plane, (0, 0), options.feather / 2)
        # What a code value cannot show is not an edge.
        plane[plane < 1 / 512] = 0
        plane[plane > 1 - 1 / 512] = 1
    h, w = plane.shape
    edges, solid = _tiles(plane, plane, (w, h))
    return replace(matte, alpha=plane, edges=edges, solid=solid)
