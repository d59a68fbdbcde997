"""WebSocket /api/live."""

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from serving import expect_no_litter, running
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

SAMPLE = Path(__file__).parents[1] / "samples" / "astronaut.mp4"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("serve")
    with running(folder, "--live", "2") as server:
        yield server
        expect_no_litter(folder)


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    found = []
    with av.open(str(SAMPLE)) as container:
        for frame in container.decode(video=0):
            data = io.BytesIO()
            frame.to_image().resize((256, 256)).save(data, "JPEG", quality=95)
            found.append(data.getvalue())
            if len(found) == 5:
                return found
    raise AssertionError("too short")


def opened(server: Any, **more: Any) -> Any:
    return connect(server.url.replace("http", "ws") + "/api/live", open_timeout=60, **more)


def ask(socket: Any, frame: bytes) -> tuple[dict[str, Any], Image.Image]:
    socket.send(frame)
    told = json.loads(socket.recv(timeout=60))
    assert "error" not in told, told
    return told, Image.open(io.BytesIO(socket.recv(timeout=60)))


def test_frames_in_composites_and_mattes_out(server: Any, frames: list[bytes]) -> None:
    with opened(server) as socket:
        told, picture = ask(socket, frames[0])
        assert told["frame"] == 0 and told["dropped"] == 0 and told["seconds"] > 0
        assert picture.format == "JPEG" and picture.size == (256, 256)
        corner = picture.getpixel((3, 3))
        assert np.allclose(corner, (0, 177, 64), atol=6), "green is what lies behind by default"
        socket.send(json.dumps({"output": "alpha", "format": "png"}))
        told, matte = ask(socket, frames[1])
        assert told["frame"] == 1 and matte.mode == "L"
        assert {0, 255} <= set(np.unique(np.array(matte)))
        socket.send(json.dumps({"background": "transparent", "format": "webp"}))
        assert ask(socket, frames[2])[1].mode == "RGBA"


def test_states_are_apart_and_carried(server: Any, frames: list[bytes]) -> None:
    """Each connection's mattes are those of a run of its own, whatever the other sends."""
    from vmatte import load_matter
    from vmatte.server.session import Look, Session

    matter = load_matter()
    try:
        session = Session(matter, Look(only="alpha", format="png"))
        expected = [session.step(f) for f in frames]
        fresh = Session(matter, Look(only="alpha", format="png")).step(frames[-1])
        session.close()
    finally:
        matter.close()
    assert expected[-1] != fresh, "the state makes a difference"
    settings = json.dumps({"output": "alpha", "format": "png"})
    with opened(server) as one, opened(server) as two:
        for socket in (one, two):
            socket.send(settings)
        for i, frame in enumerate(frames):
            got = ask(one, frame)[1]
            ask(two, frames[-1 - i])
            wanted = np.array(Image.open(io.BytesIO(expected[i])), int)
            assert np.abs(np.array(got, int) - wanted).max() <= 1


def test_the_newest_frame_wins(server: Any, frames: list[bytes]) -> None:
    with opened(server) as socket:
        ask(socket, frames[0])
        for _ in range(60):
            socket.send(frames[1])
        last = {"frame": 0}
        while last["frame"] != 60:
            last = json.loads(socket.recv(timeout=60))
            socket.recv(timeout=60)
        assert last["dropped"] > 0


def test_what_cannot_be_used_is_told(server: Any, frames: list[bytes]) -> None:
    with opened(server) as socket:
        for bad, kind in (
            (b"no picture", "unsupported-media"),
            (frames[0][:300], "damaged-media"),
            ("no json", "option"),
            (json.dumps({"background": "/etc/passwd"}), "option"),
            (json.dumps({"model": "nobody"}), "unknown-model"),
            (json.dumps({"background": "transparent"}), "option"),
            (json.dumps({"background_file": "AAAA"}), "unsupported-media"),
        ):
            socket.send(bad)
            assert json.loads(socket.recv(timeout=60))["error"]["type"] == f"urn:vmatte:{kind}", bad
        socket.send(json.dumps({}))
        ask(socket, frames[0])


def test_only_so_many_and_only_own_pages(server: Any, frames: list[bytes]) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        with pytest.raises((InvalidStatus, ConnectionClosed)):
            opened(server, additional_headers=headers).recv(timeout=20)
    with opened(server) as one, opened(server) as two:
        ask(one, frames[0])
        ask(two, frames[0])
        with opened(server) as three:
            assert json.loads(three.recv(timeout=20))["error"]["status"] == 429
            with pytest.raises(ConnectionClosed):
                three.recv(timeout=20)
    for _ in range(200):
        with server.client() as client:
            if "vmatte_live 0.0" in client.get("/metrics").text:
                break
        time.sleep(0.02)
    with opened(server) as again:
        ask(again, frames[0])
