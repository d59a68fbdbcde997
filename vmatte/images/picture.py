"""Pictures as files: read upright with their colours' meaning, written with it.

Pillow reads and writes; OpenCV reads what has 16 bits a channel, for Pillow cuts such to 8.
"""

import io
import struct
import zlib
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.colour import FULL, Colour
from vmatte.errors import DamagedMediaError, UnsupportedMediaError, UnsupportedOutputError
from vmatte.frames import Frame, from_array, new_picture, plane_views
from vmatte.pixels import Plane
from vmatte.sinks.images import encode_image
from vmatte.sources.filters import check_size

SUFFIXES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
    ".bmp": "BMP",
}
"""What is written: suffix and Pillow's name of the format."""

READABLE = {*SUFFIXES, ".heic", ".heif", ".gif", ".jfif", ".jp2", ".tga", ".ppm"}
"""What counts as a picture in a folder."""

OPAQUE = ("JPEG", "BMP")
"""Formats without transparency."""

DEEP = ("PNG", "TIFF")
"""Formats that keep 16 bits."""

_SEVERAL = ("GIF", "WEBP", "PNG", "AVIF", "TIFF")
"""Formats with several pictures that are of one worth; others hold previews beside the picture."""

_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Tags:
    """What goes with the pixels: colour profile, EXIF (upright), XMP, dots per inch."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Picture:
    """One picture. frame: rgb24, or gbrp16le where it has 16 bits a channel, full range.

    alpha: its own transparency, [H, W] float32 in 0..1; None where it has none. of: how many
    pictures there are in its file, of which it is the first.
    """

    frame: Frame
    alpha: NDArray[np.float32] | None
    tags: Tags
    of: int = 1

    def rgb(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return [h, w, 3] uint8 at ``size`` = (width, height), over gray where transparent."""
        rgb = self.frame.rgb(size)
        if self.alpha is None:
            return rgb
        share = cv2.resize(self.alpha, size, interpolation=cv2.INTER_AREA)[:, :, None]
        # Nobody knows what transparent pixels hold; gray looks like neither light nor shade.
        over = np.rint(rgb * share + 128 * (1 - share))
        return np.ascontiguousarray(over, np.uint8)


def read_picture(data: bytes, name: str) -> Picture:
    """Decode the bytes of a picture; of several in a file the first. ``name``: for messages.

    Raises UnsupportedMediaError, DamagedMediaError.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    heif = _heif()
    if not data:
        raise UnsupportedMediaError(f"{name}: not a picture: it is empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            check_size(name, *image.size)
            deep = _is_deep(image, data)
            if image.mode in ("I", "F") and not deep:
                raise UnsupportedMediaError(
                    f"{name}: has 32 bits a channel; save it with 8 or 16, then try again"
                )
            several = getattr(image, "n_frames", 1) if image.format in _SEVERAL else 1
            turn = image.getexif().get(_ORIENTATION, 1)
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            tags = _tags(image)
            picture = _deep(data, turn, name, tags) if deep else _plain(image, tags)
            return replace(picture, of=several)
    except (UnsupportedMediaError, DamagedMediaError):
        raise
    except UnidentifiedImageError as e:
        more = "" if heif else "; HEIC needs: pip install 'vmatte[heif]'"
        raise UnsupportedMediaError(f"{name}: not a picture that Pillow can read{more}") from e
    except Image.DecompressionBombError as e:
        raise UnsupportedMediaError(f"{name}: absurdly large ({e}); scale it down first") from e
    except Exception as e:  # decoders of damaged files raise whatever they stumble over
        raise DamagedMediaError(f"{name}: damaged ({e}); look at it with another program") from e


def from_image(image: Any) -> Picture:
    """Return a Pillow image, turned upright, as a picture. Raises UnsupportedMediaError."""
    from PIL import ImageOps

    check_size("the picture", *image.size)
    image = ImageOps.exif_transpose(image)
    return _plain(image, _tags(image))


def from_pixels(
    pixels: NDArray[Any], alpha: NDArray[np.float32] | None = None, tags: Tags | None = None
) -> Picture:
    """Return a picture of [H, W, 3] RGB, uint8 or uint16, and its own transparency."""
    if pixels.dtype == np.uint8:
        frame = from_array(np.ascontiguousarray(pixels), "rgb24")
    else:
        h, w = pixels.shape[:2]
        picture = new_picture(w, h, "gbrp16le")
        for plane, channel in zip(plane_views(picture), (1, 2, 0), strict=True):
            plane[...] = pixels[:, :, channel]
        base = from_array(np.zeros((16, 16, 3), np.uint8), "rgb24")
        frame = replace(base, picture=picture, colour=Colour(range=FULL))
    return Picture(frame=frame, alpha=alpha, tags=tags or Tags())


def encode(frame: Frame, tags: Tags, format: str, quality: int = 92) -> bytes:
    """Return ``frame`` as the bytes of a file in Pillow's ``format``.

    quality: of JPEG, WebP and AVIF, 1 to 100. Raises UnsupportedOutputError where the format has no
    place for transparency.
    """
    from PIL import Image, PngImagePlugin

    if frame.format.alpha and format in OPAQUE:
        raise UnsupportedOutputError(f"{format} has no transparency; use png or webp")
    if frame.format.depth > 8 and format in DEEP:
        return _encode_deep(frame, tags, format)
    kind = "gray" if frame.format.gray else "rgba" if frame.format.alpha else "rgb24"
    image = Image.fromarray(np.ascontiguousarray(frame.convert(kind).planes[0]))
    options: dict[str, Any] = {
        # A profile of RGB says nothing of gray.
        "icc_profile": None if kind == "gray" else tags.icc,
        "exif": tags.exif,
        "dpi": tags.dpi,
        "xmp": tags.xmp,
        "quality": quality if format in ("JPEG", "WEBP", "AVIF") else None,
    }
    if format == "JPEG":
        options["subsampling"] = 0 if quality >= 90 else 2
    if format == "PNG":
        options["compress_level"] = 3
        if tags.xmp:
            info = PngImagePlugin.PngInfo()
            info.add_itxt("XML:com.adobe.xmp", tags.xmp.decode(errors="replace"))
            options["pnginfo"] = info
    if format == "TIFF":
        options["compression"] = "tiff_adobe_deflate"
        del options["xmp"]
    out = io.BytesIO()
    image.save(out, format, **{k: v for k, v in options.items() if v is not None})
    return out.getvalue()


@cache
def _heif() -> bool:
    """Make Pillow read HEIC, where that is installed."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _is_deep(image: Any, data: bytes) -> bool:
    if image.format == "PNG":
        # Width, height and depth are the first things in every PNG.
        return data[24] == 16
    if image.format == "TIFF":
        return 16 in tuple(image.tag_v2.get(258, ()))
    return False


def _tags(image: Any) -> Tags:
    info = image.info
    exif = image.getexif()
    dpi = info.get("dpi")
    xmp = info.get("xmp")
    if xmp is None and "XML:com.adobe.xmp" in info:
        xmp = info["XML:com.adobe.xmp"].encode()
    return Tags(
        icc=info.get("icc_profile"),
        # Read and written anew: the small picture inside, with the old background, is left out.
        exif=exif.tobytes() if len(exif) else None,
        xmp=xmp if isinstance(xmp, bytes) else None,
        # Of a TIFF that says nothing Pillow says 1.
        dpi=(float(dpi[0]), float(dpi[1])) if dpi is not None and min(dpi) > 1 else None,
    )


def _plain(image: Any, tags: Tags) -> Picture:
    from PIL import ImageCms

    if image.mode.startswith("I;16"):  # of JPEG 2000; Pillow would cut it at 255
        gray = np.asarray(image, np.uint16)[:, :, None]
        return from_pixels(np.repeat(gray, 3, axis=2), None, replace(tags, icc=None))
    alpha = None
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        own = np.asarray(image.getchannel("A"))
        alpha = None if own.min() == 255 else own.astype(np.float32) / np.float32(255)
    if image.mode not in ("RGB", "RGBA") and tags.icc:
        # The profile is of CMYK or gray and would not fit RGB.
        with_profile = ImageCms.ImageCmsProfile(io.BytesIO(tags.icc))
        if with_profile.profile.xcolor_space.strip() != "RGB":
            if image.mode == "CMYK":
                image = ImageCms.profileToProfile(
                    image, with_profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
                )
            tags = replace(tags, icc=None)
    return from_pixels(np.asarray(image.convert("RGB")), alpha, tags)


def _deep(data: bytes, turn: int, name: str, tags: Tags) -> Picture:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DamagedMediaError(f"{name}: 16 bits a channel, and OpenCV cannot read it")
    wide = _turned(pixels if pixels.ndim == 3 else pixels[:, :, None], turn)
    colours = wide[:, :, 2::-1] if wide.shape[2] >= 3 else np.repeat(wide[:, :, :1], 3, axis=2)
    alpha = None
    if wide.shape[2] in (2, 4):
        alpha = wide[:, :, -1].astype(np.float32) / np.float32(np.iinfo(wide.dtype).max)
    if wide.shape[2] < 3:
        tags = replace(tags, icc=None)
    return from_pixels(colours, alpha, tags)


def _turned(pixels: Plane, turn: int) -> Plane:
    """Return ``pixels`` upright; ``turn``: EXIF orientation."""
    if turn in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if turn in (2, 3, 6, 7) else pixels


def _encode_deep(frame: Frame, tags: Tags, format: str) -> bytes:
    kind = ("rgba64" if frame.format.alpha else "rgb48") if not frame.format.gray else "gray16"
    data = encode_image(frame, format.lower(), kind + ("be" if format == "PNG" else "le"))
    return _with_chunks(data, tags) if format == "PNG" else data


def _with_chunks(png: bytes, tags: Tags) -> bytes:
    """Return ``png`` with the profile, EXIF and density put behind its header."""
    chunks = []
    if tags.icc:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(tags.icc)))
    if tags.dpi:
        metre = [round(d / 0.0254) for d in tags.dpi]
        chunks.append((b"pHYs", struct.pack(">IIB", *metre, 1)))
    if tags.exif:
        chunks.append((b"eXIf", tags.exif.removeprefix(b"Exif\0\0")))
    packed = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    header = 33  # signature, then the IHDR chunk of 25 bytes
    # FFmpeg says of every picture that its pixels are square: a chunk of 21 bytes.
    rest = header + 21 if png[header + 4 : header + 8] == b"pHYs" else header
    return png[:header] + packed + png[rest:]
