"""The service: an HTTP API, a queue of video jobs, live mattes over WebSocket, and a page."""

from vmatte.server.options import ServeOptions

__all__ = ["ServeOptions"]
