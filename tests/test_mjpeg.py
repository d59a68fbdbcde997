"""The small web server, asked by real clients over real sockets."""

import http.client
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator

import av
import cv2
import numpy as np
import pytest
from media import rgb_picture
from writing import frames_of, info_of

from vmatte.errors import OptionError, OutputError
from vmatte.frames import Frame
from vmatte.sinks import latest
from vmatte.sinks.mjpeg import MjpegSink

INFO = info_of("yuv420p")
FRAMES = list(frames_of(INFO))


@pytest.fixture
def sink() -> Iterator[MjpegSink]:
    sink = MjpegSink("0")
    sink.open(INFO)
    yield sink
    sink.close()


def _port(sink: MjpegSink) -> int:
    return int(sink.url.rsplit(":", 1)[1].strip("/"))


def _ask(sink: MjpegSink, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", _port(sink), timeout=10)
    given = {k.replace("_", "-"): v for k, v in headers.items()}
    connection.request("GET", path, headers=given)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.headers), body


def _until(what: object, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


class Client:
    """Reads the stream, a picture at a time."""

    def __init__(self, sink: MjpegSink) -> None:
        self.socket = socket.create_connection(("127.0.0.1", _port(sink)), 10)
        self.socket.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.file = self.socket.makefile("rb")
        assert b"200" in self.file.readline()
        while self.file.readline().strip():
            pass
        assert self.file.readline() == b"--vmatte-frame\r\n"

    def picture(self) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
        assert self.file.readline() == b"Content-Type: image/jpeg\r\n"
        length = int(self.file.readline().split()[1])
        assert not self.file.readline().strip()
        data = self.file.read(length)
        assert self.file.readline() == b"\r\n"
        assert self.file.readline() == b"--vmatte-frame\r\n"
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return np.asarray(found[:, :, ::-1])

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def test_the_stream_shows_each_frame(sink: MjpegSink) -> None:
    client = Client(sink)
    for index, frame in enumerate(FRAMES[:3]):
        sink.write(frame)
        shown = client.picture().astype(int)
        assert shown.shape == (64, 96, 3)
        assert np.abs(shown - rgb_picture(index)).mean() < 5
    client.close()


def test_ffmpeg_reads_it(sink: MjpegSink) -> None:
    stop = threading.Event()

    def play() -> None:
        while not stop.wait(0.02):
            sink.write(FRAMES[0])

    thread = threading.Thread(target=play)
    thread.start()
    try:
        with av.open(f"{sink.url}stream.mjpg", format="mpjpeg", timeout=10) as opened:
            for _, picture in zip(range(3), opened.decode(video=0), strict=False):
                assert (picture.width, picture.height) == INFO.size
    finally:
        stop.set()
        thread.join()


def test_a_frame_is_encoded_once_for_all_and_only_for_somebody(
    sink: MjpegSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[Frame] = []
    real = latest._encode
    monkeypatch.setattr(latest, "_encode", lambda f: encoded.append(f) or real(f))
    assert not sink.watched()
    for frame in FRAMES:
        sink.write(frame)
    assert not encoded
    clients = [Client(sink) for _ in range(5)]
    for client in clients:
        client.picture()
    assert sink.watched() and len(encoded) == 1
    sink.write(FRAMES[1])
    for client in clients:
        client.picture()
    assert encoded == [FRAMES[-1], FRAMES[1]]
    for client in clients:
        client.close()
    monkeypatch.setattr(latest, "_RECENT", 0.0)

    # The server sees that a client has gone when it sends to it.
    def seen() -> bool:
        sink.write(FRAMES[2])
        return not sink.watched()

    _until(seen)


def test_a_slow_client_holds_up_nobody_and_gets_the_newest(sink: MjpegSink) -> None:
    large = info_of("yuv420p", (1280, 720))
    noise = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), np.uint8)
    frame = mjpeg_frame(noise)
    slow = socket.create_connection(("127.0.0.1", _port(sink)), 10)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
    quick = Client(sink)
    longest = 0.0
    for _ in range(10):
        begin = time.monotonic()
        sink.write(frame)
        longest = max(longest, time.monotonic() - begin)
        assert quick.picture().shape == (large.height, large.width, 3)
    assert longest < 0.5
    begin = time.monotonic()
    sink.close()
    assert time.monotonic() - begin < 2, "a client that takes nothing held the end up"
    slow.close()
    quick.close()


def mjpeg_frame(rgb: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> Frame:
    from vmatte.frames import from_array

    return from_array(rgb, "rgb24")


def test_the_page_and_a_picture(sink: MjpegSink) -> None:
    status, headers, body = _ask(sink, "/")
    assert status == 200 and b'src="/stream.mjpg"' in body
    sink.write(FRAMES[0])
    status, headers, body = _ask(sink, "/snapshot.jpg")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert int(headers["Content-Length"]) == len(body)
    shown = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1].astype(int)
    assert np.abs(shown - rgb_picture(0)).mean() < 5
    assert sink.watched()
    assert _ask(sink, "/other")[0] == 404
    with urllib.request.urlopen(sink.url) as page:
        assert page.status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "LOCALHOST"}, 200),
        ({"Host": "[::1]:8090"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example:80"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "192.168.1.5"}, 403),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/", "/snapshot.jpg"])
def test_pages_of_others_are_not_answered(
    sink: MjpegSink, path: str, headers: dict[str, str], status: int
) -> None:
    sink.write(FRAMES[0])
    found, said, _ = _ask(sink, path, **headers)
    assert found == status
    assert "Access-Control-Allow-Origin" not in said
    assert said["Cross-Origin-Resource-Policy"] == "same-origin"


def test_bound_beyond_this_machine_on_purpose() -> None:
    sink = MjpegSink("0.0.0.0:0")
    sink.open(INFO)
    sink.write(FRAMES[0])
    try:
        assert _ask(sink, "/", Host="192.168.1.5:8090")[0] == 200
        assert _ask(sink, "/", Host=socket.gethostname())[0] == 200
        assert _ask(sink, "/", Host="evil.example")[0] == 403
    finally:
        sink.close()


def test_addresses() -> None:
    for good in ("8090", "127.0.0.1:8090", "[::1]:8090"):
        MjpegSink(good)
    for bad in ("", "x", "127.0.0.1", "127.0.0.1:", "70000", "-1"):
        with pytest.raises(OptionError, match="expected a port such as mjpeg:8090"):
            MjpegSink(bad)


def test_a_port_that_is_taken(sink: MjpegSink) -> None:
    second = MjpegSink(str(_port(sink)))
    with pytest.raises(OutputError, match="give another port, or mjpeg:0"):
        second.open(INFO)
    second.abort()
    with pytest.raises(OutputError, match="cannot listen"):
        MjpegSink("203.0.113.1:0").open(INFO)


def test_it_says_where_it_is(sink: MjpegSink) -> None:
    assert sink.notes == [f"to be seen at {sink.url}"]
    assert sink.url.startswith("http://127.0.0.1:")
