"""From a matte at the working size to one at the frame's size, along the picture's own edges.

Only tiles that hold an edge are computed: everywhere else alpha is exactly 0 or 1, and compositing
is a copy.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.closed_form import solve
from vmatte.decontaminate import estimate_foreground
from vmatte.errors import OptionError
from vmatte.frames import Frame
from vmatte.fullmatte import (
    COLUMNS,
    TILE,
    Edges,
    FullMatte,
    Map,
    Packing,
    Region,
    batches,
    sample,
    split,
)
from vmatte.matting.base import Matte
from vmatte.pixels import Plane
from vmatte.steer.key import pull, subject
from vmatte.steer.keyoptions import KeyOptions
from vmatte.steer.known import certainty, impose, impose_exactly
from vmatte.tiles import find_tiles, runs

Method = Literal["fast", "closed-form", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineOptions:
    """How a matte is brought to full size.

    method: fast follows the edges of the luma plane; off enlarges; closed-form, for stills, solves
    what fast leaves in doubt (vmatte.closed_form). decontaminate: remove the old background's
    colour from half-transparent pixels. levels: alpha at or below the first is background, at or
    above the second foreground, stretched between. threshold: make the matte hard at this alpha.
    feather: blur of the matte's edge; grow: widen (or, negative, shrink) the matte; both in pixels
    of the frame. radius: of the guided filter, in working-size pixels; epsilon: variance of luma
    (in 0..1) below which it smooths, times the enlargement (He and Sun, Fast Guided Filter, arXiv
    1505.00996). key: the screen behind the subject, see vmatte.steer.key.
    """

    method: Method = "fast"
    decontaminate: bool = True
    levels: tuple[float, float] = (0.02, 0.98)
    threshold: float | None = None
    feather: float = 0.0
    grow: float = 0.0
    radius: int = 1
    epsilon: float = 4e-3
    key: KeyOptions | None = None

    def __post_init__(self) -> None:
        """Raise OptionError on values out of range, or that exclude each other."""
        if self.method not in get_args(Method):
            expected = ", ".join(get_args(Method))
            raise OptionError(f"refine is {self.method!r}; expected one of {expected}")
        if self.method == "closed-form" and (self.threshold is not None or self.key is not None):
            raise OptionError(
                "closed-form solves a soft edge; a threshold and a key make another: leave one out"
            )
        low, high = self.levels
        if not 0 <= low < high <= 1:
            raise OptionError(f"levels are {low},{high}; expected 0 <= low < high <= 1")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise OptionError(f"threshold is {self.threshold}; expected between 0 and 1")
        if not 0 <= self.feather <= 200:
            raise OptionError(f"feather is {self.feather} px; expected 0 to 200")
        if not -200 <= self.grow <= 200:
            raise OptionError(f"grow is {self.grow} px; expected -200 to 200")
        if self.radius < 1:
            raise OptionError(f"radius is {self.radius} px; expected 1 or more")
        if not self.epsilon > 0:
            raise OptionError(f"epsilon is {self.epsilon}; expected above 0, such as 0.001")


def refine(frame: Frame, rgb: NDArray[np.uint8], matte: Matte, options: RefineOptions) -> FullMatte:
    """Bring ``matte`` to the size of ``frame``; ``rgb`` is the picture that the model saw."""
    alpha = _levels(matte.alpha, options)
    keyed = None if options.key is None else pull(frame, alpha, options.key)
    if keyed is not None:
        alpha = keyed.alpha
        if matte.known is not None:
            alpha = impose(alpha, *certainty(matte.known, *alpha.shape[::-1]))
    low = cv2.erode(alpha, _NEIGHBOURS, borderType=cv2.BORDER_REPLICATE)
    high = cv2.dilate(alpha, _NEIGHBOURS, borderType=cv2.BORDER_REPLICATE)
    size = (frame.width, frame.height)
    scale = max(1.0, frame.width / alpha.shape[1])
    regions, solid = find_tiles(low, high, size)
    if not regions and keyed is None:
        return FullMatte(size, (), solid, screen=options.key is None)
    # A key is exact: where it is as large as the frame, a filter could only blur it.
    guided = options.method != "off" and options.threshold is None and (keyed is None or scale > 1)
    picture: Map | None = None
    if keyed is not None:
        picture = keyed.picture
    elif guided or options.decontaminate:
        picture = _native(rgb, frame)
    if guided:
        assert picture is not None
        top = (1 << frame.format.depth) - 1
        guide = picture if picture.ndim < 3 else cv2.extractChannel(picture, _guide(frame))
        a, b = _guided(guide, alpha, scale, top, options)
        luma = _guide_plane(frame)
        maps = cv2.merge([a, b, low, high])
        edges = [Edges(p, _along(luma, maps, p, size)) for p in batches(regions)]
    else:
        edges = [Edges(p, p.enlarge(alpha, size)) for p in batches(regions)]
        if options.threshold is not None:
            edges = [Edges(e.packing, (e.alpha >= 0.5).astype(np.float32)) for e in edges]
    if matte.known is not None and matte.known.shape == (frame.height, frame.width):
        known = matte.known
        edges = [
            Edges(e.packing, impose_exactly(e.alpha, e.packing.gather(known).astype(np.uint8)))
            for e in edges
        ]
    screen = options.key is None or keyed is not None
    refined = FullMatte(size, tuple(edges), solid, screen=screen)
    if options.method == "closed-form":
        refined = _retiled(refined, solve(frame.rgb(size), refined.values(), matte, scale))
    if options.grow or options.feather:
        refined = _shape(refined, options)
    if options.decontaminate and keyed is not None:
        refined = replace(refined, subject=subject(keyed, frame.format.name))
    elif options.decontaminate and refined.edges:
        assert picture is not None
        refined = replace(refined, residual=_residual(picture, matte, alpha, frame))
    return refined


def _along(luma: Plane, maps: Map, packing: Packing, size: tuple[int, int]) -> Map:
    """Return a * luma + b, bound by the least and greatest alpha around; maps: these four."""
    alpha = np.empty((1, packing.count), np.float32)
    for region, (slices, value) in zip(packing.regions, packing.blocks(alpha), strict=True):
        a, b, low, high = split(sample(maps, region, size))
        cv2.multiply(luma[slices], a, value, dtype=cv2.CV_32F)
        cv2.add(value, b, value)
        # A textured background must not print through: the model's own neighbourhood binds.
        cv2.max(value, low, value)
        cv2.min(value, high, value)
    return alpha


_NEIGHBOURS = np.ones((3, 3), np.uint8)


def _levels(alpha: Map, options: RefineOptions) -> Map:
    if options.threshold is not None:
        # The edge stays soft over one working pixel, so that it is cut at full size, not in steps.
        steep: Map = np.clip((alpha - options.threshold) * 4 + 0.5, 0, 1)
        return steep
    low, high = options.levels
    stretched = alpha - np.float32(low)
    stretched *= np.float32(1 / (high - low))
    return np.clip(stretched, 0, 1, out=stretched)


def _guided(
    guide: Map, alpha: Map, scale: float, top: int, options: RefineOptions
) -> tuple[Map, Map]:
    """Return a, b such that alpha is about a * luma + b around each pixel (arXiv 1505.00996).

    guide: luma in code values up to ``top``. scale: how much larger the frame is. The more the
    matte is enlarged, the less its own values are replaced by the filter's means, and the more it
    takes for texture to count as an edge: else the background's grain is cut into the subject's
    outline. Chosen on the test clips, by scores and by eye (benchmarks/refinement.py). It is used
    where nothing is enlarged, too: that blurs an exact matte, but betters those of models.
    """
    side = 2 * options.radius + 1

    def mean(x: Map) -> Map:
        blurred: Map = cv2.blur(x, (side, side), borderType=cv2.BORDER_REPLICATE)
        return blurred

    mean_guide, mean_alpha = mean(guide), mean(alpha)
    covariance = mean(guide * alpha) - mean_guide * mean_alpha
    variance = mean(guide * guide) - mean_guide * mean_guide
    a: Map = covariance / (variance + np.float32(options.epsilon * scale * top**2))
    a = cv2.GaussianBlur(a, (3, 3), 0.6, borderType=cv2.BORDER_REPLICATE)
    share = np.float32(1 / scale**2)
    b = alpha + share * (mean_alpha - alpha) - a * (guide + share * (mean_guide - guide))
    return a, b


def _guide(frame: Frame) -> int:
    """Return the channel that guides: luma, or green for RGB."""
    return 1 if frame.format.channels > 1 else 0


def _guide_plane(frame: Frame) -> Plane:
    """Return the channel that guides at full size, in code values, without a copy."""
    plane = frame.planes[0]
    return plane[:, :, _guide(frame)] if frame.format.channels > 1 else plane


def _native(rgb: NDArray[Any], frame: Frame) -> Map:
    """Return RGB in the frame's format, [h, w, C] or of gray [h, w] float32, in code values.

    rgb: uint8, or float32 in 0..1.
    """
    format = frame.format
    if format.rgb:
        matrix = np.zeros((3, 4), np.float32)
        matrix[range(3), format.rgb_order] = (1 << format.depth) - 1
    else:
        colour = frame.colour.resolved(frame.width, frame.height, rgb=False)
        matrix = colour.rgb_to_yuv(format.depth)[: 1 if format.gray else 3]
    if rgb.dtype == np.uint8:
        rgb = rgb.astype(np.float32)
        matrix = matrix * np.array([1 / 255, 1 / 255, 1 / 255, 1], np.float32)
    native: Map = cv2.transform(rgb, matrix)
    return native


def _residual(picture: Map, matte: Matte, alpha: Map, frame: Frame) -> tuple[Map, ...]:
    """Return what turns the picture into the subject's own colour, see FullMatte."""
    if matte.foreground is not None:
        own = _native(matte.foreground, frame)
    else:
        own = estimate_foreground(picture, alpha, (1 << frame.format.depth) - 1)
    own -= picture
    return split(own)


def _shape(matte: FullMatte, options: RefineOptions) -> FullMatte:
    """Grow, shrink and feather near the edges, and find them anew."""
    width, height = matte.size
    pixels = round(options.grow)
    # OpenCV ends a Gaussian at 4 sigma.
    reach = abs(pixels) + math.ceil(2 * options.feather)
    near = np.zeros((-(-height // TILE), -(-width // COLUMNS)), np.uint8)
    for y, _, first, last in (r for e in matte.edges for r in e.regions):
        near[y // TILE, first // COLUMNS : -(-last // COLUMNS)] = 1
    rows, columns = (2 * math.ceil(reach / n) + 1 for n in (TILE, COLUMNS))
    near = cv2.dilate(near, np.ones((rows, columns), np.uint8))
    # What lies around a run is worked out again for the next one; too often where it is more.
    found = runs(near > 0, matte.size) if reach <= TILE else [Region(0, height, 0, width)]
    plane = matte.values()
    shaped = plane.copy()
    for run in found:
        y, x = max(0, run.y0 - reach), max(0, run.x0 - reach)
        part = _grown(plane[y : run.y1 + reach, x : run.x1 + reach], pixels)
        if options.feather:
            part = cv2.GaussianBlur(part, (0, 0), options.feather / 2)
            # What a code value cannot show is not an edge.
            part[part < 1 / 512] = 0
            part[part > 1 - 1 / 512] = 1
        shaped[run.slices] = part[run.y0 - y : run.y1 - y, run.x0 - x : run.x1 - x]
    return _retiled(matte, shaped)


def _retiled(matte: FullMatte, shaped: Map) -> FullMatte:
    """Return ``matte`` with alpha as in the plane ``shaped``."""
    regions, solid = find_tiles(shaped, shaped, matte.size)
    edges = (Edges(p, p.gather(shaped)) for p in batches(regions))
    return replace(matte, edges=tuple(edges), solid=solid)


def _grown(plane: Map, pixels: int) -> Map:
    """Return ``plane`` grown, or where negative shrunk, by an octagon of that radius.

    Its diagonal is as long as its axes: a square of 1 reaches sqrt(2) along it, a cross sqrt(1/2).
    """
    squares = round(0.414 * abs(pixels))
    morph = cv2.dilate if pixels > 0 else cv2.erode
    steps = ((cv2.MORPH_RECT, squares), (cv2.MORPH_CROSS, abs(pixels) - squares))
    for shape, times in steps:
        if times:
            kernel = cv2.getStructuringElement(shape, (3, 3))
            plane = morph(plane, kernel, iterations=times, borderType=cv2.BORDER_REPLICATE)
    return plane
