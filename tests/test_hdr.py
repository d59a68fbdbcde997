"""High dynamic range: known levels of PQ and HLG, and pictures that models can look at."""

from fractions import Fraction

import numpy as np
import pytest

from vmatte.colour import HLG, LIMITED, PQ, Colour
from vmatte.composite import parse_background
from vmatte.composite.hdr import encode, tone_curve
from vmatte.errors import UnsupportedMediaError
from vmatte.frames import Frame, StreamInfo, new_picture
from vmatte.pixels import FORMATS


def signal(colour: tuple[int, int, int], transfer: int) -> np.ndarray[tuple[int], np.dtype[float]]:
    pixel = encode(np.array([[colour]], np.uint8), transfer)
    assert pixel.dtype == np.uint16
    return pixel[0, 0] / 65535


def test_diffuse_white_and_black() -> None:
    """ITU-R BT.2408: diffuse white is 203 cd/m2, 58 % in PQ and 75 % in HLG."""
    np.testing.assert_allclose(signal((255, 255, 255), PQ), 0.5807, atol=0.001)
    np.testing.assert_allclose(signal((255, 255, 255), HLG), 0.75, atol=0.001)
    for transfer in (PQ, HLG):
        np.testing.assert_allclose(signal((0, 0, 0), transfer), 0, atol=1e-4)


def test_gray() -> None:
    """Of sRGB, 118 is 18.1 % of white: 36.8 cd/m2, by hand 41.2 % in PQ, 43.8 % in HLG."""
    np.testing.assert_allclose(signal((118, 118, 118), PQ), 0.4115, atol=0.001)
    np.testing.assert_allclose(signal((118, 118, 118), HLG), 0.4375, atol=0.002)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_gray_stays_gray_and_order_is_kept(transfer: int) -> None:
    ramp = np.arange(256, dtype=np.uint8)
    coded = encode(np.repeat(ramp[None, :, None], 3, 2), transfer)[0]
    assert np.ptp(coded.astype(int), axis=1).max() <= 8
    assert np.all(np.diff(coded[:, 0].astype(int)) >= 0)
    # Colours of BT.709 lie inside BT.2020: red needs a little green and blue there.
    red = signal((255, 0, 0), transfer)
    assert red[0] > red[1] > red[2] > 0.1


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_what_a_model_sees(transfer: int) -> None:
    """Diffuse white becomes bright, not burnt; everything keeps its order and its range."""
    curve = tone_curve(transfer)
    assert curve.shape == (256,) and curve.dtype == np.uint8
    assert curve[0] == 0 and np.all(np.diff(curve.astype(int)) >= 0)
    white = round(255 * (0.5807 if transfer == PQ else 0.75))
    assert 170 < curve[white] < 215
    gray = round(255 * 0.4)
    assert 70 < curve[gray] < 140
    assert curve[255] == 255
    with pytest.raises(UnsupportedMediaError):
        tone_curve(1)


@pytest.mark.parametrize(("transfer", "share"), [(PQ, 0.5807), (HLG, 0.75)])
@pytest.mark.parametrize("format", ["yuv420p10le", "yuv444p12le"])
def test_a_white_background_has_the_known_code(transfer: int, share: float, format: str) -> None:
    native = FORMATS[format]
    colour = Colour(matrix=9, primaries=9, transfer=transfer, range=LIMITED)
    info = StreamInfo(width=64, height=32, format=native, colour=colour, time_base=Fraction(1, 25))
    background = parse_background("white")
    assert background is not None
    background.open(info)
    frame = Frame(new_picture(64, 32, format), 0, info.time_base, colour)
    planes = background.planes(frame, None, background.advance(frame))  # type: ignore[arg-type]
    scale = 1 << (native.depth - 8)
    assert np.abs(planes[0].astype(float) - (16 + 219 * share) * scale).max() <= 1
    for plane in planes[1:]:
        assert np.abs(plane.astype(float) - 128 * scale).max() <= 1
