"""The codecs that vmatte writes, and what each container takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vmatte.errors import OptionError
from vmatte.pixels import FORMATS, PixelFormat


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
    holds the pixels' shape itself (PyAV cannot set it in Matroska). formats: best first. needs:
    the hardware that encodes.
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
    needs: str | None = None

    def opaque(self) -> list[PixelFormat]:
        """Return the formats without alpha that frames can have."""
        return [FORMATS[f] for f in self.formats if f in FORMATS and not FORMATS[f].alpha]

    def alpha(self) -> list[str]:
        """Return the formats with alpha, by FFmpeg's names."""
        return [f for f in self.formats if f in ALPHA_ONLY or (f in FORMATS and FORMATS[f].alpha)]


ALPHA_ONLY = {"argb", "bgra", "rgba", "pal8"}


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


def _nvenc(codec: str, *containers: str, tag: str | None = None) -> Codec:
    """Return a codec of NVIDIA's encoder. Deeper pictures it takes as semi-planar ones alone."""
    return Codec(
        encoder=f"{codec}_nvenc",
        containers=(*_ANY, *containers),
        formats=("yuv420p", "yuv444p") if codec != "av1" else ("yuv420p",),
        quality="cq",
        crf=23,
        preset="preset",
        presets=tuple(f"p{n}" for n in range(1, 8)),
        default_preset="p4",
        # By itself it keeps to 2 Mbit/s, whatever the quality asked for.
        options={"rc": "vbr", "b": "0"},
        even=True,
        tag=tag,
        needs="an NVIDIA card and its driver",
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
    "h264_nvenc": _nvenc("h264"),
    "hevc_nvenc": _nvenc("hevc", tag="hvc1"),
    "av1_nvenc": _nvenc("av1", "webm"),
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
