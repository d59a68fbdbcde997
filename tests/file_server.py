"""A web server for tests that misbehaves in the ways real ones do."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """Serves one file, keeps count, and does what it is told to, answer by answer."""

    content: bytes
    url: str = ""
    etag: str | None = '"one"'
    ranges: bool = True
    breaks: list[int] = field(default_factory=list)  # bytes after which the next answers end
    statuses: list[int] = field(default_factory=list)  # of the next answers
    wait: float = 0.0  # seconds before the body
    hang: threading.Event | None = None  # waited for after a broken body, else the line is cut
    requests: list[str | None] = field(default_factory=list)  # the Range of each request
    sent: int = 0  # bytes of the file, in all


@contextmanager
def serving(content: bytes) -> Iterator[FileServer]:
    """Serve ``content`` on this machine."""
    state = FileServer(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, state)

        def log_message(self, format: str, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = False  # so that closing waits for them
    state.url = f"http://127.0.0.1:{http.server_port}/tiny.onnx"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield state
    finally:
        if state.hang:
            state.hang.set()
        http.shutdown()
        http.server_close()
        thread.join()


def _answer(to: BaseHTTPRequestHandler, state: FileServer) -> None:
    asked = to.headers.get("Range")
    state.requests.append(asked)
    status, body, begin = 200, state.content, 0
    if asked and state.ranges and to.headers.get("If-Range") == state.etag:
        begin = int(asked.removeprefix("bytes=").removesuffix("-"))
        status, body = (206, body[begin:]) if begin < len(body) else (416, b"")
    if state.statuses:
        status, body = state.statuses.pop(0), b"no such file here"
    to.send_response(status)
    to.send_header("Content-Length", str(len(body)))
    if state.etag:
        to.send_header("ETag", state.etag)
    if status == 206:
        to.send_header(
            "Content-Range", f"bytes {begin}-{begin + len(body) - 1}/{begin + len(body)}"
        )
    to.end_headers()
    time.sleep(state.wait)
    broken = bool(state.breaks)
    body = body[: state.breaks.pop(0)] if broken else body
    try:
        to.wfile.write(body)
        state.sent += len(body) if status < 300 else 0
    except OSError:
        pass  # the client gave up
    if broken and state.hang:
        state.hang.wait(30)
