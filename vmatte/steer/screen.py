"""Colours of light before a screen of one colour, and how the screen is lit behind the subject."""

from collections.abc import Sequence

import cv2
import numpy as np

from vmatte.colour import Colour
from vmatte.frames import Frame
from vmatte.fullmatte import Map
from vmatte.pixels import Plane
from vmatte.steer.keyoptions import KeyOptions

_SLOPE = 0.7
"""How fast a colour stops being the key's as its hue turns away: excess = x - slope * |y|."""

Colours = tuple[Map, ...]
"""Y, Cb and Cr less black and gray: mixtures of light. Planes in 0..1 of full scale."""


def light(planes: Sequence[Plane], zero: tuple[float, ...], top: np.float32) -> Colours:
    scale = 1 / float(top)
    return tuple(
        cv2.addWeighted(p, scale, p, 0, -z, dtype=cv2.CV_32F)
        for p, z in zip(planes, zero, strict=False)
    )


def clipped(values: Map) -> Map:
    found: Map = cv2.min(cv2.max(values, 0.0), 1.0)
    return found


def zero_of(frame: Frame) -> tuple[float, float, float, float]:
    """Return black and gray of Y, Cb and Cr, in 0..1 of full scale."""
    colour = frame.colour.resolved(frame.width, frame.height, rgb=False)
    black, u, v = (colour.rgb_to_yuv(8)[:, 3] / 255).tolist()
    return black, u, v, 0.0


def direction(frame: Frame, options: KeyOptions) -> tuple[float, float]:
    """Return the key's direction in the plane of Cb and Cr, of length 1."""
    colour: Colour = frame.colour.resolved(frame.width, frame.height, rgb=False)
    u, v = (colour.rgb_to_yuv(8)[1:, :3] @ np.array(options.colour, np.float32)).tolist()
    length = float(np.hypot(u, v))
    return u / length, v / length


def excess_of(image: Colours, hue: tuple[float, float]) -> Map:
    """Return how much of the key's colour is in each pixel, 0 for all that is turned away."""
    _, u, v = image
    along = cv2.addWeighted(u, hue[0], v, hue[1], 0)
    off = cv2.addWeighted(u, -_SLOPE * hue[1], v, _SLOPE * hue[0], 0)
    excess: Map = cv2.max(cv2.subtract(along, cv2.absdiff(off, 0.0)), 0.0)
    return excess


def screen_behind(
    planes: Sequence[Plane],
    zero: tuple[float, ...],
    top: np.float32,
    model: Map,
    hue: tuple[float, float],
) -> Map | None:
    """Return the screen as it would look without the subject, None where there is none.

    It is lit unevenly as a rule: what is seen of it is smoothed and spread behind the subject.
    Planes of one size give [h, w, 3], at a size of its own.
    """
    h, w = planes[0].shape
    scale = min(1.0, _SCREEN / max(h, w))
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    small = light([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in planes], zero, top)
    excess = excess_of(small, hue)
    seen = (excess > 0.03) & (cv2.resize(model, size, interpolation=cv2.INTER_AREA) < 0.5)
    if seen.mean() < 0.005:
        return None
    # Half of the usual strength leaves corners in, and shadows of edges out.
    sure = (seen & (excess > 0.5 * np.median(excess[seen]))).astype(np.uint8)
    eroded = cv2.erode(sure, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    weight = (eroded if eroded.any() else sure).astype(np.float32)
    return _spread(cv2.merge(small), weight)


_SCREEN = 96
"""Longer side at which the screen is looked at."""


def _spread(colours: Map, weight: Map) -> Map:
    """Return ``colours``, smoothed where ``weight`` is 1 and spread from there to where it is 0."""
    levels = [cv2.merge([*cv2.split(colours * weight[:, :, None]), weight])]
    while max(levels[-1].shape[:2]) > 1:
        h, w = levels[-1].shape[:2]
        half = (-(-w // 2), -(-h // 2))
        levels.append(cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA))
    filled = levels.pop()
    while levels:
        known = cv2.GaussianBlur(levels.pop(), (3, 3), 0, borderType=cv2.BORDER_REPLICATE)
        size = known.shape[1::-1]
        filled = cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR)
        filled = filled / np.maximum(filled[:, :, 3:], np.float32(1e-6))
        filled = known + filled * (1 - known[:, :, 3:])
    return np.ascontiguousarray(filled[:, :, :3] / np.maximum(filled[:, :, 3:], np.float32(1e-6)))
