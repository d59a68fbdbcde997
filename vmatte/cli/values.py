"""Values that options take: times, rates, bitrates, levels, sizes and other numbers."""

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from vmatte.errors import OptionError
from vmatte.steer import Box, parse_box
from vmatte.steer.keyoptions import KeyOptions, parse_key

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


class Key(_ParamType):
    name = "COLOUR[:TOLERANCE]"

    def convert(self, value: Any, param: Any, ctx: Any) -> KeyOptions:
        if isinstance(value, KeyOptions):
            return value
        try:
            return parse_key(str(value))
        except OptionError as e:
            self.fail(str(e), param, ctx)


class BoxType(_ParamType):
    name = "X,Y,W,H"

    def convert(self, value: Any, param: Any, ctx: Any) -> Box:
        if isinstance(value, Box):
            return value
        try:
            return parse_box(str(value))
        except OptionError as e:
            self.fail(str(e), param, ctx)


class Bitrate(_ParamType):
    name = "BITS"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        text = str(value).lower()
        factor = {"k": 1000, "m": 1000000}.get(text[-1:], 1)
        try:
            return int(float(text.rstrip("km")) * factor)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a bitrate such as 4M or 800k", param, ctx)


class Size(_ParamType):
    name = "WxH"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        try:
            width, height = (int(v) for v in str(value).lower().split("x"))
        except ValueError:
            width = height = 0
        if min(width, height) < 1:
            self.fail(f"{value!r} is not a size such as 512x512", param, ctx)
        return width, height


class Triple(_ParamType):
    name = "R,G,B"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float, float]:
        if isinstance(value, tuple):
            return value
        try:
            red, green, blue = (float(v) for v in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not three numbers such as 0.485,0.456,0.406", param, ctx)
        return red, green, blue


class Channels(_ParamType):
    name = "N[,N...]"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | tuple[int, ...]:
        if isinstance(value, int | tuple):
            return value
        try:
            numbers = tuple(int(v) for v in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a channel such as 1, or several such as 8,12", param, ctx)
        return numbers[0] if len(numbers) == 1 else numbers


class Room(_ParamType):
    name = "PX|%"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        from vmatte.images.cut import Margin

        if isinstance(value, Margin):
            return value
        text = str(value)
        try:
            number = float(text.removesuffix("%"))
        except ValueError:
            self.fail(f"{value!r} is not a margin such as 20 (pixels) or 5%", param, ctx)
        return Margin(share=number / 100) if text.endswith("%") else Margin(pixels=number)
