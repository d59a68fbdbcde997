"""The web server of the MJPEG sink: who may look, and what they get."""

import contextlib
import ipaddress
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from vmatte.sinks.latest import Latest

_PATIENCE = 5.0
"""Seconds that a client may take to receive a frame, or to say what it wants."""


_BOUNDARY = b"vmatte-frame"


_PAGE = b"""<!doctype html><meta charset="utf-8"><title>vmatte</title>
<style>html,body{margin:0;height:100%;background:#000}
img{display:block;width:100%;height:100%;object-fit:contain}</style>
<img src="/stream.mjpg" alt="vmatte">
"""


class Server(ThreadingHTTPServer):
    """Knows its connections, so that it can end them."""

    # Joined by server_close, after end_connections has woken them.
    daemon_threads = False
    block_on_close = True

    def __init__(self, address: tuple[str, int], latest: Latest) -> None:
        """Listen on ``address``, and show ``latest``. Raises OSError, OverflowError."""
        self.latest = latest
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        # On Windows this would let two programs have one port.
        self.allow_reuse_address = sys.platform != "win32"
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the name service for this machine's name, which can take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "vmatte", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        """Make every thread that sends or receives fail at once."""
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def answers_to(self, host: str) -> bool:
        """Whether a request may name this machine so.

        A page of another site whose name is suddenly said to be this machine's address (DNS
        rebinding) names itself. Bound beyond this machine, addresses and its own name will do:
        nobody else can make a browser believe in those.
        """
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        name = name.strip("[]").lower()
        if name in ("localhost", "127.0.0.1", "::1"):
            return True
        bound = str(self.server_address[0])
        if ipaddress.ip_address(bound).is_loopback:
            return name == bound
        try:
            ipaddress.ip_address(name)
        except ValueError:
            own = socket.gethostname().lower()
            return name in (own, own.split(".")[0], f"{own}.local")
        return True


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _PATIENCE
    server_version, sys_version = "vmatte", ""

    def do_GET(self) -> None:
        host = self.headers.get("Host", "")
        if not self.server.answers_to(host):
            self._say(403, b"this address is not served here; use http://localhost\n")
        elif self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            self._say(403, b"not for pages of other sites\n")
        else:
            path = self.path.split("?")[0]
            if path == "/":
                self._say(200, _PAGE, "text/html; charset=utf-8")
            elif path == "/snapshot.jpg":
                self._snapshot()
            elif path == "/stream.mjpg":
                self._stream()
            else:
                self._say(404, b"there are /, /stream.mjpg and /snapshot.jpg\n")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _begin(self, code: int, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        # No page of another site may show it, in an image or a frame.
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Content-Security-Policy", "frame-ancestors 'self'")
        self.send_header("X-Content-Type-Options", "nosniff")

    def _say(self, code: int, body: bytes, kind: str = "text/plain") -> None:
        self._begin(code, kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _snapshot(self) -> None:
        found = self.server.latest.after(0, _PATIENCE)
        if found is None:
            self._say(503, b"there is no picture yet\n")
        else:
            self._say(200, found[1], "image/jpeg")

    def _stream(self) -> None:
        self._begin(200, f"multipart/x-mixed-replace; boundary={_BOUNDARY.decode()}")
        self.end_headers()
        if self.command != "GET":
            return
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wfile.write(b"--" + _BOUNDARY + b"\r\n")
        number = 0
        with self.server.latest.streaming():
            while (found := self.server.latest.after(number)) is not None:
                number, jpeg = found
                head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                # The boundary at once: browsers show a picture when they see its end.
                self.wfile.write(head + jpeg + b"\r\n--" + _BOUNDARY + b"\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a stream's progress is on standard error."""
