"""Connects to cameras and streams, and tells them from files."""

from vmatte.sources.base import FrameSource
from vmatte.sources.network import PROTOCOLS, NetworkSource, scheme_of
from vmatte.sources.options import LiveInput


def connect(name: str, options: LiveInput) -> FrameSource | None:
    """Open a camera or a stream; None where ``name`` names a file, be it one on a web server.

    Raises InputError and its subclasses.
    """
    if name.startswith("camera:"):
        # OpenCV is slow to import, and files do without.
        from vmatte.sources.camera import CameraSource

        return CameraSource(name, options)
    if scheme_of(name) not in PROTOCOLS:
        return None
    source = NetworkSource(name, timeout=options.timeout, transport=options.transport)
    if not source.finite:
        return source
    source.close()
    return None
