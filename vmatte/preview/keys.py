"""What each key of the window does."""

from enum import Enum


class Action(Enum):
    """What can be asked for. The value is its line in the help."""

    COMPOSITE = "the result"
    ALPHA = "the matte"
    FOREGROUND = "the subject on black"
    CHECKERBOARD = "the subject on a checkerboard"
    SPLIT = "before and after; drag the line"
    NEXT_VIEW = "the next view"
    BACKGROUND = "another background"
    MIRROR = "exchange left and right"
    MODEL = "the next model on this machine"
    LARGER = "a larger picture for the model"
    SMALLER = "a smaller picture for the model"
    SNAPSHOT = "save a picture (PNG with transparency)"
    RECORD = "record what is shown, on and off"
    PAUSE = "pause"
    OVERLAY = "show or hide this strip"
    HELP = "this help"
    FULL_SCREEN = "full screen"
    QUIT = "quit"
    BACK = "5 seconds back"
    FORTH = "5 seconds on"
    HOME = "to the beginning"
    LOOP = "begin again at the end, or stop there"


KEYS: dict[Action, str] = {
    Action.COMPOSITE: "1",
    Action.ALPHA: "2",
    Action.FOREGROUND: "3",
    Action.CHECKERBOARD: "4",
    Action.SPLIT: "5",
    Action.NEXT_VIEW: "v",
    Action.BACKGROUND: "b",
    Action.MIRROR: "m",
    Action.MODEL: "n",
    Action.LARGER: "+",
    Action.SMALLER: "-",
    Action.SNAPSHOT: "s",
    Action.RECORD: "r",
    Action.PAUSE: "space",
    Action.OVERLAY: "o",
    Action.HELP: "h",
    Action.FULL_SCREEN: "f",
    Action.QUIT: "q",
    Action.BACK: "left",
    Action.FORTH: "right",
    Action.HOME: "home",
    Action.LOOP: "l",
}
"""The name of each action's key."""


OF_FILES = (Action.BACK, Action.FORTH, Action.HOME, Action.LOOP)
"""Actions that only a file that is played has."""


_ESCAPE, _ENTER = 27, 13

_OTHERS = {_ESCAPE: Action.QUIT, ord("="): Action.LARGER, ord("?"): Action.HELP}

_SPECIAL = {
    "left": (0xFF51, 0x250000, 0xF702, 63234),
    "right": (0xFF53, 0x270000, 0xF703, 63235),
    "home": (0xFF50, 0x240000, 0xF729, 63273),
}
"""Codes of keys without a character: X11's keysyms, Windows' virtual keys, macOS' own."""


def _table() -> dict[int, Action]:
    table = dict(_OTHERS)
    for action, name in KEYS.items():
        codes = _SPECIAL.get(name) or (ord(" " if name == "space" else name),)
        table |= dict.fromkeys(codes, action)
    return table


_TABLE = _table()


def action_of(code: int) -> Action | None:
    """Return what a key does; ``code`` as cv2.waitKeyEx returns it, None where it does nothing."""
    found = _TABLE.get(code)
    if found is None and code >= 0:
        # GTK adds the state of the modifier keys above.
        low = code & 0xFFFF if code > 0xFFFF else code
        found = _TABLE.get(low) or _TABLE.get(ord(chr(low).lower()) if low < 128 else low)
    return found
