"""What can be said about a service, with limits that are safe by default."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from vmatte.errors import OptionError

MB, GB = 1 << 20, 1 << 30


def default_folder() -> Path:
    """Return where uploads and results lie by default."""
    return platformdirs.user_data_path("vmatte", appauthor=False) / "serve"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """A service's address, folder and limits.

    token: what clients must show; needed where ``host`` is not of this machine alone. hosts: more
    names under which the page may be reached. models: those that may be asked for; by default all
    that are on this machine. networks: private networks, such as 10.0.0.0/8, that a url may point
    into.

    workers: pictures matted at once; waiting: pictures that may wait; jobs: videos matted at once;
    queue: videos that may wait; live: live connections.
    image_bytes, video_bytes: of an upload. image_pixels, video_pixels: of a picture. duration: of
    a video, in seconds. job_seconds: that one job may take. upload_seconds: that an upload may
    take. keep: seconds that a finished job is kept. quota: bytes that jobs may fill in all.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    folder: Path = field(default_factory=default_folder)
    hosts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    workers: int = 2
    waiting: int = 64
    jobs: int = 1
    queue: int = 32
    live: int = 4
    image_bytes: int = 64 * MB
    image_pixels: int = 64_000_000
    video_bytes: int = 4 * GB
    video_pixels: int = 36_000_000
    duration: float = 3600.0
    job_seconds: float = 6 * 3600.0
    upload_seconds: float = 3600.0
    keep: float = 24 * 3600.0
    quota: int = 20 * GB

    def __post_init__(self) -> None:
        """Raise OptionError on values that are unusable or unsafe."""
        if not self.host:
            raise OptionError("the host is empty; give an address, such as 127.0.0.1")
        if not 0 <= self.port <= 65535:
            raise OptionError(f"the port is {self.port}; expected 0 (any free one) to 65535")
        if self.token is not None and (len(self.token) < 16 or not self.token.isascii()):
            raise OptionError(
                f"the token has {len(self.token)} characters; expected 16 or more, all ASCII, "
                'such as: python -c "import secrets; print(secrets.token_urlsafe())"'
            )
        if not is_local(self.host) and self.token is None:
            raise OptionError(
                f"{self.host} can be reached from other machines; give a token that clients must "
                "show (--token, or VMATTE_TOKEN), or stay at 127.0.0.1"
            )
        for name in ("workers", "jobs"):
            if not 1 <= getattr(self, name) <= 64:
                raise OptionError(f"{name} is {getattr(self, name)}; expected 1 to 64")
        for name in ("waiting", "queue", "live"):
            if not 0 <= getattr(self, name) <= 100_000:
                raise OptionError(f"{name} is {getattr(self, name)}; expected 0 to 100000")
        for name in (
            *("image_bytes", "image_pixels", "video_bytes", "video_pixels", "quota"),
            *("duration", "job_seconds", "upload_seconds", "keep"),
        ):
            if not getattr(self, name) > 0:
                raise OptionError(f"{name} is {getattr(self, name)}; expected above 0")
        for network in self.networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as e:
                raise OptionError(f"{network!r} is no network, such as 10.0.0.0/8: {e}") from e


def is_local(host: str) -> bool:
    """Tell whether only programs on this machine can reach ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
