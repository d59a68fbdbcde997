"""Blending on the native planes: copies where alpha is 0 or 1, arithmetic only at the edges."""

from collections.abc import Iterator

import cv2
import numpy as np
from av import VideoFrame

from vmatte.frames import Frame, Pictures, new_picture, plane_views
from vmatte.fullmatte import FullMatte, Map, Packing, Shift, codes
from vmatte.pixels import FORMATS, PixelFormat, Plane


def over(
    frame: Frame,
    matte: FullMatte,
    background: tuple[Plane, ...],
    pictures: Pictures | None = None,
) -> VideoFrame:
    """Return ``frame`` over ``background``: fg * alpha + bg * (1 - alpha), plane by plane.

    Where alpha is 1 the result equals the frame bit for bit, where it is 0 the background.
    pictures: where to take the result's memory from.
    """
    format = frame.format
    take = pictures.take if pictures else new_picture
    picture = take(frame.width, frame.height, format.name)
    rows = zip(plane_views(picture), frame.planes, background, strict=True)
    for index, (out, plane, behind) in enumerate(rows):
        shift = format.shift(index)
        out[...] = behind
        for region in matte.solid:
            part = region.scaled(shift).slices
            out[part] = plane[part]
        for packing, alpha, own in own_colours(plane, matte, shift, format, index):
            low = packing.gather(behind)
            own -= low
            own *= alpha
            own += low
            packing.scatter(codes(own, format.depth), out)
    return picture


def cut_out(frame: Frame, matte: FullMatte, format: PixelFormat) -> VideoFrame:
    """Return the subject's own colour, black where alpha is 0, in ``format``.

    ``format`` is the frame's, or the same with an alpha plane, which then holds alpha (straight:
    colours are not multiplied by it).
    """
    picture = new_picture(frame.width, frame.height, format.name)
    views = plane_views(picture)
    source = frame.planes
    top = (1 << format.depth) - 1
    black = _black(frame)
    for index, plane in enumerate(source):
        out = views[index]
        colours = out[:, :, :3] if format.channels == 4 else out
        shift = format.shift(index)
        colours[...] = black[index]
        for region in matte.solid:
            part = region.scaled(shift).slices
            colours[part] = plane[part]
        for packing, alpha, own in own_colours(plane, matte, shift, format, index):
            own[alpha < 0.5 / top] = black[index]
            packing.scatter(codes(own, format.depth), colours)
    if format.alpha:
        dense = matte.dense(format.depth)
        if format.channels == 4:
            views[0][:, :, 3] = dense
        else:
            views[3][...] = dense
    return picture


def own_colours(
    plane: Plane, matte: FullMatte, shift: Shift, format: PixelFormat, index: int
) -> Iterator[tuple[Packing, Map, Map]]:
    """Yield (packing, alpha, colour) of the edges of plane ``index``, see Packing.

    colour: the plane's code values without the old background's share. It fades to the plane's own
    as alpha comes near 1, so that opaque pixels stay bit-equal to the source.
    """
    channels = 3 if format.channels > 1 else 1
    first = 0 if channels > 1 else index
    maps = matte.residual[first : first + channels]
    residual = cv2.merge(maps) if maps else None
    size = (plane.shape[1], plane.shape[0])
    for edges in matte.edges:
        packing, alpha = edges.at(shift)
        if channels > 1:
            alpha = np.repeat(alpha, channels, axis=1)
        own = packing.gather(plane)
        if residual is not None:
            # min(1 - alpha, 1/8) * 8
            fade = np.float32(1) - alpha
            cv2.threshold(fade, 1 / 8, 1 / 8, cv2.THRESH_TRUNC, fade)
            fade *= packing.enlarge(residual, size)
            cv2.scaleAdd(fade, 8.0, own, own)
        yield packing, alpha, own


def _black(frame: Frame) -> list[float]:
    format = frame.format
    if format.rgb:
        return [0.0] * format.planes
    colour = frame.colour.resolved(frame.width, frame.height, rgb=False)
    return [float(v) for v in np.rint(colour.rgb_to_yuv(format.depth)[:, 3])]


def with_alpha(format: PixelFormat) -> tuple[PixelFormat, PixelFormat]:
    """Return (opaque, with alpha): the formats nearest to ``format`` that differ in alpha alone.

    A frame must be converted to the first where it is not in it.
    """
    if format.channels > 1:
        order = format.name[:3]
        return FORMATS[f"{order}24"], FORMATS["rgba" if order == "rgb" else "bgra"]
    kind = "gbrp" if format.rgb else f"yuv{_subsampling(format)}p"
    fitting = [
        f
        for f in FORMATS.values()
        if f.alpha
        and f.name.startswith(kind.replace("yuv", "yuva").replace("gbrp", "gbrap"))
        and f.depth >= format.depth
        and f.channels == 1
    ]
    best = min(fitting, key=lambda f: f.depth)
    return FORMATS[best.name.replace("yuva", "yuv").replace("gbrap", "gbrp")], best


def _subsampling(format: PixelFormat) -> str:
    if format.gray:
        return "444"
    return {(1, 1): "420", (1, 0): "422"}.get((format.shift_x, format.shift_y), "444")
