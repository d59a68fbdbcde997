"""WebSocket /api/live: frames in, mattes or composites out."""

import asyncio
import base64
import binascii
import json
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from vmatte.errors import OptionError, VmatteError
from vmatte.server.errors import Problem, problem_of
from vmatte.server.media import parse_behind
from vmatte.server.service import Service, service_of
from vmatte.server.session import Look, Session, save_background

router = APIRouter()

MESSAGE_BYTES = 12 << 20
"""Of one message, a frame or the settings with a picture in them."""

_IDLE = 120.0
"""Seconds without a message after which a connection is closed."""

_PATIENCE = 30
"""Frames in a row that cannot be read, after which a connection is closed."""


class _Connection:
    """One client: its settings, its newest frame, its state."""

    def __init__(self, socket: WebSocket, service: Service) -> None:
        self._socket, self._service = socket, service
        self._settings: dict[str, Any] | None = {}
        self._frame: tuple[int, bytes] | None = None
        self._received = self._dropped = self._bad = 0
        self._news = asyncio.Event()
        self._session: Session | None = None
        self._picture: Path | None = None

    async def serve(self) -> None:
        reader = asyncio.create_task(self._read())
        try:
            while not reader.done():
                waiting = asyncio.create_task(self._news.wait())
                await asyncio.wait([waiting, reader], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                self._news.clear()
                try:
                    await self._answer()
                except (VmatteError, Problem) as e:
                    self._bad += 1
                    await self._socket.send_json(
                        {"error": problem_of(e, self._hidden()).document()}
                    )
                    if self._bad > _PATIENCE:
                        await self._socket.close(1008, "too many errors")
                        break
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await reader
            self._end()

    def _hidden(self) -> dict[str, str]:
        return {str(self._picture): "the background"} if self._picture else {}

    async def _read(self) -> None:
        """Take messages as they come: the newest frame replaces one that still waits."""
        while True:
            try:
                async with asyncio.timeout(_IDLE):
                    message = await self._socket.receive()
            except TimeoutError:
                await self._socket.close(1001, "nothing came for a while")
                return
            if message["type"] == "websocket.disconnect":
                return
            if (data := message.get("bytes")) is not None:
                self._dropped += self._frame is not None
                self._frame = (self._received, data)
                self._received += 1
            else:
                try:
                    settings = json.loads(message.get("text") or "")
                    self._settings = settings if isinstance(settings, dict) else {"": settings}
                except ValueError:
                    self._settings = {"": "no JSON"}
            self._news.set()

    async def _answer(self) -> None:
        loop, pool = asyncio.get_running_loop(), self._service.live_pool
        if self._settings is not None:
            settings, self._settings = self._settings, None
            self._end()
            self._session = await loop.run_in_executor(pool, self._begin, settings)
        if self._frame is None or self._session is None:
            return
        (number, data), self._frame = self._frame, None
        begin = time.perf_counter()
        result = await loop.run_in_executor(pool, self._session.step, data)
        self._bad = 0
        self._service.metrics.frames.labels("live").inc()
        seconds = round(time.perf_counter() - begin, 4)
        await self._socket.send_json(
            {"frame": number, "seconds": seconds, "dropped": self._dropped}
        )
        await self._socket.send_bytes(result)

    def _begin(self, settings: dict[str, Any]) -> Session:
        """Read the settings. Raises OptionError, UnknownModelError."""
        settings = dict(settings)
        name = self._service.models.name(str(settings.pop("model", None) or ""))
        format = str(settings.pop("format", "jpg")).replace("jpeg", "jpg")
        only = str(settings.pop("output", "picture"))
        background = parse_behind(str(settings.pop("background", None) or "green"))
        picture = settings.pop("background_file", None)
        if settings:
            raise OptionError(
                f"the settings have {', '.join(map(repr, settings))[:80]}; expected a JSON object "
                "with model, background, background_file (base64), output and format"
            )
        if format not in ("jpg", "png", "webp"):
            raise OptionError(f"format is {format[:20]!r}; expected jpg, png or webp")
        if only not in ("picture", "alpha"):
            raise OptionError(f"output is {only[:20]!r}; expected picture or alpha")
        if only == "picture" and background == "transparent" and format == "jpg" and not picture:
            raise OptionError("jpg has no transparency; ask for webp or png")
        if picture:
            try:
                data = base64.b64decode(str(picture).rpartition(",")[2])
            except binascii.Error as e:
                raise OptionError(f"background_file is not base64: {e}") from e
            self._picture = save_background(
                data,
                self._service.scratch,
                secrets.token_hex(16),
                self._service.options.image_pixels,
            )
            background = str(self._picture)
        model = self._service.models.get(name)
        return Session(model, Look(background=background, format=format, only=only))

    def _end(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
        if self._picture is not None:
            self._picture.unlink(missing_ok=True)
            self._picture = None


@router.websocket("/api/live")
async def live(socket: WebSocket) -> None:
    """Matte a client's frames, with one state for the connection.

    Text messages are settings, as a JSON object; binary ones are frames, JPEG or PNG. Each answer
    is a text message {"frame": N, "seconds": S, "dropped": D}, N counting what was sent from 0 on,
    and a binary one. Only the newest frame waits. Errors come as {"error": PROBLEM}.
    """
    service = service_of(socket)
    await socket.accept()
    try:
        with service.live.place():
            service.metrics.connections.inc()
            try:
                await _Connection(socket, service).serve()
            finally:
                service.metrics.connections.dec()
    except Problem as e:
        await socket.send_json({"error": e.document()})
        await socket.close(1013, "busy")
    except WebSocketDisconnect:
        pass
