"""What must not be possible: strangers, other files, other machines, bombs, litter."""

import asyncio
import ipaddress
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
from serving import SMALL, client_of, expect_no_litter, running, wait_for

from vmatte.errors import OptionError
from vmatte.server.errors import Problem
from vmatte.server.fetch import fetched, reachable
from vmatte.server.options import ServeOptions

TOKEN = "a-token-of-some-length"


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


# Strangers


def test_only_this_machine_without_a_token() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.com"):
        with pytest.raises(OptionError, match="token"):
            ServeOptions(host=host)
        ServeOptions(host=host, token=TOKEN)
    for host in ("127.0.0.1", "::1", "localhost"):
        ServeOptions(host=host)
    with pytest.raises(OptionError, match="16"):
        ServeOptions(token="short")
    assert TOKEN not in repr(ServeOptions(token=TOKEN))


def test_a_name_that_was_made_to_lead_here_is_refused(client: httpx.Client) -> None:
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""):
        response = client.get("/api/models", headers={"Host": host})
        assert response.status_code == 403, host
        assert response.json()["type"] == "urn:vmatte:host"
    assert client.get("/api/models", headers={"Host": "localhost:1234"}).status_code == 200


def test_pages_of_others_may_not_use_it(client: httpx.Client, image: bytes) -> None:
    own = str(client.base_url).rstrip("/")
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        response = client.post(
            "/api/images", files={"file": ("a.png", image)}, headers={"Origin": origin}
        )
        assert response.status_code == 403 and response.json()["type"] == "urn:vmatte:origin"
    response = client.post("/api/images", files={"file": ("a.png", image)}, headers={"Origin": own})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers
    assert "script-src 'self'" in response.headers["content-security-policy"]


def test_the_token(tmp_path: Path) -> None:
    with client_of(tmp_path, token=TOKEN) as client:
        for path in ("/api/models", "/api/jobs", "/metrics", "/api/openapi.json"):
            response = client.get(path)
            assert response.status_code == 401, path
            assert response.headers["www-authenticate"] == "Bearer"
        assert client.post("/v1.0/removebg").status_code == 401
        assert client.get("/healthz").status_code == client.get("/").status_code == 200
        for headers in ({"Authorization": f"Bearer {TOKEN}"}, {"X-Api-Key": TOKEN}):
            assert client.get("/api/models", headers=headers).status_code == 200
        for headers in ({"Authorization": "Bearer wrong"}, {"X-Api-Key": TOKEN[:-1]}):
            assert client.get("/api/models", headers=headers).status_code == 401
        assert client.post("/api/session", json={"token": "wrong"}).status_code == 401
        assert client.post("/api/session", content=b"[]").status_code == 401
        response = client.post("/api/session", json={"token": TOKEN})
        assert response.status_code == 204
        cookie = response.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
        assert client.get("/api/models").status_code == 200


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


# Other machines


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.9.9", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.1", "240.0.0.1"),
        *("::1", "::", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"),
        *("2002:7f00:1::", "2001:db8::1", "ff02::1", "::ffff:10.0.0.1"),
    ],
)
def test_private_addresses_are_not_reached(address: str) -> None:
    assert not reachable(ipaddress.ip_address(address))


def test_public_and_allowed_addresses_are() -> None:
    assert reachable(ipaddress.ip_address("8.8.8.8"))
    assert reachable(ipaddress.ip_address("2606:4700::1111"))
    assert reachable(ipaddress.ip_address("10.1.2.3"), (ipaddress.ip_network("10.0.0.0/8"),))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/a.png",
        "http://localhost:1/a.png",
        "http://[::1]:1/a.png",
        "http://2130706433:1/a.png",  # 127.0.0.1 as a number
        "http://0x7f.1:1/a.png",
        "http://[::ffff:127.0.0.1]:1/a.png",
    ],
)
def test_an_address_here_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(Problem) as caught:
        asyncio.run(_fetch(url, tmp_path))
    assert caught.value.status in (403, 502), caught.value.detail
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b", "gopher://a", "a.png", "//x"])
def test_only_http(tmp_path: Path, url: str) -> None:
    with pytest.raises(Problem) as caught:
        asyncio.run(_fetch(url, tmp_path))
    assert caught.value.status == 422


def test_redirects_are_checked_too(tmp_path: Path) -> None:
    async def redirect(reader: Any, writer: Any) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:1/secret\r\n")
        writer.write(b"Content-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def go() -> None:
        server = await asyncio.start_server(redirect, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await _fetch(f"http://127.0.0.1:{port}/a", tmp_path, "127.0.0.1/32")

    with pytest.raises(Problem, match=r"127\.0\.0\.2"):
        asyncio.run(go())


def test_a_name_that_changes_its_address_is_resolved_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def go() -> bytes:
        async def answer(reader: Any, writer: Any) -> None:
            asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        answers = iter(["127.0.0.1", "10.0.0.1"])

        async def lookup(self: Any, host: str, port: int, **more: Any) -> Any:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(type(loop), "getaddrinfo", lookup)
        async with server:
            return await _fetch(f"http://two.example:{port}/a", tmp_path, "127.0.0.1/32")

    assert asyncio.run(go()) == b"ok"
    assert "Host: two.example:" in asked[0] and "GET /a " in asked[0]


async def _fetch(url: str, folder: Path, *allowed: str) -> bytes:
    async with fetched(url, folder, 1000, seconds=20, allowed=allowed) as upload:
        return upload.path.read_bytes()


def test_what_is_fetched_has_limits(tmp_path: Path) -> None:
    async def flood(reader: Any, writer: Any) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)
        writer.close()

    async def go() -> None:
        async with await asyncio.start_server(flood, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await _fetch(f"http://127.0.0.1:{port}/a", tmp_path, "127.0.0.0/8")

    with pytest.raises(Problem) as caught:
        asyncio.run(go())
    assert caught.value.status == 413 and list(tmp_path.iterdir()) == []


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
