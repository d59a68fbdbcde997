"""vmatte: video and webcam matting."""

__version__ = "0.1.0"
