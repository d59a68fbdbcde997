"""What a client's url may lead to: public addresses, resolved once, and no more than the limit."""

import asyncio
import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest
from conftest import REQUIRE_ALL

if not REQUIRE_ALL:
    pytest.importorskip("fastapi", reason="needs the extra [serve]")

from vmatte.server.errors import Problem
from vmatte.server.fetch import fetched, reachable


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
