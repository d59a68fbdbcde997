"""Who may ask: the Host, the Origin and the token of every request, before anything else."""

import hashlib
import hmac
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vmatte.server.errors import Problem
from vmatte.server.options import ServeOptions, is_local

COOKIE = "vmatte"

_CLOSED = ("/api/", "/v1.0/", "/metrics")
_OPEN = ("/api/session",)

_DRAIN_BYTES, _DRAIN_SECONDS = 64 << 20, 10.0
"""How much of an upload that is refused is still taken, so that its sender reads the answer."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


def session_of(token: str) -> str:
    """Return the value of the cookie that stands for ``token``."""
    return hmac.new(token.encode(), b"vmatte session", hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


class Guard:
    """ASGI middleware: refuses strangers, and adds the headers that keep browsers safe.

    Without a token any page could reach this address through a name of its own that it lets point
    here (DNS rebinding), so only known names are answered. A page of another origin may not change
    anything, nor open a WebSocket.
    """

    def __init__(self, app: ASGIApp, options: ServeOptions) -> None:
        """Guard ``app``."""
        self._app, self._token = app, options.token
        self._hosts = {h.lower() for h in options.hosts}
        if is_local(options.host):
            self._hosts |= {"localhost", "127.0.0.1", "[::1]", options.host}
        elif options.hosts:
            self._hosts.add(options.host)
        else:
            # The token is what protects: any name may lead here.
            self._hosts = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        polite = _Polite(receive, send)
        try:
            self._check(scope)
        except Problem as e:
            if scope["type"] == "websocket":
                # Before accept this answers 403.
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": e.detail[:120]})
                return
            await e.response()(scope, polite.receive, polite.send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._app(scope, polite.receive, polite.send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if self._hosts and _name(host) not in self._hosts:
            raise Problem(
                403,
                "host",
                f"this service is not known as {host!r}; open it by its own address, or allow the "
                "name with --allow-host",
            )
        if scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            origin = headers.get("origin")
            if origin is not None and urlsplit(origin).netloc.lower() != host:
                raise Problem(403, "origin", f"a page of {origin} may not use this service")
        path = scope["path"]
        if self._token is None or path in _OPEN or not path.startswith(_CLOSED):
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        given = given if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if same(given.strip(), self._token):
            return
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        if not same(cookie, session_of(self._token)):
            raise Problem(401, "token", "show the service's token, as: Authorization: Bearer TOKEN")


def _name(host: str) -> str:
    """Return a Host header without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


class _Polite:
    """Takes the rest of an upload before an error is answered.

    Else the connection would be closed under a client that still sends, and it would see a reset
    connection instead of the answer.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._more = True

    async def receive(self) -> Message:
        message = await self._receive()
        self._more = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if message["status"] >= 400:
                await self._drain()
        await self._send(message)

    async def _drain(self) -> None:
        taken, end = 0, time.monotonic() + _DRAIN_SECONDS
        while self._more and taken < _DRAIN_BYTES and time.monotonic() < end:
            taken += len((await self.receive()).get("body", b""))
