"""Frame sources: one seam, one file each."""

from vmatte.sources.base import FrameSource
from vmatte.sources.file import FileSource
from vmatte.sources.images import ImagesSource
from vmatte.sources.live import open_live
from vmatte.sources.network import NetworkSource
from vmatte.sources.opening import open_source
from vmatte.sources.options import LiveInput
from vmatte.sources.paced import PacedSource
from vmatte.sources.synthetic import SyntheticSource

__all__ = [
    "FileSource",
    "FrameSource",
    "ImagesSource",
    "LiveInput",
    "NetworkSource",
    "PacedSource",
    "SyntheticSource",
    "open_live",
    "open_source",
]
