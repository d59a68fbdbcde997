"""Motion JPEG over HTTP on this machine, for OBS's browser source or any browser."""

import contextlib
import threading

from vmatte.errors import OptionError, OutputError, UnsupportedOutputError
from vmatte.frames import Frame, StreamInfo
from vmatte.sinks.latest import Latest
from vmatte.sinks.mjpeg_server import Server


class MjpegSink:
    """A small web server: ``/`` a page, ``/stream.mjpg`` the stream, ``/snapshot.jpg``. See Sink.

    ``write`` only hands the newest frame over: clients' own threads encode it, once for all of
    them, and skip what they are too slow for. Frames that nobody looks at are not encoded.
    Only programs of this machine are answered, and no page of another site can read or show it.
    """

    def __init__(self, address: str) -> None:
        """Listen on ``address``: PORT or HOST:PORT; port 0 for any. Raises OptionError."""
        self.name = f"mjpeg:{address}"
        self.notes: list[str] = []
        host, _, port = address.rpartition(":")
        host = host.strip("[]") or "127.0.0.1"
        if not port.isdigit() or int(port) > 65535:
            raise OptionError(
                f"{self.name}: expected a port such as mjpeg:8090, or mjpeg:127.0.0.1:8090"
            )
        self._address = (host, int(port))
        self._latest = Latest()
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def open(self, info: StreamInfo) -> None:
        """Start to listen. Raises OutputError where the port is taken."""
        if info.format.alpha:
            raise UnsupportedOutputError(
                f"{self.name}: JPEG has no transparency; give another --background"
            )
        host, port = self._address
        try:
            self._server = Server(self._address, self._latest)
        except (OSError, OverflowError) as e:
            raise OutputError(
                f"{self.name}: cannot listen on {host} port {port} ({e}); give another port, "
                "or mjpeg:0 for any that is free"
            ) from e
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="vmatte-mjpeg", daemon=True
        )
        self._thread.start()
        self.notes.append(f"to be seen at {self.url}")

    @property
    def url(self) -> str:
        """Where the page is, once it is open."""
        assert self._server is not None
        host, port = self._server.server_address[:2]
        host = str(host)
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def write(self, frame: Frame) -> None:
        """Hand the frame over; never waits for a client."""
        self._latest.put(frame)

    def watched(self) -> bool:
        """Whether somebody receives the stream, or has just asked for a picture."""
        return self._latest.watched()

    def close(self, *, early: bool = False) -> None:
        """End all connections and stop to listen."""
        if self._server is None:
            return
        server, self._server = self._server, None
        self._latest.end()
        server.shutdown()
        server.end_connections()
        server.server_close()
        if self._thread is not None:
            self._thread.join()

    def abort(self) -> None:
        """The same as close: nothing is left behind."""
        with contextlib.suppress(Exception):
            self.close()
