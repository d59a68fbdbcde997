"""Runs a service until it is told to end."""

import logging
import socket
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from vmatte.errors import WriteError
from vmatte.server.app import create_app
from vmatte.server.live import MESSAGE_BYTES
from vmatte.server.options import ServeOptions

_GRACE = 3
"""Seconds in which requests may end after Ctrl-C."""


def serve(options: ServeOptions, *, browser: bool = False) -> None:
    """Serve until Ctrl-C or SIGTERM; print the address. Raises VmatteError."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    # It warns of each malformed upload, whose sender is told.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    with prepared(options) as (server, listener, address):
        print(f"vmatte serves at {address}", flush=True)
        print(f"folder {options.folder}; end it with Ctrl-C", file=sys.stderr, flush=True)
        if browser:
            webbrowser.open(address)
        server.run(sockets=[listener])


@contextmanager
def prepared(options: ServeOptions) -> Iterator[tuple[uvicorn.Server, socket.socket, str]]:
    """Give what is ready to run: a server, the socket it listens at, its address."""
    listener = _listen(options)
    try:
        app = create_app(options)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws_max_size=MESSAGE_BYTES,
            timeout_graceful_shutdown=_GRACE,
        )
        port = listener.getsockname()[1]
        host = f"[{options.host}]" if ":" in options.host else options.host
        yield uvicorn.Server(config), listener, f"http://{host}:{port}/"
    finally:
        listener.close()


def _listen(options: ServeOptions) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM
        )[0]
        listener = socket.socket(family, kind, proto)
        try:
            if sys.platform != "win32":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2048)
        except BaseException:
            listener.close()
            raise
    except OSError as e:
        raise WriteError(
            f"{options.host}:{options.port} cannot be listened at ({e.strerror}); give another "
            "--port, or end the program that has it"
        ) from e
    return listener
