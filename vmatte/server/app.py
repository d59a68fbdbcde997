"""The service as an ASGI application."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

from vmatte import __version__
from vmatte.server import handlers, images, jobs, live, removebg
from vmatte.server.errors import Problem
from vmatte.server.guard import COOKIE, Guard, same, session_of
from vmatte.server.metrics import Counted
from vmatte.server.options import ServeOptions
from vmatte.server.service import Service, service_of

_STATIC = Path(__file__).parent / "static"


def create_app(options: ServeOptions) -> FastAPI:
    """Return the service. Raises VmatteError where its folder or a model cannot be used.

    It holds its folder from now on, until its lifespan has ended.
    """
    service = Service(options)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(service.models.fetch)
        runner = asyncio.create_task(service.runner.run())
        try:
            yield
        finally:
            service.closing.set()
            runner.cancel()
            with suppress(asyncio.CancelledError):
                await runner
            await asyncio.to_thread(service.close)

    app = FastAPI(
        title="vmatte",
        version=__version__,
        summary="Cuts people and things out of pictures and videos.",
        lifespan=lifespan,
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.service = service
    handlers.install(app)
    for router in (images.router, removebg.router, jobs.router, live.router):
        app.include_router(router)
    _small(app)
    app.mount("/", StaticFiles(directory=_STATIC, html=True), name="page")
    # The last added comes first.
    app.add_middleware(Counted, metrics=service.metrics)
    app.add_middleware(Guard, options=options)
    return app


def _small(app: FastAPI) -> None:
    """Add what is a few lines each."""

    @app.get("/healthz", summary="Whether the service works")
    async def healthz(request: Request) -> dict[str, Any]:
        """Tell that requests are answered and the queue can be read."""
        service = service_of(request)
        return {
            "status": "ok",
            "version": __version__,
            "waiting": service.store.count("queued"),
            "running": service.store.count("running"),
        }

    @app.get("/metrics", summary="Counters for Prometheus", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Return counters in Prometheus' text format."""
        service = service_of(request)
        service.metrics.disk.set(service.used())
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/api/models", summary="The models that may be asked for")
    async def models(request: Request) -> dict[str, Any]:
        """List the models."""
        service = service_of(request)
        options = service.options
        limits = {
            name: getattr(options, name)
            for name in ("image_bytes", "image_pixels", "video_bytes", "video_pixels", "duration")
        }
        return {"models": service.models.describe(), "limits": limits}

    @app.post("/api/session", summary="Log a browser in", status_code=204)
    async def session(request: Request) -> Response:
        """Take the token as JSON {"token": "..."}; set a cookie that stands for it."""
        token = service_of(request).options.token
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > 4096:
                raise Problem(413, "too-large", "that is no token")
        given = ""
        with suppress(ValueError, AttributeError):
            given = str(json.loads(body).get("token", ""))
        if token is not None and not same(given, token):
            await asyncio.sleep(0.5)
            raise Problem(401, "token", "that is not this service's token")
        response = Response(status_code=204)
        if token is not None:
            response.set_cookie(
                COOKIE,
                session_of(token),
                httponly=True,
                samesite="strict",
                secure=request.url.scheme == "https",
            )
        return response
