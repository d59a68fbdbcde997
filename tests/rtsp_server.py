"""A real RTSP server, GStreamer's, that can be killed, stalled and made to change what it sends.

Needs Debian's python3-gi, gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-base and -good::

    with RtspServer(folder, [clip]) as server:
        source = open_live(server.url)
        server.kill(); server.start()        # gone, and back on the same port
        server.pause(); server.go()          # the connection stays, nothing is sent
        server.freeze(); server.thaw()       # the whole process: not even an answer
        server.jump(-50)                     # time stamps
        server.clip(1)                       # of another size, say, in mid-stream
"""

import functools
import signal
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext
from conftest import missing

SYSTEM_PYTHON = "/usr/bin/python3"
_SCRIPT = Path(__file__).with_name("rtsp_gst.py")


@functools.cache
def _available() -> bool:
    check = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); gi.require_version('Gst', '1.0')"
    )
    check += "; from gi.repository import Gst, GstRtspServer; Gst.init(None)"
    check += "; exit(not all(map(Gst.ElementFactory.find, ('appsrc', 'rtph264pay'))))"
    try:
        done = subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True, timeout=120)
    except FileNotFoundError:
        return False
    return done.returncode == 0


def free_port() -> int:
    """Return a port of this machine that nobody has now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
    return port


class RtspServer:
    """Sends H.264 clips over and over, at their rate, to whoever asks."""

    def __init__(
        self, folder: Path, clips: list[Path], *, user: str = "", password: str = ""
    ) -> None:
        """Send the first of ``clips``; keep files in ``folder``. Skips the test if it cannot."""
        if not _available():
            missing("needs python3-gi, gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-good")
        self.port = free_port()
        login = f"{user}:{password}@" if user else ""
        self.url = f"rtsp://{login}127.0.0.1:{self.port}/clip"
        self._process: subprocess.Popen[str] | None = None
        files, rates = [], []
        for i, clip in enumerate(clips):
            files.append(folder / f"clip{i}.units")
            rates.append(_units(clip, files[-1]))
        words = [str(self.port), str(rates[0]), user, password, *map(str, files)]
        self._command = [SYSTEM_PYTHON, str(_SCRIPT), *words]

    def start(self) -> None:
        """Serve, on the same port every time."""
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line == "ready\n", line

    def kill(self) -> None:
        """End at once, without a good-bye."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def pause(self) -> None:
        """Send nothing, but stay connected and answer."""
        self._order("pause")

    def go(self) -> None:
        """Send again."""
        self._order("go")

    def freeze(self) -> None:
        """Stop the process as it is: connections stay, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the process go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def jump(self, seconds: float) -> None:
        """Shift the time stamps of what follows."""
        self._order(f"jump {seconds}")

    def clip(self, number: int) -> None:
        """Send another of the clips, from its beginning, over the same connection."""
        self._order(f"clip {number}")

    def _order(self, text: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> "RtspServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _units(clip: Path, to: Path) -> float:
    """Write the access units of an H.264 clip, as rtsp_gst.py reads them; return its rate."""
    with av.open(str(clip)) as container, to.open("wb") as file:
        stream: Any = container.streams.video[0]
        assert stream.codec_context.name == "h264", f"{clip} is no H.264"
        annexb = BitStreamFilterContext("h264_mp4toannexb", stream)
        rate, sent = float(stream.average_rate), 0
        first = None
        for packet in container.demux(stream):
            for made in annexb.filter(packet if packet.size else None):
                shown = made.pts * made.time_base * rate
                first = shown if first is None else first
                file.write(struct.pack(">Ii", made.size, round(shown - first) - sent) + bytes(made))
                sent += 1
        return rate
