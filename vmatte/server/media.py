"""Looking at what came before it is decoded: is it of a kind that is safe, and not too large?"""

import re
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import av
import av.error
from PIL import Image, UnidentifiedImageError

from vmatte.composite.background import COLOURS
from vmatte.errors import DamagedMediaError, OptionError, UnsupportedMediaError
from vmatte.server.errors import Problem
from vmatte.server.options import ServeOptions

PICTURES = ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"]
"""Pillow's names of the kinds of pictures that are taken."""

with suppress(ImportError):  # The extra [heif].
    import pillow_heif

    pillow_heif.register_heif_opener()
    PICTURES.append("HEIF")

CONTAINERS = (
    *("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "flv", "ogg", "asf"),
    *("mxf", "gif", "h264", "hevc", "yuv4mpegpipe"),
)
"""FFmpeg's names of the containers that are taken: none of them leads to another file.

Playlists (hls, concat, dash, ...) do, to any that this process may read.
"""

_COLOUR = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_BLUR = re.compile(r"blur(:\d{1,3}(\.\d{1,2})?)?")


def check_picture(path: Path | BinaryIO, name: str, pixels: int) -> tuple[int, int]:
    """Read the head of a picture; return its size. Raises UnsupportedMediaError, Problem."""
    try:
        with Image.open(path, formats=PICTURES) as picture:
            width, height = picture.size
    except Image.DecompressionBombError as e:
        raise Problem(413, "too-large", f"{name}: {e}") from e
    except UnidentifiedImageError as e:
        raise UnsupportedMediaError(
            f"{name}: is no picture of a kind that is taken; expected one of {', '.join(PICTURES)}"
        ) from e
    # Pillow's readers raise whatever comes to them on a head that lies.
    except Exception as e:
        raise DamagedMediaError(f"{name}: its head is damaged ({e}); give another file") from e
    _check_pixels(name, width, height, pixels)
    return width, height


def check_video(path: Path, name: str, options: ServeOptions) -> None:
    """Read the head of a video. Raises UnsupportedMediaError, DamagedMediaError, Problem.

    Opening it later finds the same container, because its name tells FFmpeg nothing.
    """
    allowed = {"protocol_whitelist": "file", "format_whitelist": ",".join(CONTAINERS)}
    try:
        with av.open(str(path), options=allowed, metadata_errors="replace") as container:
            if container.format.name not in CONTAINERS:
                raise UnsupportedMediaError(f"{name}: {container.format.name} is not taken")
            videos = container.streams.video
            if not videos:
                raise UnsupportedMediaError(f"{name}: holds no video; give a video")
            context = videos[0].codec_context
            if context is None:
                raise UnsupportedMediaError(
                    f"{name}: its codec is unknown; convert it to H.264 first"
                )
            width, height = context.width, context.height
            duration = (container.duration or 0) / av.time_base
    except UnsupportedMediaError:
        raise
    except (av.error.FFmpegError, OSError, ValueError) as e:
        raise UnsupportedMediaError(
            f"{name}: is no video of a kind that is taken; expected such as mp4, mov, webm, mkv, "
            "avi or ts"
        ) from e
    _check_pixels(name, width, height, options.video_pixels)
    if duration > options.duration:
        raise Problem(
            413,
            "too-long",
            f"{name}: lasts {duration:.0f} s, the limit is {options.duration:.0f} s; cut it first",
        )


def _check_pixels(name: str, width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise Problem(
            413,
            "too-large",
            f"{name}: has {width}x{height} pixels, the limit is {limit / 1e6:g} million; "
            "scale it first",
        )


def parse_behind(text: str) -> str:
    """Return a background that a client named, as the library names it.

    Never a path: what lies on this machine is not the client's. Raises OptionError.
    """
    text = text.strip().lower()
    if text in COLOURS or text == "transparent" or _BLUR.fullmatch(text):
        return text
    if match := _COLOUR.fullmatch(text):
        digits = match[1]
        return "#" + (digits if len(digits) == 6 else "".join(d * 2 for d in digits))
    raise OptionError(
        f"background is {text[:40]!r}; expected transparent, blur, blur:RADIUS, #rrggbb or one of "
        f"{', '.join(sorted(COLOURS))}; send a picture as the file background_file"
    )
