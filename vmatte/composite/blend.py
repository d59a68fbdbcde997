"""Blending on the native planes: copies where alpha is 0 or 1, arithmetic only at the edges."""

import cv2
import numpy as np
from av import VideoFrame

from vmatte.frames import Frame, new_picture, plane_views
from vmatte.fullmatte import Edge, FullMatte, Map, Shift
from vmatte.pixels import FORMATS, PixelFormat, Plane


def over(frame: Frame, matte: FullMatte, background: tuple[Plane, ...]) -> VideoFrame:
    """Return ``frame`` over ``background``: fg * alpha + bg * (1 - alpha), plane by plane.

    Where alpha is 1 the result equals the frame bit for bit, where it is 0 the background.
    """
    format = frame.format
    picture = new_picture(frame.width, frame.height, format.name)
    rows = zip(plane_views(picture), frame.planes, background, strict=True)
    for index, (out, plane, behind) in enumerate(rows):
        shift = format.shift(index)
        out[...] = behind
        for region in matte.solid:
            part = region.scaled(shift).slices
            out[part] = plane[part]
        for edge in matte.edges:
            part = edge.region.scaled(shift).slices
            subject = own_colour(plane[part], matte, edge, shift, format, index)
            _mix(subject, behind[part], edge.shares_at(shift), out[part])
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
        for edge in matte.edges:
            part = edge.region.scaled(shift).slices
            subject = own_colour(plane[part], matte, edge, shift, format, index)
            seen = edge.shares_at(shift)[0] >= 0.5 / top
            if subject.ndim == 3:
                seen = seen[:, :, None]
            colours[part] = np.where(seen, subject, np.asarray(black[index], plane.dtype))
    if format.alpha:
        dense = matte.dense(format.depth)
        if format.channels == 4:
            views[0][:, :, 3] = dense
        else:
            views[3][...] = dense
    return picture


def own_colour(
    part: Plane, matte: FullMatte, edge: Edge, shift: Shift, format: PixelFormat, index: int
) -> Plane:
    """Return an edge's region of plane ``index`` without the old background's colour."""
    if not matte.residual:
        return part
    if format.channels > 1:
        residual: Map = cv2.merge([matte.residual_at(edge, shift, c) for c in range(3)])
    else:
        residual = matte.residual_at(edge, shift, index)
    if part.dtype == np.uint8:
        subject: Plane = cv2.add(part, residual, dtype=cv2.CV_8U)
        return subject
    top = (1 << format.depth) - 1
    return np.clip(np.rint(part + residual), 0, top).astype(np.uint16)


def _mix(subject: Plane, behind: Plane, shares: tuple[Map, Map], out: Plane) -> None:
    if subject.dtype == np.uint8:
        cv2.blendLinear(subject, behind, *shares, out)
        return
    low = behind.astype(np.float32)
    weight = shares[0] if subject.ndim == 2 else shares[0][:, :, None]
    out[...] = np.rint(low + (subject - low) * weight)


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
