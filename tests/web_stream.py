"""A web server on this machine: files of a folder, and endless answers written by the test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Endless = Callable[[Callable[[bytes], object]], None]


@contextmanager
def web(folder: Path, **endless: tuple[str, Endless]) -> Iterator[str]:
    """Serve ``folder``, and under each name what a function writes, with its content type."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/").partition("?")[0]
            with suppress(ConnectionError):
                if name in endless:
                    kind, write = endless[name]
                    self.send_response(200)
                    self.send_header("Content-Type", kind)
                    self.end_headers()
                    write(self.wfile.write)
                    return
                path = folder / name
                self.send_response(200 if path.is_file() else 404)
                body = path.read_bytes() if path.is_file() else b""
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
