"""ID photos: how large the head must be, and where it is in a picture.

Head sizes: ICAO Doc 9303 part 3 (chin to crown 70 to 80 % of 45 mm); for square 2x2 inch photos the
US Department of State (25 to 35 of 51 mm). Other documents' sizes and colours come from the package
passport-photo-specs, where it is installed.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.errors import InputError, OptionError

Map = NDArray[np.floating[Any]]

_NECK = 0.88
"""Chin to crown, of the height from the crown to the neck's narrowest row."""

_SHORT_HAIR, _LONG_HAIR = 1.25, 1.1
"""Chin to crown over the width of head and hair: at least, where a neck is seen; and where hair
hides it. From five heads of the test clips, right to about a tenth on these."""

_NARROW = 0.92
"""Width of a neck over that of its head, at most."""

_WIDER = 1.15
"""How much wider than the neck it must become below."""

_SHOULDERS = 1.6
"""How much wider than the head what lies below it must become to be shoulders."""

_OTHER = 0.25
"""Width over that of the widest head beside it from which something is a head, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """An ID photo.

    millimetres: width and height. head: chin to crown, of the height; above: the room over the
    crown, of the height. background: sRGB as #rrggbb.
    """

    name: str
    millimetres: tuple[float, float]
    dpi: int = 300
    head: float = 0.75
    above: float = 0.09
    background: str = "#ffffff"

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        w, h = self.millimetres
        return round(w / 25.4 * self.dpi), round(h / 25.4 * self.dpi)


_OWN = {
    "icao": Spec(name="icao", millimetres=(35, 45), background="#f0f0f0"),
    "us": Spec(name="us", millimetres=(50.8, 50.8), head=0.6),
}


@dataclass(frozen=True, slots=True)
class Place:
    """What part of a picture becomes the photo: its left, top and width, in pixels."""

    left: float
    top: float
    width: float


@dataclass(frozen=True, slots=True)
class Head:
    """Where a head is: rows of crown and chin, and its middle column. face: how it was found."""

    crown: float
    chin: float
    middle: float
    found: str


def find_spec(name: str) -> Spec:
    """Return the ID photo of that name. Raises OptionError with what there is."""
    if name in _OWN:
        return _OWN[name]
    try:
        import passport_photo_specs as specs
    except ImportError as e:
        raise OptionError(
            f"no ID photo is called {name!r}; expected {', '.join(_OWN)}. For those of 100 "
            "countries: pip install 'vmatte[idphoto]'"
        ) from e
    entries = {d["id"]: d for d in specs.documents()}
    entry = entries.get(name) or next((d for d in entries.values() if d["slug"] == name), None)
    if entry is None:
        near = [n for n in entries if name.split("-")[0] in n.split("-")] or list(entries)[:12]
        raise OptionError(f"no ID photo is called {name!r}; there are {', '.join([*_OWN, *near])}")
    width, height = float(entry["widthMm"]), float(entry["heightMm"])
    return Spec(
        name=name,
        millimetres=(width, height),
        dpi=int(entry["dpi"]),
        head=_OWN["us"].head if width == height else 0.75,
        background=str(entry["bgColor"]),
    )


def frame_head(alpha: Map, spec: Spec) -> tuple[Place, tuple[str, ...]]:
    """Return what part of a picture fits ``spec``, and what is doubtful about it.

    alpha: [H, W] float32. Raises InputError where no head is found.
    """
    head = find_head(alpha)
    height = (head.chin - head.crown) / spec.head
    width = height * spec.millimetres[0] / spec.millimetres[1]
    place = Place(head.middle - width / 2, head.crown - spec.above * height, width)
    notes = [f"the head was found by {head.found}: check its size and place"]
    rows, cols = alpha.shape
    beyond = max(place.top + height - rows, -place.left, place.left + width - cols)
    edges = alpha[-1], alpha[:, 0], alpha[:, -1]
    if beyond > 1 and max(float(e.max()) for e in edges) > 0.5:
        notes.append("the picture ends before the photo does: shoulders may be cut off")
    if spec.size[1] > 1.2 * height:
        notes.append(f"enlarged {spec.size[1] / height:.1f} times: use a larger picture")
    return place, tuple(notes)


def find_head(alpha: Map) -> Head:
    """Return where the head of the largest figure is. Raises InputError where there is none.

    The crown and the neck are those of the outline: the widest row, then the narrowest before
    shoulders begin.
    """
    figure = _largest(alpha >= 0.5)
    widths = figure.sum(1).astype(np.float64)
    rows = np.flatnonzero(widths)
    if len(rows) < 16:
        raise InputError("nobody was found in it; an ID photo needs one person")
    crown, last = int(rows[0]), int(rows[-1]) + 1
    if crown == 0:
        raise InputError("the head touches the picture's upper edge; take one with room above it")
    smooth = max(1, (last - crown) // 100)
    w = np.convolve(widths[crown:last], np.ones(smooth) / smooth, "same")
    neck, head_width = _neck(w)
    if neck is None:
        chin = min(crown + _LONG_HAIR * head_width, float(last))
        how = "its width, for no neck is seen"
    else:
        # Near a camera, shoulders show beside the chin and seem to be the neck's end.
        chin = crown + max(_NECK * neck, _SHORT_HAIR * head_width)
        how = "the outline of head and neck"
    if _heads(figure, crown, chin) > 1:
        raise InputError(
            "more than one head seems to be in it; an ID photo needs one person: cut the others "
            "off, or cover them with --drop"
        )
    columns = np.flatnonzero(figure[crown : round(crown + 0.7 * (chin - crown))].any(0))
    middle = (columns[0] + columns[-1] + 1) / 2
    return Head(crown, chin, middle, how)


def _heads(figure: NDArray[np.bool_], crown: int, chin: float) -> int:
    """Return how many heads lie beside one another, as far as gaps between them tell."""
    most = 1
    for share in (0.2, 0.3, 0.4):
        row = figure[round(crown + share * (chin - crown))].astype(np.int8)
        ends = np.flatnonzero(np.diff(row, prepend=0, append=0))
        widths = ends[1::2] - ends[::2]
        most = max(most, int((widths > _OTHER * widths.max()).sum()))
    return most


def _neck(widths: Map) -> tuple[int | None, float]:
    """Return the row of the neck, None where hair hides it, and the width of the head."""
    widest = lowest = 0
    for row in range(1, len(widths)):
        # The first narrowing that is one, and that shoulders end.
        if widths[lowest] < _NARROW * widths[widest] and widths[row] > _WIDER * widths[lowest]:
            return lowest, float(widths[widest])
        if widths[row] >= widths[widest]:
            widest = lowest = row
        elif widths[row] < widths[lowest]:
            lowest = row
    # No narrowing: the head ends where the outline begins to spread.
    for row in range(max(8, len(widths) // 10), len(widths)):
        start = float(np.median(widths[row // 2 : row]))
        if widths[row] > _SHOULDERS * start:
            return None, start
    return None, float(widths.max())


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8))
    if count < 2:
        return np.zeros_like(mask)
    found: NDArray[np.bool_] = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return found
