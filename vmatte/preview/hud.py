"""The overlay: figures on a dimmed strip, and the help. Draws on [h, w, 3] uint8 BGR."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.live import LiveSnapshot
from vmatte.preview.keys import KEYS, OF_FILES, Action

Canvas = NDArray[np.uint8]

_FONT = cv2.FONT_HERSHEY_SIMPLEX

_WHITE, _RED, _YELLOW = (240, 240, 240), (80, 80, 255), (80, 220, 255)
"""BGR."""


_DIM = 0.35
"""Of the picture's brightness, left under text."""


def status_lines(
    now: LiveSnapshot | None, *, view: str, background: str, extra: Sequence[str] = ()
) -> list[str]:
    """Return the strip's lines. extra: states such as 'paused', 'mirrored'."""
    shown = f"{view} | {background}" if view in ("composite", "split") else view
    if now is None:
        return [" | ".join([shown, "starting", *extra])]
    latency = "-" if now.latency_p50 is None else f"{now.latency_p50:.0f} ms"
    first = [f"{now.fps:.1f} fps", f"latency {latency}", f"{now.dropped} dropped"]
    second = [shown]
    if now.engine is not None:
        engine = now.engine
        second.append(f"{engine.model} {engine.runtime}/{engine.provider}/{engine.precision}")
    if now.working is not None:
        second.append(f"{now.working[0]}x{now.working[1]}")
    return [" | ".join([*first, *extra]), " | ".join(second)]


def draw_status(
    canvas: Canvas, lines: Sequence[str], *, message: str = "", recording: bool = False
) -> int:
    """Draw ``lines`` on a strip at the bottom, a message above; return the height taken."""
    height: int = canvas.shape[0]
    width: int = canvas.shape[1]
    scale = _scale(canvas)
    lines = [message, *lines] if message else list(lines)
    margin = round(14 * scale)
    dot = round(26 * scale) if recording else 0
    scale = min(scale, _fitting(lines, width - 2 * margin - dot))
    pitch = max(1, round(34 * scale))
    taken = min(height, pitch * len(lines) + margin)
    _dim(canvas[height - taken :])
    for index, line in enumerate(lines):
        y = height - taken + margin // 2 + pitch * (index + 1) - pitch // 4
        colour = _YELLOW if message and index == 0 else _WHITE
        _text(canvas, line, (margin, y), scale, colour)
    if recording:
        radius = max(3, round(10 * scale))
        centre = (width - margin - radius, height - taken + margin // 2 + pitch // 2)
        cv2.circle(canvas, centre, radius, _RED, -1, cv2.LINE_AA)
    return taken


def help_lines(*, file: bool) -> list[tuple[str, str]]:
    """Return (key, what it does) of every key; file: the input is played and can be sought in."""
    lines = []
    for action, key in KEYS.items():
        if file or action not in OF_FILES:
            lines.append((f"{key}, esc" if action is Action.QUIT else key, action.value))
    return lines


def draw_help(canvas: Canvas, *, file: bool) -> None:
    """Draw the list of keys over the whole canvas."""
    lines = help_lines(file=file)
    height, width = canvas.shape[:2]
    # Twice: there is text everywhere.
    _dim(canvas)
    _dim(canvas)
    scale = min(_scale(canvas), height / (34 * (len(lines) + 1)))
    scale = min(scale, _fitting([f"wwwww  {what}" for _, what in lines], width - 8))
    pitch = round(34 * scale)
    left = max(4, round(24 * scale))
    top = max(0, (height - pitch * len(lines)) // 2)
    for index, (key, what) in enumerate(lines):
        y = top + pitch * (index + 1) - pitch // 4
        _text(canvas, key, (left, y), scale, _YELLOW)
        _text(canvas, what, (left + round(130 * scale), y), scale, _WHITE)


def _scale(canvas: Canvas) -> float:
    """Return the size of text, 1 on a screen of 1080 lines."""
    height: int = canvas.shape[0]
    return min(1.0, max(0.42, height / 1080))


def _fitting(lines: Sequence[str], width: int) -> float:
    widest: int = max((cv2.getTextSize(x, _FONT, 1.0, 1)[0][0] for x in lines), default=1)
    return max(0.25, width / max(1, widest))


def _dim(part: Canvas) -> None:
    part[...] = cv2.convertScaleAbs(part, alpha=_DIM)


def _text(
    canvas: Canvas, text: str, at: tuple[int, int], scale: float, colour: tuple[int, int, int]
) -> None:
    # Its letters are ASCII; names of files may have others.
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(canvas, plain, at, _FONT, scale, colour, 1, cv2.LINE_AA)
