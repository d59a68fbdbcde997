"""vmatte: video matting that keeps time, colour, orientation and sound.

``matte`` does the whole job from names; the parts it joins are public too: ``open_source``,
``load_matter``, ``open_sink``, ``Output`` and ``Pipeline``. Names are imported when first used, so
that ``import vmatte`` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmatte.composite import AlphaOutput, Composite, Subject, parse_background
    from vmatte.errors import VmatteError
    from vmatte.frames import Frame, StreamInfo
    from vmatte.images import ImageOptions, cut_out
    from vmatte.job import JobOptions, matte
    from vmatte.live import Feed, LiveOptions, LivePipeline, LiveSnapshot, LiveStats
    from vmatte.matting import Matte, Matter, MatterOptions, load_matter
    from vmatte.output import Output
    from vmatte.pipeline import Pipeline
    from vmatte.refine import RefineOptions
    from vmatte.runtimes import RuntimeOptions
    from vmatte.sinks import Encoding, Sink, open_sink
    from vmatte.sources import FrameSource, open_source
    from vmatte.stats import RunStats

__version__ = "0.1.0"

__all__ = [
    "AlphaOutput",
    "Composite",
    "Encoding",
    "Feed",
    "Frame",
    "FrameSource",
    "ImageOptions",
    "JobOptions",
    "LiveOptions",
    "LivePipeline",
    "LiveSnapshot",
    "LiveStats",
    "Matte",
    "Matter",
    "MatterOptions",
    "Output",
    "Pipeline",
    "RefineOptions",
    "RunStats",
    "RuntimeOptions",
    "Sink",
    "StreamInfo",
    "Subject",
    "VmatteError",
    "cut_out",
    "load_matter",
    "matte",
    "open_sink",
    "open_source",
    "parse_background",
]

_HOMES = {
    "composite": ("AlphaOutput", "Composite", "Subject", "parse_background"),
    "errors": ("VmatteError",),
    "frames": ("Frame", "StreamInfo"),
    "images": ("ImageOptions", "cut_out"),
    "job": ("JobOptions", "matte"),
    "live": ("Feed", "LiveOptions", "LivePipeline", "LiveSnapshot", "LiveStats"),
    "matting": ("Matte", "Matter", "MatterOptions", "load_matter"),
    "output": ("Output",),
    "pipeline": ("Pipeline",),
    "refine": ("RefineOptions",),
    "runtimes": ("RuntimeOptions",),
    "sinks": ("Encoding", "Sink", "open_sink"),
    "sources": ("FrameSource", "open_source"),
    "stats": ("RunStats",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"vmatte.{module}"), name)
    raise AttributeError(f"module 'vmatte' has no attribute {name!r}")
