"""Frames brought to the size, format and colours of a stream; blank and mirrored ones."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from live_sources import BT709, SIZE, info, picture

from vmatte.frames import from_array
from vmatte.live.conform import blank, conform, mirrored
from vmatte.pixels import FORMATS


def test_another_shape_lies_between_bars() -> None:
    wide = conform(picture(200, (128, 48)), info())
    rgb = wide.rgb(SIZE)
    assert np.abs(rgb[12:36].astype(int) - 200).max() <= 2
    assert rgb[:11].max() <= 2 and rgb[37:].max() <= 2
    tall = conform(picture(200, (32, 48)), info()).rgb(SIZE)
    assert np.abs(tall[:, 17:47].astype(int) - 200).max() <= 2
    assert tall[:, :15].max() <= 2 and tall[:, 49:].max() <= 2
    # Pixels twice as wide as high: the picture is of the same shape after all.
    shaped = conform(picture(200, (32, 48)), info(), Fraction(2)).rgb(SIZE)
    assert np.abs(shaped.astype(int) - 200).max() <= 2


@pytest.mark.parametrize("format", ["yuv422p", "yuv444p", "rgb24", "gray", "yuv420p10le"])
def test_other_formats_and_colours(format: str) -> None:
    rgb = np.full((48, 64, 3), (200, 60, 30), np.uint8)
    if format == "gray":
        rgb[...] = 90
    full = replace(BT709, range=2)
    frame = from_array(rgb, "rgb24").convert(format, colour=None if format == "rgb24" else full)
    done = conform(frame, info())
    assert done.format == FORMATS["yuv420p"] and done.colour == BT709
    assert np.abs(done.rgb(SIZE).astype(int) - rgb).max() <= 4
    same = picture(7)
    assert conform(same, info()) is same


@pytest.mark.parametrize("format", ["yuv420p", "rgb24", "yuv444p10le", "gray", "bgra"])
def test_blank_and_mirrored(format: str) -> None:
    described = replace(info(), format=FORMATS[format])
    if FORMATS[format].rgb:
        described = replace(described, colour=replace(BT709, matrix=0, range=2))
    assert np.abs(blank(described, 0.5).rgb(SIZE).astype(int) - 128).max() <= 2
    assert blank(described).rgb(SIZE).max() == 0
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[:, :16] = 255
    frame = from_array(rgb, "rgb24").convert(format)
    turned = mirrored(frame)
    assert np.array_equal(turned.rgb(SIZE)[:, 52:], frame.rgb(SIZE)[:, :12])
    assert np.array_equal(mirrored(turned).planes[0], frame.planes[0])
