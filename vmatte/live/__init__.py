"""Live matting: a source that may fail, the newest frame or the slate, outputs that stay open."""

from vmatte.live.feed import Captured, Feed, FeedState
from vmatte.live.options import LiveOptions, OnError
from vmatte.live.pipeline import LivePipeline
from vmatte.live.stats import LiveSnapshot, LiveState, LiveStats

__all__ = [
    "Captured",
    "Feed",
    "FeedState",
    "LiveOptions",
    "LivePipeline",
    "LiveSnapshot",
    "LiveState",
    "LiveStats",
    "OnError",
]
