"""vmatte serve: the HTTP API and the page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vmatte.cli.options import F, group
from vmatte.errors import OptionError
from vmatte.server.options import GB, MB, ServeOptions

_DEFAULT = ServeOptions()


def _limit(name: str, unit: str, factor: float, help: str) -> Callable[[F], F]:
    value = getattr(_DEFAULT, name) / factor
    return click.option(
        f"--{name.replace('_', '-')}",
        type=float,
        default=int(value) if value == int(value) else value,
        show_default=True,
        metavar=unit,
        help=help,
    )


_UNITS = {
    "image_bytes": MB,
    "video_bytes": MB,
    "quota": GB,
    "image_pixels": 1e6,
    "video_pixels": 1e6,
    "duration": 60,
    "job_seconds": 1,
    "upload_seconds": 1,
    "keep": 3600,
}

_limits = group(
    _limit("image_bytes", "MB", MB, "Largest picture."),
    _limit("video_bytes", "MB", MB, "Largest video."),
    _limit("image_pixels", "MP", 1e6, "Most pixels of a picture, in millions."),
    _limit("video_pixels", "MP", 1e6, "Most pixels of a video's frame, in millions."),
    _limit("duration", "MIN", 60, "Longest video, in minutes."),
    _limit("job_seconds", "SEC", 1, "Longest time that a video's job may take."),
    _limit("upload_seconds", "SEC", 1, "Longest time that an upload may take."),
    _limit("keep", "HOURS", 3600, "How long a finished job is kept."),
    _limit("quota", "GB", GB, "Most disk space for uploads and results."),
)


def _number(name: str, help: str) -> Callable[[F], F]:
    return click.option(
        f"--{name}", type=int, default=getattr(_DEFAULT, name), show_default=True, help=help
    )


@click.command(
    "serve",
    epilog="Example: vmatte serve --open\n\nFor others: "
    "VMATTE_TOKEN=$(openssl rand -hex 16) vmatte serve --host 0.0.0.0",
)
@click.option("--host", default=_DEFAULT.host, show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    type=int,
    default=_DEFAULT.port,
    show_default=True,
    help="Port to listen at; 0: any free one.",
)
@click.option(
    "--token",
    envvar="VMATTE_TOKEN",
    metavar="SECRET",
    help="What clients must show; better in VMATTE_TOKEN, which others on this machine cannot see.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=_DEFAULT.folder,
    show_default=True,
    help="Where uploads and results lie.",
)
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="Offer only this; again for more."
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Another name by which the page is reached, behind a proxy.",
)
@click.option(
    "--allow-network",
    "networks",
    multiple=True,
    metavar="CIDR",
    help="A private network that a url= may point into.",
)
@_number("workers", "Pictures matted at once.")
@_number("waiting", "Pictures that may wait.")
@_number("jobs", "Videos matted at once.")
@_number("queue", "Videos that may wait.")
@_number("live", "Live connections.")
@_limits
@click.option("--open", "browser", is_flag=True, help="Open the page in the browser.")
def command(browser: bool, **given: Any) -> int:
    """Serve the HTTP API and the page, until Ctrl-C.

    Without a token only programs on this machine are answered. Jobs that are under way when the
    service ends, in whatever way, start again with it.
    """
    for name, factor in _UNITS.items():
        value = given[name] * factor
        given[name] = int(value) if isinstance(getattr(_DEFAULT, name), int) else float(value)
    options = ServeOptions(**given)
    try:
        from vmatte.server.run import serve
    except ImportError as e:
        raise OptionError(
            f"vmatte serve needs packages that are not here ({e.name}); "
            "install them with: pip install 'vmatte[serve]'"
        ) from e
    serve(options, browser=browser)
    return 0
