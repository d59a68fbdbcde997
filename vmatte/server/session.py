"""One live connection's frames: a picture in, what was asked for out, a state in between."""

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from vmatte.colour import Colour
from vmatte.composite import AlphaOutput, Composite, Compositor, Subject, parse_background
from vmatte.errors import DamagedMediaError, UnsupportedMediaError
from vmatte.frames import Frame, StreamInfo
from vmatte.matting import Matter
from vmatte.pixels import nearest
from vmatte.refine import RefineOptions, refine
from vmatte.server.media import check_picture
from vmatte.sinks.images import encode_image

PIXELS = 2_100_000
"""Of a live frame: 1920x1080 and a little more."""

_DECODERS = {b"\xff\xd8\xff": "mjpeg", b"\x89PNG": "png"}

_ENCODERS = {
    "jpg": ("mjpeg", "yuvj444p"),
    "png": ("png", "rgba"),
    "webp": ("libwebp", "bgra"),
}

_REFINE = RefineOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a connection wants. background: as parse_background takes it; only: picture or alpha."""

    background: str = "green"
    format: str = "jpg"
    only: str = "picture"


class Session:
    """Mattes the frames of one connection, in the order in which they come."""

    def __init__(self, matter: Matter[Any], look: Look) -> None:
        """Use a loaded model."""
        self._matter, self._look = matter, look
        self._compositor: Compositor | None = None
        self._info: StreamInfo | None = None
        self._state: Any = None
        self._count = 0

    def step(self, data: bytes) -> bytes:
        """Matte one JPEG or PNG. Raises UnsupportedMediaError, DamagedMediaError, Problem."""
        frame = self._decode(data)
        size = self._matter.working_size(frame.width, frame.height)
        rgb = frame.rgb(size, self._matter.engine.scaling)
        compositor = self._prepare(frame, (rgb.shape[1], rgb.shape[0]))
        matte, self._state = self._matter.step(rgb, self._state)
        advanced = compositor.advance(frame)
        composed = compositor.compose(frame, refine(frame, rgb, matte, _REFINE), advanced)
        encoder, format = _ENCODERS[self._look.format]
        if self._look.only == "alpha" and encoder == "png":
            format = "gray"
        return encode_image(composed, encoder, format)

    def close(self) -> None:
        """Release the background."""
        if self._compositor is not None:
            self._compositor.close()
            self._compositor = None

    def _prepare(self, frame: Frame, working: tuple[int, int]) -> Compositor:
        """Begin anew where the first frame, or one of another size, comes."""
        info = StreamInfo(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            colour=frame.colour,
            time_base=frame.time_base,
            live=True,
        )
        if self._compositor is not None and info == self._info:
            return self._compositor
        self.close()
        if self._look.only == "alpha":
            compositor: Compositor = AlphaOutput()
        else:
            behind = parse_background(self._look.background)
            compositor = Subject(transparent=True) if behind is None else Composite(behind)
        compositor.open(info)
        self._compositor, self._info = compositor, info
        self._state = self._matter.start(*working)
        return compositor

    def _decode(self, data: bytes) -> Frame:
        decoder = next((d for head, d in _DECODERS.items() if data.startswith(head)), None)
        if decoder is None:
            raise UnsupportedMediaError("the frame is neither a JPEG nor a PNG")
        check_picture(io.BytesIO(data), "the frame", PIXELS)
        context: Any = av.CodecContext.create(decoder, "r")
        # With more, pictures come out late.
        context.thread_count = 1
        try:
            pictures = [*context.decode(av.Packet(data)), *context.decode(None)]
        except (av.error.FFmpegError, ValueError) as e:
            raise DamagedMediaError(f"the frame is damaged ({e})") from e
        if not pictures:
            raise DamagedMediaError("the frame is damaged: it holds no picture")
        picture = pictures[0]
        colour = Colour.of(picture)
        native = nearest(picture.format.name).name
        if native != picture.format.name:
            picture = picture.reformat(format=native)
        self._count += 1
        return Frame(picture, self._count, Fraction(1, 30), colour)


def save_background(data: bytes, folder: Path, name: str, pixels: int) -> Path:
    """Keep a picture to put behind. Raises UnsupportedMediaError, Problem."""
    check_picture(io.BytesIO(data), "the background", pixels)
    path = folder / name
    path.write_bytes(data)
    return path
