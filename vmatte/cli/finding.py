"""What doctor found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. advice: what to do, where it is not ok."""

    what: str
    state: State
    found: str
    advice: str = ""
