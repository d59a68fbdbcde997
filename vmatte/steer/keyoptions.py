"""The screen behind the subject, as the user names it."""

import re
from dataclasses import dataclass

from vmatte.errors import OptionError

NO_SCREEN = "--key: no screen of that colour was seen"
"""What the user is told, with where that was."""

_NAMED = {"green": (0, 1, 0), "blue": (0, 0, 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOptions:
    """The screen behind the subject.

    colour: RGB in 0..1; only its hue counts. tolerance: how far below the screen's own strength,
    as a share of it, a pixel is still screen.
    """

    colour: tuple[float, float, float]
    tolerance: float = 0.15

    def __post_init__(self) -> None:
        """Raise OptionError on a colour without a hue, and a tolerance out of range."""
        if max(self.colour) - min(self.colour) < 0.15:
            raise OptionError(
                "the key's colour is nearly gray; expected a saturated one such as green, #00b140"
            )
        if not 0 < self.tolerance < 0.8:
            raise OptionError(f"the key's tolerance is {self.tolerance}; expected 0.01 to 0.8")


def parse_key(text: str) -> KeyOptions:
    """Read green, blue or #rrggbb, with :TOLERANCE behind it if wanted. Raises OptionError."""
    name, _, tolerance = text.partition(":")
    if name in _NAMED:
        colour: tuple[float, ...] = tuple(float(c) for c in _NAMED[name])
    elif re.fullmatch(r"#[0-9a-fA-F]{6}", name):
        colour = tuple(int(name[i : i + 2], 16) / 255 for i in (1, 3, 5))
    else:
        raise OptionError(
            f"key {text!r}: expected green, blue or #rrggbb, then :TOLERANCE if wanted"
        )
    r, g, b = colour
    if not tolerance and ":" not in text:
        return KeyOptions(colour=(r, g, b))
    try:
        return KeyOptions(colour=(r, g, b), tolerance=float(tolerance))
    except ValueError as e:
        if isinstance(e, OptionError):
            raise
        raise OptionError(f"key {text!r}: {tolerance!r} is not a number such as 0.2") from e
