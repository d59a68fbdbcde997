"""Values that options take: times, rates, bitrates, levels."""

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType


class Levels(_ParamType):
    name = "LOW,HIGH"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float]:
        try:
            low, high = (float(v) for v in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not two numbers such as 0.02,0.98", param, ctx)
        return low, high


class Rate(_ParamType):
    name = "FPS"

    def convert(self, value: Any, param: Any, ctx: Any) -> Fraction:
        try:
            rate = Fraction(str(value))
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value!r} is not a rate such as 25 or 30000/1001", param, ctx)
        if not 0 < rate <= 1000:
            self.fail(f"{value} is not above 0 and at most 1000", param, ctx)
        return rate


class Seconds(_ParamType):
    name = "TIME"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        try:
            parts = [float(v) for v in str(value).split(":")]
        except ValueError:
            parts = []
        if not 1 <= len(parts) <= 3 or not all(0 <= p < math.inf for p in parts):
            self.fail(f"{value!r} is not a time such as 12.5, 1:30 or 0:01:30", param, ctx)
        seconds = 0.0
        for part in parts:
            seconds = seconds * 60 + part
        return seconds


class Bitrate(_ParamType):
    name = "BITS"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        text = str(value).lower()
        factor = {"k": 1000, "m": 1000000}.get(text[-1:], 1)
        try:
            return int(float(text.rstrip("km")) * factor)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a bitrate such as 4M or 800k", param, ctx)
