"""Chroma key: alpha and clean colours from a screen of one colour, joined with the model's matte.

A colour-difference keyer (Smith and Blinn, "Blue Screen Matting", SIGGRAPH 1996, tells why more
than one plane is needed and what is assumed instead: a subject without much of the key's colour).
It works in Cb and Cr at the size they are coded in: "green less the greater of red and blue" holds
no luma, so that nothing finer is lost. vmatte.refine then enlarges along the luma plane.

The model decides what belongs to the subject at all (lamps and stands beside it do not, a green
badge on it does); the key decides where its edge is.
"""

import re
from dataclasses import dataclass, replace

import cv2
import numpy as np
from av import VideoFrame

from vmatte.colour import Colour
from vmatte.errors import OptionError
from vmatte.frames import Frame, new_picture, plane_views
from vmatte.fullmatte import Map

_NAMED = {"green": (0, 1, 0), "blue": (0, 0, 1)}

_SLOPE = 0.7
"""How fast a colour stops being the key's as its hue turns away: excess = x - slope * |y|."""

_SHADOW = 1.2
"""Shadows on the screen that leave 1 - tolerance of its light, over this, are still screen."""

_CLEAR = 0.08
"""Share of the screen's strength below which a pixel is wholly the subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOptions:
    """The screen behind the subject.

    colour: RGB in 0..1; only its hue counts. tolerance: how far below the screen's own strength,
    as a share of it, a pixel is still screen.
    """

    colour: tuple[float, float, float]
    tolerance: float = 0.15

    def __post_init__(self) -> None:
        """Raise OptionError on a colour without a hue, and a tolerance out of range."""
        if max(self.colour) - min(self.colour) < 0.15:
            raise OptionError(
                "the key's colour is nearly gray; expected a saturated one such as green, #00b140"
            )
        if not 0 < self.tolerance < 0.8:
            raise OptionError(f"the key's tolerance is {self.tolerance}; expected 0.01 to 0.8")


def parse_key(text: str) -> KeyOptions:
    """Read green, blue or #rrggbb, with :TOLERANCE behind it if wanted. Raises OptionError."""
    name, _, tolerance = text.partition(":")
    if name in _NAMED:
        colour: tuple[float, ...] = tuple(float(c) for c in _NAMED[name])
    elif re.fullmatch(r"#[0-9a-fA-F]{6}", name):
        colour = tuple(int(name[i : i + 2], 16) / 255 for i in (1, 3, 5))
    else:
        raise OptionError(
            f"key {text!r}: expected green, blue or #rrggbb, then :TOLERANCE if wanted"
        )
    r, g, b = colour
    if not tolerance and ":" not in text:
        return KeyOptions(colour=(r, g, b))
    try:
        return KeyOptions(colour=(r, g, b), tolerance=float(tolerance))
    except ValueError as e:
        if isinstance(e, OptionError):
            raise
        raise OptionError(f"key {text!r}: {tolerance!r} is not a number such as 0.2") from e


@dataclass(frozen=True, slots=True, repr=False)
class Keyed:
    """What the key says of a frame, at the size of its chroma planes.

    alpha: [h, w] float32. picture: luma at that size, in code values. residual: [h, w, 3] float32,
    what to add to Y, U and V, in code values, to get the subject's own colour. frame: as YUV.
    """

    alpha: Map
    picture: Map
    residual: Map
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
    image = cv2.merge([p.astype(np.float32) * (1 / top) for p in (luma, u, v)])
    # From black and from gray: mixtures of light.
    cv2.subtract(image, _zero(work), image)
    hue = _direction(work, options)
    model = cv2.resize(alpha, size, interpolation=cv2.INTER_LINEAR)
    screen = _screen(image, model, hue)
    if screen is None:
        return None
    excess, strength = _excess(image, hue), np.maximum(_excess(screen, hue), 0.02)
    # What is darker than the screen hides it at least so far, green as its shadows may be.
    bound = cv2.divide(image[:, :, 0], cv2.max(screen[:, :, 0], 0.02), scale=_SHADOW)
    share = np.clip(cv2.min(cv2.divide(excess, strength), bound), 0, 1)
    keyed = np.clip((1 - options.tolerance - share) / (1 - options.tolerance - _CLEAR), 0, 1)
    keyed = cv2.max(keyed, _strands(image[:, :, 0], screen[:, :, 0], share))
    deep = _moved(model, -0.025)
    joined = _join(keyed, model, deep)
    residual = _clean(image, screen, strength, joined, deep, hue) * top
    return Keyed(joined, luma.astype(np.float32), residual, work)


def subject(keyed: Keyed, format: str) -> VideoFrame:
    """Return the keyed frame's picture in the subject's own colours, in ``format``."""
    frame = keyed.frame
    picture = new_picture(frame.width, frame.height, frame.format.name)
    for out, plane, add in zip(
        plane_views(picture), frame.planes, cv2.split(keyed.residual), strict=False
    ):
        if add.shape != plane.shape:
            add = cv2.resize(add, plane.shape[::-1], interpolation=cv2.INTER_LINEAR)
        if plane.dtype == np.uint8:
            cv2.add(plane, add, dtype=cv2.CV_8U, dst=out)
        else:
            out[...] = np.clip(np.rint(plane + add), 0, (1 << frame.format.depth) - 1)
    if frame.format.alpha:
        plane_views(picture)[3][...] = frame.planes[3]
    made = replace(frame, picture=picture)
    return (made if format == frame.format.name else made.convert(format)).picture


def _zero(frame: Frame) -> tuple[float, float, float, float]:
    """Return black and gray of Y, Cb and Cr, in 0..1 of full scale."""
    colour = frame.colour.resolved(frame.width, frame.height, rgb=False)
    black, u, v = (colour.rgb_to_yuv(8)[:, 3] / 255).tolist()
    return black, u, v, 0.0


def _direction(frame: Frame, options: KeyOptions) -> tuple[float, float]:
    """Return the key's direction in the plane of Cb and Cr, of length 1."""
    colour: Colour = frame.colour.resolved(frame.width, frame.height, rgb=False)
    u, v = (colour.rgb_to_yuv(8)[1:, :3] @ np.array(options.colour, np.float32)).tolist()
    length = float(np.hypot(u, v))
    return u / length, v / length


def _excess(image: Map, hue: tuple[float, float]) -> Map:
    """Return how much of the key's colour is in each pixel, 0 for all that is turned away."""
    turn = np.array([[0, hue[0], hue[1]], [0, -_SLOPE * hue[1], _SLOPE * hue[0]]], np.float32)
    along, off = cv2.split(cv2.transform(image, turn))
    excess: Map = cv2.max(cv2.subtract(along, np.abs(off)), 0.0)
    return excess


def _screen(image: Map, model: Map, hue: tuple[float, float]) -> Map | None:
    """Return the screen as it would look without the subject, None where there is none.

    It is lit unevenly as a rule: what is seen of it is smoothed and spread behind the subject.
    """
    h, w = model.shape
    scale = min(1.0, _SCREEN / max(h, w))
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    excess = _excess(small, hue)
    seen = (excess > 0.03) & (cv2.resize(model, size, interpolation=cv2.INTER_AREA) < 0.5)
    if seen.mean() < 0.005:
        return None
    # Half of the usual strength leaves corners in, and shadows of edges out.
    sure = (seen & (excess > 0.5 * np.median(excess[seen]))).astype(np.uint8)
    eroded = cv2.erode(sure, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    weight = (eroded if eroded.any() else sure).astype(np.float32)
    filled: Map = cv2.resize(_spread(small, weight), (w, h), interpolation=cv2.INTER_LINEAR)
    return filled


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


def _join(keyed: Map, model: Map, deep: Map) -> Map:
    """Return the key's alpha near the model's edge, the model's word far from it.

    Deep within the model's matte all is subject, whatever its colour. Far outside nothing is. A
    little outside only thin things are, such as hair: a whole lamp is not what the model missed.
    """
    near = _moved(model, 0.006)
    reach = _moved(model, 0.08)
    side = 2 * max(1, round(0.006 * max(keyed.shape))) + 1
    solid = cv2.morphologyEx(keyed, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    joined: Map = cv2.max((keyed - solid * (1 - near)) * reach, deep)
    return joined


def _moved(model: Map, share: float) -> Map:
    """Return ``model`` grown by ``share`` of the picture's longer side (shrunk when negative)."""
    h, w = model.shape
    scale = min(1.0, _MASK / max(h, w))
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    small = cv2.resize(model, size, interpolation=cv2.INTER_AREA)
    radius = max(1, round(abs(share) * max(size)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    morph = cv2.dilate if share > 0 else cv2.erode
    moved = cv2.GaussianBlur(
        morph(small, disc, borderType=cv2.BORDER_REPLICATE),
        (3, 3),
        0,
        borderType=cv2.BORDER_REPLICATE,
    )
    grown: Map = cv2.resize(moved, (w, h), interpolation=cv2.INTER_LINEAR)
    return grown


_MASK = 256
"""Longer side at which masks are grown and shrunk."""


def _clean(
    image: Map,
    screen: Map,
    strength: Map,
    alpha: Map,
    deep: Map,
    hue: tuple[float, float],
) -> Map:
    """Return what to add to a picture to get the subject's own colour.

    Where the screen shines through it is taken out of the mixture, image = alpha * subject +
    (1 - alpha) * screen. What is left of its hue is light that it threw on the subject: it goes
    too, but for things of that colour that lie wholly within the subject.
    """
    # More than that would make noise and a wrong alpha loud; the despill below takes the rest.
    solid = np.clip(alpha, 0.4, 1)
    own = image + (image - screen) * (1 / solid - 1)[:, :, None]
    spill = _excess(own, hue) / strength
    kept = deep * np.clip((spill - 0.4) * 3, 0, 1)
    spill *= 1 - kept
    along = spill * strength
    own[:, :, 0] -= _DIM * spill * screen[:, :, 0]
    own[:, :, 1] -= along * np.float32(hue[0])
    own[:, :, 2] -= along * np.float32(hue[1])
    residual: Map = own - image
    return residual


_DIM = 0.5
"""Share of the spill's brightness that goes with its colour."""
