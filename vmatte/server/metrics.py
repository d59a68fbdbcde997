"""What a service counts, for Prometheus."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        """Begin at zero, apart from other services of this process."""
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "vmatte_requests", "Requests answered.", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "vmatte_request_seconds", "Seconds until answered.", ("route",), registry=registry
        )
        self.refused = Counter(
            "vmatte_refused", "Requests refused as too many.", ("what",), registry=registry
        )
        self.pictures = Histogram(
            "vmatte_picture_seconds", "Seconds to matte a picture.", ("model",), registry=registry
        )
        self.steps = Counter(
            "vmatte_steps", "Runs of a network for pictures.", ("model",), registry=registry
        )
        self.frames = Counter("vmatte_frames", "Frames matted.", ("kind",), registry=registry)
        self.jobs = Counter("vmatte_jobs", "Jobs that ended.", ("state",), registry=registry)
        self.waiting = Gauge("vmatte_jobs_waiting", "Jobs that wait.", registry=registry)
        self.running = Gauge("vmatte_jobs_running", "Jobs under way.", registry=registry)
        self.connections = Gauge("vmatte_live", "Live connections.", registry=registry)
        self.disk = Gauge("vmatte_disk_bytes", "Bytes in the folder.", registry=registry)

    def text(self) -> bytes:
        """Return all in Prometheus' text format."""
        return generate_latest(self.registry)


class Counted:
    """ASGI middleware: counts requests by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Count the requests to ``app``."""
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass all on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            # The pattern, not the path: paths have no end.
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - begin)
