"""The codecs that vmatte writes, and what each container takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vmatte.errors import OptionError, UnsupportedOutputError
from vmatte.frames import FORMATS, PixelFormat, StreamInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How a file is encoded; None leaves the codec's own default.

    codec: a name of CODECS. crf: constant quality, the codec's own scale. preset: speed, in the
    codec's own names. pix_fmt: FFmpeg's name. bitrate: bits per second, instead of crf.
    """

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    bitrate: int | None = None

    def __post_init__(self) -> None:
        """Raise OptionError on values that no codec takes."""
        if self.codec is not None and self.codec not in CODECS:
            raise OptionError(f"codec {self.codec!r} is unknown; expected one of {names(CODECS)}")
        if self.crf is not None and not 0 <= self.crf <= 100:
            raise OptionError(f"crf is {self.crf}; expected 0 or more, on the codec's own scale")
        if self.crf is not None and self.bitrate is not None:
            raise OptionError("crf and bitrate exclude each other; give one of them")
        if self.bitrate is not None and self.bitrate < 1000:
            raise OptionError(f"bitrate is {self.bitrate} bits per second; expected 1000 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """A codec as FFmpeg's encoder knows it.

    quality: option that takes crf, up to top. preset: option that takes the preset, one of presets.
    delivery: made for players, so that unusual pictures (RGB, gray) become 4:2:0 unless asked
    otherwise. even: 4:2:0 pictures must have even sides. limited: knows no full range. shaped:
    holds the pixels' shape itself (PyAV cannot set it in Matroska). formats: best first.
    """

    encoder: str
    containers: tuple[str, ...]
    formats: tuple[str, ...]
    quality: str | None = None
    crf: float | None = None
    top: float = 51
    preset: str | None = None
    presets: tuple[str, ...] = ()
    default_preset: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    delivery: bool = True
    even: bool = False
    tag: str | None = None
    limited: bool = False
    shaped: bool = True

    def opaque(self) -> list[PixelFormat]:
        """Return the formats without alpha that frames can have."""
        return [FORMATS[f] for f in self.formats if f in FORMATS and not FORMATS[f].alpha]

    def alpha(self) -> list[str]:
        """Return the formats with alpha, by FFmpeg's names."""
        return [f for f in self.formats if f in _ALPHA_ONLY or (f in FORMATS and FORMATS[f].alpha)]


_ALPHA_ONLY = {"argb", "bgra", "rgba", "pal8"}
_8 = ("yuv420p", "yuv422p", "yuv444p")
_10 = ("yuv420p10le", "yuv422p10le", "yuv444p10le")
_12 = ("yuv420p12le", "yuv422p12le", "yuv444p12le")
_FFV1 = (
    *_8,
    *("yuv440p", "yuv411p", "yuv410p"),
    *_10,
    *_12,
    *(f"yuv{s}p{d}le" for d in (9, 14, 16) for s in ("420", "422", "444")),
    *("gray", "gray10le", "gray12le", "gray14le", "gray16le", "bgr0"),
    *("gbrp10le", "gbrp12le", "gbrp14le", "gbrp16le", "bgra", "yuva420p", "yuva422p", "yuva444p"),
    *(f"yuva{s}p{d}le" for d in (10, 16) for s in ("420", "422", "444")),
    *("yuva422p12le", "yuva444p12le", "gbrap10le", "gbrap12le", "gbrap16le"),
)
_ANY = ("mp4", "mov", "matroska")
_X26 = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium"),
    *("slow", "slower", "veryslow", "placebo"),
)

CODECS: Mapping[str, Codec] = {
    "h264": Codec(
        encoder="libx264",
        containers=_ANY,
        formats=_8 + _10,
        quality="crf",
        crf=20,
        preset="preset",
        presets=_X26,
        default_preset="veryfast",
        even=True,
    ),
    "hevc": Codec(
        encoder="libx265",
        containers=_ANY,
        formats=_8 + _10 + _12,
        quality="crf",
        crf=22,
        preset="preset",
        presets=_X26,
        default_preset="fast",
        even=True,
        tag="hvc1",
        options={"x265-params": "log-level=error"},
    ),
    "av1": Codec(
        encoder="libsvtav1",
        containers=(*_ANY, "webm"),
        formats=("yuv420p", "yuv420p10le"),
        quality="crf",
        crf=30,
        top=63,
        preset="preset",
        presets=tuple(map(str, range(-1, 14))),
        shaped=False,
        default_preset="9",
        even=True,
    ),
    "vp9": Codec(
        encoder="libvpx-vp9",
        containers=("webm", "matroska", "mp4"),
        formats=("yuv420p", "yuva420p", "yuv422p", "yuv444p", "yuv440p"),
        quality="crf",
        crf=30,
        top=63,
        preset="cpu-used",
        presets=tuple(map(str, range(-8, 9))),
        shaped=False,
        default_preset="5",
        options={"deadline": "good", "row-mt": "1", "b": "0"},
    ),
    "prores": Codec(
        encoder="prores_ks",
        containers=("mov", "matroska"),
        formats=("yuv444p10le", "yuva444p10le"),
        delivery=False,
        options={"profile": "4444", "vendor": "apl0"},
        limited=True,
        shaped=False,
    ),
    "ffv1": Codec(
        encoder="ffv1",
        containers=("matroska",),
        delivery=False,
        formats=_FFV1,
        options={"level": "3", "slicecrc": "1"},
        shaped=False,
    ),
    "qtrle": Codec(encoder="qtrle", containers=("mov",), formats=("rgb24", "argb"), delivery=False),
    "gif": Codec(encoder="gif", containers=("gif",), formats=("pal8",)),
    "webp": Codec(
        encoder="libwebp_anim",
        containers=("webp",),
        formats=("bgra", "yuv420p"),
        quality="quality",
        crf=80,
        top=100,
    ),
}
"""Formats: FFmpeg's lists for these encoders, less what no player shows."""

CONTAINERS: Mapping[str, tuple[str, str, str | None]] = {
    ".mp4": ("mp4", "h264", None),
    ".m4v": ("mp4", "h264", None),
    ".mov": ("mov", "h264", "prores"),
    ".mkv": ("matroska", "h264", "ffv1"),
    ".webm": ("webm", "vp9", "vp9"),
    ".gif": ("gif", "gif", "gif"),
    ".webp": ("webp", "webp", "webp"),
}
"""Suffix: FFmpeg's container, its usual codec, its codec for transparency."""

WITH_ALPHA = ".mov (ProRes 4444), .webm (VP9), .mkv (FFV1), .webp, .gif, or frames/%06d.png"
"""What a user who wants transparency is told."""


def names(things: Mapping[str, object]) -> str:
    """Return the keys as a list in words."""
    return ", ".join(things)


def choose(path: str, encoding: Encoding, info: StreamInfo) -> tuple[str, str, Codec]:
    """Return (container, codec name, codec) for a path and what is to be written to it.

    Raises UnsupportedOutputError where the container or codec cannot hold it.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in CONTAINERS:
        raise UnsupportedOutputError(
            f"{path}: vmatte cannot write {suffix or 'a file without a suffix'}; "
            f"expected one of {names(CONTAINERS)}, or frames/%06d.png"
        )
    container, usual, transparent = CONTAINERS[suffix]
    name = encoding.codec
    if name is None and info.format.alpha:
        name = transparent
        if name is None:
            raise UnsupportedOutputError(f"{path}: {suffix} has no transparency; use {WITH_ALPHA}")
    if name is None:
        # Few players take H.264 with PQ or HLG; all that show HDR take HEVC.
        name = "hevc" if info.colour.hdr and usual == "h264" else usual
    codec = CODECS[name]
    if container not in codec.containers:
        fitting = [s for s, c in CONTAINERS.items() if c[0] in codec.containers]
        raise UnsupportedOutputError(
            f"{path}: {suffix} cannot hold {name}; use {', '.join(fitting)}, or another --codec"
        )
    if info.format.alpha and not codec.alpha():
        raise UnsupportedOutputError(f"{path}: {name} has no transparency; use {WITH_ALPHA}")
    _check_values(path, name, codec, encoding)
    return container, name, codec


def _check_values(path: str, name: str, codec: Codec, encoding: Encoding) -> None:
    preset, crf = encoding.preset, encoding.crf
    if preset is not None and codec.preset and preset not in codec.presets:
        raise UnsupportedOutputError(
            f"{path}: {name} has no preset {preset!r}; expected one of {', '.join(codec.presets)}"
        )
    if crf is not None and codec.quality and crf > codec.top:
        raise UnsupportedOutputError(
            f"{path}: crf is {crf:g}; {name} takes 0 to {codec.top:g}; give another --crf"
        )


def ignored(name: str, codec: Codec, encoding: Encoding) -> list[str]:
    """Return notes on options that this codec does not have."""
    given = {
        "preset": encoding.preset is not None and not codec.preset,
        "crf": encoding.crf is not None and not codec.quality,
        "bitrate": encoding.bitrate is not None and not codec.quality,
    }
    return [f"{name} has no {option}: ignored" for option, was in given.items() if was]


def choose_format(path: str, codec: Codec, encoding: Encoding, info: StreamInfo) -> str:
    """Return the pixel format to encode: the frames' own where the codec has it, else the nearest.

    Raises UnsupportedOutputError where what was asked for cannot be had.
    """
    native, wanted = info.format, encoding.pix_fmt
    if wanted is not None:
        wanted += "le" if f"{wanted}le" in FORMATS else ""
        if wanted not in codec.formats:
            raise UnsupportedOutputError(
                f"{path}: {codec.encoder} cannot encode {wanted}; "
                f"expected one of {', '.join(codec.formats)}"
            )
        if info.colour.hdr and (wanted not in FORMATS or FORMATS[wanted].depth < 10):
            raise UnsupportedOutputError(f"{path}: HDR needs 10 bits, {wanted} has 8")
        return wanted
    if native.alpha:
        return _nearest_alpha(codec, native)
    if native.rgb and native.depth == 8 and "bgr0" in codec.formats:
        return "bgr0"
    fitting = codec.opaque()
    if info.colour.hdr:
        fitting = [f for f in fitting if f.depth >= 10]
        if not fitting:
            raise UnsupportedOutputError(
                f"{path}: the source is HDR and {codec.encoder} has 8 bits only; "
                "use --codec hevc, av1 or prores"
            )
    if not fitting:
        return codec.formats[0]
    flat = native.rgb or native.gray
    chroma = (1, 1) if codec.delivery and flat else (native.shift_x, native.shift_y)
    same = not (codec.delivery and flat)

    def loss(f: PixelFormat) -> tuple[bool, bool, bool, int, int]:
        return (
            f.depth < min(native.depth, 10 if codec.delivery else 16),
            f.shift_x > chroma[0] or f.shift_y > chroma[1],
            same and (f.rgb, f.gray) != (native.rgb, native.gray),
            abs(f.depth - native.depth),
            chroma[0] - f.shift_x + chroma[1] - f.shift_y,
        )

    best = min(fitting, key=loss)
    odd = (info.width % 2 and best.shift_x) or (info.height % 2 and best.shift_y)
    if codec.even and odd:
        # An odd size survives only where every pixel has a colour of its own.
        whole = [f for f in fitting if f.depth == best.depth and not (f.shift_x or f.shift_y)]
        if not whole:
            raise UnsupportedOutputError(
                f"{path}: {codec.encoder} needs even sides, the picture is "
                f"{info.width}x{info.height}; use --codec h264 or vp9"
            )
        best = whole[0]
    return best.name


def _nearest_alpha(codec: Codec, native: PixelFormat) -> str:
    fitting = codec.alpha()
    if native.name in fitting:
        return native.name
    if native.rgb and native.depth == 8 and "bgra" in fitting:
        return "bgra"
    known = [FORMATS[f] for f in fitting if f in FORMATS and f not in _ALPHA_ONLY]
    if not known:
        return fitting[0]
    return min(
        known,
        key=lambda f: (
            f.rgb != native.rgb,
            f.depth < native.depth,
            f.shift_x > native.shift_x,
            f.depth,
            native.shift_x - f.shift_x,
        ),
    ).name
