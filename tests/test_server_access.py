"""Who may use the service: this machine, this origin, or whoever has the token."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from media import make_image
from serving import client_of

from vmatte.errors import OptionError
from vmatte.server.options import ServeOptions

TOKEN = "a-token-of-some-length"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with client_of(tmp_path / "serve") as client:
        yield client


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_image(tmp_path_factory.mktemp("image") / "a.png").read_bytes()


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
