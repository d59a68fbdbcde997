"""Choosing codec and pixel format for a name and what is to be written to it."""

from pathlib import Path

from vmatte.errors import UnsupportedOutputError
from vmatte.frames import StreamInfo
from vmatte.pixels import FORMATS, PixelFormat
from vmatte.sinks.codecs import ALPHA_ONLY, CODECS, CONTAINERS, WITH_ALPHA, Codec, Encoding, names


def choose(path: str, encoding: Encoding, info: StreamInfo) -> tuple[str, str, Codec]:
    """Return (container, codec name, codec) for a path and what is to be written to it.

    Raises UnsupportedOutputError where the container or codec cannot hold it.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in CONTAINERS:
        raise UnsupportedOutputError(
            f"{path}: vmatte cannot write {suffix or 'a file without a suffix'}; "
            f"expected one of {names(CONTAINERS)}, frames/%06d.png, or in vmatte live "
            "virtualcam:, window: or mjpeg:8090"
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
        if native.alpha and wanted not in codec.alpha():
            raise UnsupportedOutputError(
                f"{path}: {wanted} has no transparency; leave out --pix-fmt, or use one of "
                f"{', '.join(codec.alpha())}"
            )
        if codec.even and _splits_pixels(FORMATS[wanted], info):
            raise UnsupportedOutputError(
                f"{path}: {wanted} needs even sides, the picture is {info.width}x{info.height}; "
                "leave out --pix-fmt"
            )
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
    if codec.even and _splits_pixels(best, info):
        # An odd size survives only where every pixel has a colour of its own.
        whole = [f for f in fitting if f.depth == best.depth and not (f.shift_x or f.shift_y)]
        if not whole:
            raise UnsupportedOutputError(
                f"{path}: {codec.encoder} needs even sides, the picture is "
                f"{info.width}x{info.height}; use --codec h264 or vp9"
            )
        best = whole[0]
    return best.name


def _splits_pixels(format: PixelFormat, info: StreamInfo) -> bool:
    """Whether an odd side leaves a chroma sample with less than its share of pixels."""
    return bool((info.width % 2 and format.shift_x) or (info.height % 2 and format.shift_y))


def _nearest_alpha(codec: Codec, native: PixelFormat) -> str:
    fitting = codec.alpha()
    if native.name in fitting:
        return native.name
    if native.rgb and native.depth == 8 and "bgra" in fitting:
        return "bgra"
    known = [FORMATS[f] for f in fitting if f in FORMATS and f not in ALPHA_ONLY]
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
