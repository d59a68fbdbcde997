"""What must not be possible by an upload: other files, bombs, crashes, litter."""

import os
import random
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from media import make_image, make_video
from serving import SMALL, expect_no_litter, running, wait_for


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("serve")
    with running(folder, *SMALL) as server:
        yield server
        expect_no_litter(folder)


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_image(tmp_path_factory.mktemp("image") / "a.png").read_bytes()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_video(tmp_path_factory.mktemp("video") / "a.mp4").read_bytes()


def png_head(width: int, height: int) -> bytes:
    """A picture that says it has so many pixels, and little else."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


# Other files


PLAYLISTS = {
    "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://SECRET\n#EXT-X-ENDLIST\n",
    "hls http": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:1/a.ts\n",
    "concat": b"ffconcat version 1.0\nfile SECRET\n",
    "dash": b"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><Period>"
    b"<AdaptationSet><Representation id='1'><BaseURL>file://SECRET</BaseURL></Representation>"
    b"</AdaptationSet></Period></MPD>",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    b"m=video 5000 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "text": b"a text that FFmpeg would draw as a video\n" * 20,
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_playlists_are_no_videos(
    client: httpx.Client, video: bytes, tmp_path: Path, kind: str
) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(video)
    data = PLAYLISTS[kind].replace(b"SECRET", str(secret).encode())
    for name in ("a.mp4", "a.m3u8", "a.ffconcat"):
        response = client.post("/api/jobs", files={"file": (name, data)})
        assert response.status_code == 415, (kind, response.text)


def test_names_lead_nowhere(client: httpx.Client, image: bytes, server: Any) -> None:
    before = {p for p in server.folder.parent.rglob("*") if p.is_dir()}
    for name in ("../../evil.png", "/etc/evil.png", "..\\evil.png", "a\0b.png", "%2e%2e/evil"):
        response = client.post("/api/images", files={"file": (name, image)})
        assert response.status_code == 200
        assert ".." not in response.headers["content-disposition"]
    assert {p for p in server.folder.parent.rglob("*") if p.is_dir()} - before <= set(
        (server.folder / "cache").rglob("*")
    ) | {server.folder / "cache"}
    assert not list(server.folder.parent.rglob("*evil*"))
    for path in ("/../options.py", "/..%2foptions.py", "/%2e%2e/errors.py", "/static/../app.py"):
        request = httpx.Request("GET", str(client.base_url).rstrip("/") + path)
        assert client.send(request).status_code == 404
    for path in ("/api/jobs/..", "/api/jobs/..%2f..%2fjobs.sqlite", "/api/jobs/a/result/../../x"):
        assert client.get(path).status_code in (404, 405)


def test_an_unknown_codec_is_told(client: httpx.Client, video: bytes) -> None:
    """Found by fuzzing."""
    data = video.replace(b"avc1", b"zzzz")
    response = client.post("/api/jobs", files={"file": ("a.mp4", data)})
    assert response.status_code == 415 and "codec" in response.json()["detail"]


# Bombs


def test_bombs(client: httpx.Client, image: bytes) -> None:
    for width, height in ((30_000, 30_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)):
        bomb = png_head(width, height)
        for files in (
            {"file": ("a.png", bomb)},
            {"file": ("a.png", image), "background_file": bomb},
        ):
            response = client.post("/api/images", files=files)
            assert response.status_code in (413, 422), response.text
    response = client.post("/api/images", files={"file": ("a.png", png_head(1000, 1000))})
    assert response.status_code == 422, "far fewer pixels than it says"
    response = client.post("/api/images", files={"file": ("a.png", b"x" * (5 << 20))})
    assert (response.status_code, response.json()["type"]) == (413, "urn:vmatte:too-large")
    response = client.post("/api/images", data={"url": "x" * 100_000})
    assert response.status_code == 413


# Fuzz


def test_malformed_uploads_break_nothing(
    client: httpx.Client, image: bytes, video: bytes, server: Any
) -> None:
    chance = random.Random(7)
    statuses = set()
    jobs = []
    # Longer by hand: VMATTE_FUZZ=5000 python -m pytest tests/test_server_safety.py -k malformed
    for turn in range(int(os.environ.get("VMATTE_FUZZ", "60"))):
        data = bytearray(chance.choice([image, video]))
        for _ in range(chance.randrange(1, 20)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.4:
            del data[chance.randrange(len(data)) :]
        if turn % 20 == 0:
            response = client.post("/api/jobs", files={"file": ("a", bytes(data))})
            if response.status_code == 202:
                jobs.append(response.json()["id"])
                continue
            if response.status_code == 429:  # It may be asked faster than it works.
                assert "retry-after" in response.headers
                continue
        elif turn % 2:
            response = client.post("/api/images", files={"file": ("a", bytes(data))})
        else:
            body = bytearray(
                b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
                + bytes(data[:2000])
                + b"\r\n--B--\r\n"
            )
            for _ in range(chance.randrange(1, 8)):
                body[chance.randrange(len(body))] = chance.randrange(256)
            response = client.post(
                "/api/images",
                content=bytes(body),
                headers={"Content-Type": "multipart/form-data; boundary=B"},
            )
        statuses.add(response.status_code)
        assert response.status_code in (200, 400, 413, 415, 422), response.text
    assert len(statuses) > 1
    for id in jobs:
        job = wait_for(client, id, "done", "failed")
        assert job["state"] == "done" or job["error"]["status"] in (413, 415, 422), job
        client.delete(f"/api/jobs/{id}")
    assert not list((server.folder / "jobs").iterdir())
    assert client.get("/healthz").status_code == 200
    assert server.process.poll() is None


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data", b"", 400),
        ("multipart/form-data; boundary=B", b"--B\r\nno colon\r\n\r\n", 400),
        (
            "multipart/form-data; boundary=B",
            b'--B\r\nContent-Disposition: form-data; name="a"',
            400,
        ),
        ("application/json", b"{", 400),
        ("application/json", b"[" * 60_000, 400),
        ("application/json", b"[1]", 400),
        ("application/x-www-form-urlencoded", b"&".join([b"a=1"] * 1000), 400),
        ("application/x-www-form-urlencoded", b"file=a", 422),  # found by fuzzing
        ("text/plain", b"", 415),
    ],
)
def test_malformed_forms(client: httpx.Client, kind: str, body: bytes, status: int) -> None:
    response = client.post("/api/images", content=body, headers={"Content-Type": kind})
    assert response.status_code == status, response.text


def test_an_upload_that_breaks_off_leaves_nothing(server: Any) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    for path in ("/api/images", "/api/jobs"):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000\r\n"
                "Content-Type: multipart/form-data; boundary=B\r\n\r\n"
                '--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx'.encode()
            )
    expect_no_litter(server.folder)
