"""Chroma key: alpha and clean colours from a screen of one colour, joined with the model's matte.

A colour-difference keyer (Smith and Blinn, "Blue Screen Matting", SIGGRAPH 1996, tells why more
than one plane is needed and what is assumed instead: a subject without much of the key's colour).
It works in Cb and Cr at the size they are coded in: "green less the greater of red and blue" holds
no luma, so that nothing finer is lost. vmatte.refine then enlarges along the luma plane.

The model decides what belongs to the subject at all (lamps and stands beside it do not, a green
badge on it does); the key decides where its edge is.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from av import VideoFrame

from vmatte.errors import OptionError
from vmatte.frames import Frame, new_picture, plane_views
from vmatte.fullmatte import Map, Region
from vmatte.steer.keyoptions import KeyOptions
from vmatte.steer.screen import (
    Colours,
    clipped,
    direction,
    excess_of,
    light,
    screen_behind,
    zero_of,
)

_SHADOW = 1.2
"""Shadows on the screen that leave 1 - tolerance of its light, over this, are still screen."""

_CLEAR = 0.08
"""Share of the screen's strength below which a pixel is wholly the subject."""


@dataclass(frozen=True, slots=True, repr=False)
class Keyed:
    """What the key says of a frame, at the size of its chroma planes.

    alpha: [h, w] float32. picture: luma at that size, in code values. region: where the subject may
    be. residual: of Y, U and V, each of the region's size, float32: what to add, in code values, to
    get the subject's own colour; nothing elsewhere. frame: as YUV.
    """

    alpha: Map
    picture: Map
    region: Region
    residual: tuple[Map, ...]
    frame: Frame


def pull(frame: Frame, alpha: Map, options: KeyOptions) -> Keyed | None:
    """Key ``frame``, whose matte is ``alpha`` at any size; None where it shows no screen.

    Raises OptionError for a gray picture.
    """
    if frame.format.gray:
        raise OptionError("a gray picture has no colour to key; leave --key out")
    work = frame.convert("yuv444p16le") if frame.format.rgb else frame
    top = np.float32((1 << work.format.depth) - 1)
    y, u, v = work.planes[:3]
    size = (u.shape[1], u.shape[0])
    luma = cv2.resize(y, size, interpolation=cv2.INTER_AREA)
    hue, zero = direction(work, options), zero_of(work)
    behind = screen_behind((luma, u, v), zero, top, alpha, hue)
    if behind is None:
        return None
    near, reach, deep = _masks(alpha, size)
    # All is background beyond the model's reach, and needs no colours.
    region = _around(reach, size)
    image = light([p[region.slices] for p in (luma, u, v)], zero, top)
    screen: Colours = tuple(_enlarged(p, size, region) for p in cv2.split(behind))
    near, reach, deep = (_enlarged(m, size, region) for m in (near, reach, deep))
    strength = cv2.max(excess_of(screen, hue), 0.02)
    # What is darker than the screen hides it at least so far, green as its shadows may be.
    bound = cv2.divide(image[0], cv2.max(screen[0], 0.02), scale=_SHADOW)
    share = cv2.min(cv2.min(cv2.divide(excess_of(image, hue), strength), bound), 1.0)
    gain = 1 / (1 - options.tolerance - _CLEAR)
    keyed = clipped(cv2.addWeighted(share, -gain, share, 0, (1 - options.tolerance) * gain))
    keyed = cv2.max(keyed, _strands(image[0], screen[0], share))
    part = _join(keyed, near, reach, deep, round(0.006 * max(size)))
    residual = _clean(image, screen, strength, part, deep, hue, float(top))
    joined = np.zeros(size[::-1], np.float32)
    joined[region.slices] = part
    return Keyed(joined, luma.astype(np.float32), region, residual, work)


def subject(keyed: Keyed, format: str) -> VideoFrame:
    """Return the keyed frame's picture in the subject's own colours, in ``format``."""
    frame = keyed.frame
    height, width = keyed.alpha.shape
    picture = new_picture(frame.width, frame.height, frame.format.name)
    for out, plane, add in zip(plane_views(picture), frame.planes, keyed.residual, strict=False):
        region, (rows, cols) = keyed.region, plane.shape
        if (cols, rows) != (width, height):
            # Whole samples of chroma, enlarged as the planes are.
            x, y = cols / width, rows / height
            region = Region(
                round(region.y0 * y),
                min(rows, round(region.y1 * y)),
                round(region.x0 * x),
                min(cols, round(region.x1 * x)),
            )
            wide = (region.x1 - region.x0, region.y1 - region.y0)
            add = cv2.resize(add, wide, interpolation=cv2.INTER_LINEAR)
        out[...] = plane
        part = plane[region.slices]
        if plane.dtype == np.uint8:
            out[region.slices] = cv2.add(part, add, dtype=cv2.CV_8U)
        else:
            top = (1 << frame.format.depth) - 1
            out[region.slices] = np.clip(np.rint(part + add), 0, top)
    if frame.format.alpha:
        plane_views(picture)[3][...] = frame.planes[3]
    made = replace(frame, picture=picture)
    return (made if format == frame.format.name else made.convert(format)).picture


def _enlarged(values: Map, size: tuple[int, int], region: Region) -> Map:
    # A whole resize costs a quarter of a warp of the part.
    whole: Map = cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)
    return whole[region.slices]


def _strands(luma: Map, screen: Map, share: Map) -> Map:
    """Return the alpha of single dark hairs before the screen.

    Chroma is coded too coarsely to show them; luma does, as lines darker than what is around them.
    The screen's own grain tells from how much on that means anything.
    """
    lines = cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, np.ones((5, 5), np.uint8))
    lines = lines / np.maximum(screen, np.float32(0.02))
    plain = (share > 0.9).astype(np.uint8)
    grain = cv2.mean(lines, plain)[0]
    found: Map = np.clip((lines - np.float32(max(4 * grain, 0.02))) * 1.5, 0, 1)
    return found


def _join(keyed: Map, near: Map, reach: Map, deep: Map, radius: int) -> Map:
    """Return the key's alpha near the model's edge, the model's word far from it.

    Deep within the model's matte all is subject, whatever its colour. Far outside nothing is. A
    little outside only thin things are, such as hair: a whole lamp is not what the model missed.
    """
    side = 2 * max(1, radius) + 1
    solid = cv2.morphologyEx(keyed, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    thin = cv2.subtract(keyed, cv2.multiply(solid, cv2.subtract(1.0, near)))
    joined: Map = cv2.max(cv2.multiply(thin, reach), deep)
    return joined


def _masks(model: Map, size: tuple[int, int]) -> tuple[Map, Map, Map]:
    """Return the model's matte grown a little and far, and shrunk; at a size of their own."""
    scale = min(1.0, _MASK / max(size))
    own = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    small = cv2.resize(model, own, interpolation=cv2.INTER_AREA)
    near, reach, deep = (_moved(small, share) for share in (0.006, 0.08, -0.025))
    return near, reach, deep


def _moved(model: Map, share: float) -> Map:
    """Return ``model`` grown by ``share`` of the picture's longer side (shrunk when negative)."""
    radius = max(1, round(abs(share) * max(model.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    morph = cv2.dilate if share > 0 else cv2.erode
    moved: Map = cv2.GaussianBlur(
        morph(model, disc, borderType=cv2.BORDER_REPLICATE),
        (3, 3),
        0,
        borderType=cv2.BORDER_REPLICATE,
    )
    return moved


_MASK = 256
"""Longer side at which masks are grown and shrunk."""


_SHOWN = 1 / 128
"""A mask of less shows nothing: a model's faint fog must not cost time."""


def _around(mask: Map, size: tuple[int, int]) -> Region:
    """Return the rectangle of a plane of that size with all that ``mask`` shows; never empty."""
    h, w = mask.shape
    seen = mask > _SHOWN
    rows, cols = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if not len(rows):
        return Region(0, 1, 0, 1)
    # One more on each side: enlarging reaches into it.
    y0, y1 = max(0, rows[0] - 1) / h, min(h, rows[-1] + 2) / h
    x0, x1 = max(0, cols[0] - 1) / w, min(w, cols[-1] + 2) / w
    return Region(
        int(y0 * size[1]), math.ceil(y1 * size[1]), int(x0 * size[0]), math.ceil(x1 * size[0])
    )


def _clean(
    image: Colours,
    screen: Colours,
    strength: Map,
    alpha: Map,
    deep: Map,
    hue: tuple[float, float],
    top: float,
) -> tuple[Map, ...]:
    """Return what to add to a picture, times ``top``, to get the subject's own colour.

    Where the screen shines through it is taken out of the mixture, image = alpha * subject +
    (1 - alpha) * screen. What is left of its hue is light that it threw on the subject: it goes
    too, but for things of that colour that lie wholly within the subject.
    """
    # More than that would make noise and a wrong alpha loud; the despill below takes the rest.
    solid = cv2.min(cv2.max(alpha, 0.4), 1.0)
    through = cv2.subtract(cv2.divide(1.0, solid), 1.0)
    added = [cv2.multiply(cv2.subtract(i, s), through) for i, s in zip(image, screen, strict=True)]
    y, u, v = (cv2.add(i, a) for i, a in zip(image, added, strict=True))
    spill = cv2.divide(excess_of((y, u, v), hue), strength)
    kept = cv2.multiply(deep, clipped(cv2.addWeighted(spill, 3, spill, 0, -1.2)))
    spill = cv2.multiply(spill, cv2.subtract(1.0, kept))
    along = cv2.multiply(spill, strength)
    dim = cv2.multiply(spill, screen[0])
    return (
        cv2.addWeighted(added[0], top, dim, -_DIM * top, 0),
        cv2.addWeighted(added[1], top, along, -hue[0] * top, 0),
        cv2.addWeighted(added[2], top, along, -hue[1] * top, 0),
    )


_DIM = 0.5
"""Share of the spill's brightness that goes with its colour."""
