"""A picture of the room without the subject: what looks like it is background."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.errors import InputError
from vmatte.fullmatte import Map
from vmatte.sources import open_source

_FIT = 0.2
"""Share of the model's background that must look like the plate, or the camera has moved."""

_NOISE = 5.0
"""Least difference, in 8-bit levels, that counts: compression alone makes as much."""


class Plate:
    """A clean background of the same, fixed camera."""

    def __init__(self, path: Path, width: int, height: int) -> None:
        """Read the plate for frames of width x height. Raises InputError."""
        source = open_source(str(path))
        try:
            frame = next(iter(source), None)
        finally:
            source.close()
        if frame is None or (frame.width, frame.height) != (width, height):
            size = "empty" if frame is None else f"{frame.width}x{frame.height}"
            raise InputError(
                f"{path}: the plate is {size}, but the frame is {width}x{height}; take it with the "
                "same camera, at the same size"
            )
        self._name, self._frame = str(path), frame

    def drop(self, rgb: NDArray[np.uint8], alpha: Map) -> Map:
        """Return alpha, 0 where ``rgb`` looks like the plate, after one gain for each channel.

        Raises InputError where hardly anything of the model's background looks like it.
        """
        plate = self._frame.rgb(rgb.shape[1::-1]).astype(np.float32)
        picture = rgb.astype(np.float32)
        room = alpha < 0.5
        if room.mean() < 0.01:
            return alpha
        # Exposure and white balance drift: the median ratio is blind to where the model errs.
        gain = np.median((picture[room] + 1) / (plate[room] + 1), axis=0).astype(np.float32)
        difference = cv2.blur(np.abs(picture - plate * gain).max(2), (3, 3))
        noise = max(_NOISE, 3 * float(np.median(difference[room])))
        if float((difference[room] < 3 * _NOISE).mean()) < _FIT:
            raise InputError(
                f"{self._name}: the picture's background does not look like this plate; the camera "
                "must not move, and the plate must show the same room, in the same light"
            )
        # Between once and twice the noise it is left half to the model.
        away: Map = np.clip(difference / np.float32(noise) - 1, 0, 1)
        return alpha * away
