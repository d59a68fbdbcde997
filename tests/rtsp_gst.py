"""GStreamer's RTSP server, run by the system's Python: see rtsp_server.py, which starts it.

Reads orders from standard input, a line each: pause, go, jump SECONDS, clip NUMBER.
"""

import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

LAUNCH = (
    "( appsrc name=feed is-live=true format=time block=true max-bytes=4000000 "
    "caps=video/x-h264,stream-format=byte-stream,alignment=au "
    "! rtph264pay name=pay0 pt=96 )"
)


Unit = tuple[int, bytes]


def units(path: str) -> list[Unit]:
    """Return the access units of a file, each with the number of frames it is shown late.

    A 32-bit length, 32 bits for that number, and as many bytes as the length says.
    """
    data, at, found = Path(path).read_bytes(), 0, []
    while at < len(data):
        length, late = struct.unpack_from(">Ii", data, at)
        found.append((late, data[at + 8 : at + 8 + length]))
        at += 8 + length
    return found


class State:
    """What is sent, as ordered."""

    def __init__(self, clips: list[list[Unit]], rate: float) -> None:
        self.clips, self.rate = clips, rate
        self.clip = 0
        self.paused = False
        self.pipeline: Any = None
        self.shift = 0.0


def play(source: Any, state: State) -> None:
    """Push access units by the clock, over and over, until the pipeline takes no more."""
    begun, sent, at, clip = time.monotonic(), 0, 0, state.clip
    while True:
        if state.paused:
            time.sleep(0.005)
            begun += 0.005
            continue
        if clip != state.clip:
            clip, at = state.clip, 0
        if (wait := begun + sent / state.rate - time.monotonic()) > 0:
            time.sleep(wait)
        late, data = state.clips[clip][at]
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.dts = int((sent / state.rate + state.shift) * Gst.SECOND)
        buffer.pts = buffer.dts + int(late / state.rate * Gst.SECOND)
        buffer.duration = int(Gst.SECOND / state.rate)
        if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
            return
        sent += 1
        at = (at + 1) % len(state.clips[clip])


def obey(state: State, loop: Any) -> None:
    for line in sys.stdin:
        order, *rest = line.split()
        if order in ("pause", "go"):
            state.paused = order == "pause"
        elif order == "jump":
            # Else the sinks would wait until the time that the stamps tell.
            state.pipeline.iterate_sinks().foreach(lambda e: e.set_property("sync", False))
            state.shift += float(rest[0])
        elif order == "clip":
            state.clip = int(rest[0])
    loop.quit()


def main() -> None:
    """PORT RATE USER PASSWORD FILE...; the user may be empty."""
    port, rate, user, password, *files = sys.argv[1:]
    Gst.init(None)
    state = State([units(f) for f in files], float(rate))
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(LAUNCH)
    factory.set_shared(True)

    def configure(_: Any, media: Any) -> None:
        element = media.get_element()
        state.pipeline = element.get_parent()
        source = element.get_child_by_name("feed")
        threading.Thread(target=play, args=(source, state), daemon=True).start()

    factory.connect("media-configure", configure)
    if user:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "user")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        server.set_auth(auth)
        factory.add_role_from_structure(
            Gst.Structure.from_string(
                "user,media.factory.access=(boolean)true,media.factory.construct=(boolean)true"
            )[0]
        )
    server.get_mount_points().add_factory("/clip", factory)
    server.attach(None)
    loop = GLib.MainLoop()
    threading.Thread(target=obey, args=(state, loop), daemon=True).start()
    print("ready", flush=True)
    loop.run()


main()
