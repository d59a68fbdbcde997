"""ID photos: where the head is, and what the photo shows."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vmatte.errors import InputError, OptionError
from vmatte.images import ImageOptions, Margin, find_spec
from vmatte.images.cut import show
from vmatte.images.idphoto import find_head
from vmatte.images.picture import from_pixels
from vmatte.matting import Matte
from vmatte.refine import RefineOptions

PLAIN = RefineOptions(method="off", decontaminate=False, levels=(0.0, 1.0))


def figure(neck: int | None = 30) -> NDArray[np.float32]:
    """A head 60 wide and 80 high from row 40 on, a neck from row 112 on, shoulders from 140 on."""
    alpha = np.zeros((300, 240), np.float32)
    cv2.ellipse(alpha, (120, 80), (30, 40), 0, 0, 360, 1, -1)
    if neck is not None:
        alpha[100:140, 120 - neck // 2 : 120 + neck // 2] = 1
    else:
        alpha[80:140, 90:150] = 1
    cv2.rectangle(alpha, (40, 140), (200, 300), 1, -1)
    return alpha


def test_a_head_is_found() -> None:
    head = find_head(figure())
    assert head.crown == 40 and head.middle == pytest.approx(120, abs=1)
    assert head.chin == pytest.approx(120, abs=8) and "neck" in head.found
    hair = find_head(figure(None))
    assert hair.crown == 40 and hair.chin == pytest.approx(106, abs=8) and "width" in hair.found
    with pytest.raises(InputError, match="nobody"):
        find_head(np.zeros((100, 100), np.float32))
    with pytest.raises(InputError, match="touches the picture's upper edge"):
        find_head(figure()[60:])
    pair = np.hstack([figure()[:, 40:200], figure()[:, 40:200]])
    with pytest.raises(InputError, match="more than one head"):
        find_head(pair)


def test_an_id_photo() -> None:
    picture = from_pixels(np.full((300, 240, 3), 60, np.uint8))
    rgb = picture.rgb((240, 300))
    spec = find_spec("icao")
    options = ImageOptions(refine=PLAIN, id_photo=spec)
    (shown,) = show(picture, rgb, Matte(figure()), ["composite"], options)
    assert (shown.frame.width, shown.frame.height) == (413, 531) == spec.size
    assert shown.tags.dpi == (300, 300)
    own = shown.frame.planes[0][:, :, 0]
    dark = np.flatnonzero((own < 100).any(1))
    # The crown is 9 % below the upper edge; the background is light.
    assert dark[0] == pytest.approx(0.09 * 531, abs=6)
    assert own[0, 0] == 240
    head = find_head(figure())
    # Rows of the head, in the photo.
    rows = spec.head * 531 * (80 / (head.chin - head.crown))
    columns = np.flatnonzero(own[round(0.09 * 531 + rows / 2)] < 100)
    assert columns.size == pytest.approx(60 * rows / 80, rel=0.05)
    assert (columns[0] + columns[-1]) / 2 == pytest.approx(206, abs=4)
    with pytest.raises(OptionError, match="not both"):
        ImageOptions(id_photo=spec, crop=Margin())


def test_kinds_of_id_photos() -> None:
    pytest.importorskip("passport_photo_specs")
    assert find_spec("us").size == (600, 600)
    italy = find_spec("italy-visa-photo")
    assert italy.millimetres == (35, 45) and italy.head == 0.75
    with pytest.raises(OptionError, match="no ID photo is called 'moon'; there are icao"):
        find_spec("moon")
