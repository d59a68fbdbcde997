"""Pictures: cut out one or many, cached, with their colours and metadata kept."""

from vmatte.images.batch import Batch, Result, Summary
from vmatte.images.cache import Cache
from vmatte.images.cut import ImageOptions, Margin, cut_out
from vmatte.images.files import find_tasks, parse_targets, watch
from vmatte.images.idphoto import find_spec

__all__ = [
    "Batch",
    "Cache",
    "ImageOptions",
    "Margin",
    "Result",
    "Summary",
    "cut_out",
    "find_spec",
    "find_tasks",
    "parse_targets",
    "watch",
]
