"""Fetching what a client's url= points to, and nothing within our own networks (SSRF)."""

import asyncio
import hashlib
import ipaddress
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from vmatte import __version__
from vmatte.errors import mask
from vmatte.server.errors import Problem
from vmatte.server.forms import Upload, plain

_REDIRECTS = 5
_TIMEOUT = httpx.Timeout(20.0, connect=10.0)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@asynccontextmanager
async def fetched(
    url: str,
    folder: Path,
    limit: int,
    *,
    seconds: float,
    allowed: tuple[str, ...] = (),
    room: Callable[[int], None] | None = None,
) -> AsyncIterator[Upload]:
    """Fetch ``url`` into ``folder``; the file goes when the block ends, unless it was moved.

    limit: in bytes. allowed: networks that may be reached although they are private. room: see
    read_form. Each name is resolved once, its addresses are checked, and the connection goes to
    the address that was checked; so do redirects. Raises Problem.
    """
    upload = Upload(_file_name(url), folder / secrets.token_hex(16))
    networks = tuple(ipaddress.ip_network(n) for n in allowed)
    try:
        try:
            async with asyncio.timeout(seconds):
                await _fetch(url, upload, limit, networks, room)
        except TimeoutError:
            raise Problem(
                408, "slow", f"{mask(url)}: not fetched within {seconds:g} s; try again"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as e:
            reason = mask(str(e)) or type(e).__name__
            raise Problem(502, "fetch", f"{mask(url)}: cannot be fetched: {reason}") from e
        yield upload
    finally:
        upload.path.unlink(missing_ok=True)


async def _fetch(
    url: str,
    upload: Upload,
    limit: int,
    networks: tuple[Network, ...],
    room: Callable[[int], None] | None,
) -> None:
    # trust_env: a proxy would resolve names by itself, past our checks.
    async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT) as client:
        for _ in range(_REDIRECTS + 1):
            request = await _pinned(client, url, networks)
            response = await client.send(request, stream=True)
            try:
                if response.is_redirect:
                    url = urljoin(url, response.headers["location"])
                    continue
                if response.status_code != 200:
                    raise Problem(
                        502, "fetch", f"{mask(url)}: answered {response.status_code}, expected 200"
                    )
                await _save(response, url, upload, limit, room)
                return
            finally:
                await response.aclose()
    raise Problem(502, "fetch", f"{mask(url)}: redirects more than {_REDIRECTS} times")


async def _save(
    response: httpx.Response,
    url: str,
    upload: Upload,
    limit: int,
    room: Callable[[int], None] | None,
) -> None:
    digest = hashlib.sha256()
    with upload.path.open("xb") as file:
        # Raw: a small body that unpacks to a huge one is left packed.
        async for chunk in response.aiter_raw(64 << 10):
            upload.size += len(chunk)
            if upload.size > limit:
                raise Problem(
                    413, "too-large", f"{mask(url)}: has more than {limit} bytes, the limit"
                )
            if room is not None:
                room(upload.size)
            digest.update(chunk)
            file.write(chunk)
    upload.sha256 = digest.hexdigest()


async def _pinned(
    client: httpx.AsyncClient, url: str, networks: tuple[Network, ...]
) -> httpx.Request:
    """Return a request for ``url`` that goes to an address which was checked."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Problem(422, "url", f"{mask(url)!r} is no http or https address")
    host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    except (socket.gaierror, UnicodeError) as e:
        raise Problem(502, "fetch", f"{host}: no such host ({e})") from e
    addresses = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found]
    for address in addresses:
        if not reachable(address, networks):
            raise Problem(
                403,
                "private-address",
                f"{host} is at {address}, which is not a public address; upload the file instead, "
                "or allow its network with --allow-network",
            )
    target = httpx.URL(url).copy_with(host=str(addresses[0]), username=None, password=None)
    name = f"[{host}]" if ":" in host else host
    headers = {
        "Host": name if parts.port is None else f"{name}:{parts.port}",
        "User-Agent": f"vmatte/{__version__}",
        "Accept-Encoding": "identity",
    }
    # The certificate is checked against the name, not the address.
    return client.build_request("GET", target, headers=headers, extensions={"sni_hostname": host})


def reachable(address: Address, networks: tuple[Network, ...] = ()) -> bool:
    """Tell whether a client may have us connect to ``address``."""
    if any(address in n for n in networks if n.version == address.version):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        # Addresses that carry an IPv4 address within them lead to that one.
        inner = address.ipv4_mapped or address.sixtofour
        if address.teredo is not None:
            return False
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return reachable(inner, networks)
    return address.is_global and not address.is_multicast and not address.is_reserved


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052."""


def _file_name(url: str) -> str:
    return plain(unquote(urlsplit(url).path))
