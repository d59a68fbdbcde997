"""What can be said about the subject."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from vmatte.errors import OptionError

Only = Literal["all", "largest", "centre"]


class Box(NamedTuple):
    """A rectangle of the frame: in pixels, or where no number is above 1 in shares of it."""

    x: float
    y: float
    width: float
    height: float

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom (exclusive) in a frame of width x height.

        Raises OptionError where the box is not in it.
        """
        given = ",".join(f"{v:g}" for v in self)
        scale = (width, height) if max(self) <= 1 else (1, 1)
        left, top = (round(v * s) for v, s in zip(self[:2], scale, strict=True))
        right = round((self.x + self.width) * scale[0])
        bottom = round((self.y + self.height) * scale[1])
        if right > width or bottom > height:
            raise OptionError(
                f"the box {given} reaches to {right},{bottom}, but the frame is {width}x{height}; "
                "give x,y,w,h within it, in pixels, or as shares from 0 to 1"
            )
        if right <= left or bottom <= top:
            raise OptionError(f"the box {given} is less than a pixel of the {width}x{height} frame")
        return left, top, right, bottom


def parse_box(text: str) -> Box:
    """Read 'x,y,w,h'. Raises OptionError."""
    try:
        box = Box(*(float(v) for v in text.split(",")))
    except (ValueError, TypeError) as e:
        raise OptionError(
            f"box {text!r}: expected four numbers x,y,w,h, such as 100,50,300,200 (pixels) or "
            "0.1,0.1,0.5,0.8 (shares)"
        ) from e
    if not all(0 <= v < math.inf for v in box) or min(box.width, box.height) == 0:
        raise OptionError(f"box {text!r}: x and y may not be negative, w and h must be above 0")
    return box


@dataclass(frozen=True, slots=True, kw_only=True)
class SteerOptions:
    """What the user knows of the subject.

    keep, drop: boxes that are wholly subject, wholly background. scribbles: an image of the frame's
    shape: white is subject, black is background, gray or transparent is left to the model. trimap:
    the same, of the first frame: it is carried along with the motion of a video; or a video or a
    folder of trimaps, one for each frame. plate: a picture of the room without the subject.
    fill_holes: a matte has no holes. drop_specks: islands smaller than a square of so many frame
    pixels go. only: which connected part stays: the largest, or the one nearest the centre.
    """

    keep: tuple[Box, ...] = ()
    drop: tuple[Box, ...] = ()
    scribbles: Path | None = None
    trimap: Path | None = None
    plate: Path | None = None
    fill_holes: bool = False
    drop_specks: float = 0.0
    only: Only = "all"

    def __post_init__(self) -> None:
        """Raise OptionError on values out of range."""
        if not 0 <= self.drop_specks <= 10000:
            raise OptionError(f"drop_specks is {self.drop_specks} px; expected 0 to 10000")
        if self.only not in get_args(Only):
            raise OptionError(f"only is {self.only!r}; expected one of {', '.join(get_args(Only))}")

    @property
    def idle(self) -> bool:
        """Whether nothing was said."""
        return self == SteerOptions()
