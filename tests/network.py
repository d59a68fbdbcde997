"""What tests of streams look for."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from media import rgb_picture

from vmatte.errors import SourceLostError
from vmatte.frames import Frame


def lost(frames: Iterator[Frame]) -> tuple[float, SourceLostError]:
    begun = time.monotonic()
    with pytest.raises(SourceLostError) as caught:
        for _ in frames:
            pass
    return time.monotonic() - begun, caught.value


def shows(frame: Frame, size: tuple[int, int]) -> None:
    """The corners are the clip's, and upright: nothing of another size or time is mixed in."""
    got, want = frame.rgb(size).astype(int), rgb_picture(0, size).astype(int)
    for y, x in ((8, 8), (8, -8), (-8, 8), (-8, -8)):
        assert np.abs(got[y, x] - want[y, x]).max() < 16
