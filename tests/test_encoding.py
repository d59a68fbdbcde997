"""What codecs keep: pixel formats, colour tags, ranges, pixel shape, odd sizes, HDR; options."""

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from media import SPARSE, decode, ffprobe, rgb_picture
from writing import HD, frames_of, info_of, write

from vmatte.colour import FULL, HLG, LIMITED, PQ, Colour
from vmatte.errors import UnsupportedOutputError
from vmatte.frames import from_array
from vmatte.sinks import Encoding, open_sink

SHORT = SPARSE[:3]
FAST = {"h264": "ultrafast", "hevc": "ultrafast", "av1": "12", "vp9": "8"}


def encoded(
    folder: Path, name: str, info: object, codec: str | None = None, **more: object
) -> Path:
    """Write three frames of ``info`` and return the file."""
    path = folder / name
    encoding = Encoding(codec=codec, preset=FAST.get(codec or ""), **more)  # type: ignore[arg-type]
    sink = open_sink(str(path), encoding)
    write(sink, info, SHORT)  # type: ignore[arg-type]
    return path


def error(path: Path, index: int = 0) -> float:
    """Mean difference in RGB levels from what was drawn."""
    picture = decode(path)[index]
    size = picture.width, picture.height
    rgb = picture.to_ndarray(format="rgb24").astype(int)
    return float(np.abs(rgb - rgb_picture(index, size)).mean())


CHOSEN = [
    ("h264", "a.mp4", "yuv420p", "yuv420p"),
    ("h264", "a.mp4", "yuv422p", "yuv422p"),
    ("h264", "a.mp4", "yuv444p", "yuv444p"),
    ("h264", "a.mp4", "yuv420p10le", "yuv420p10le"),
    ("h264", "a.mp4", "yuv422p10le", "yuv422p10le"),
    ("h264", "a.mp4", "yuv420p12le", "yuv420p10le"),
    ("h264", "a.mp4", "gray", "yuv420p"),
    ("h264", "a.mp4", "rgb24", "yuv420p"),
    ("h264", "a.mp4", "gbrp", "yuv420p"),
    ("h264", "a.mp4", "gbrp10le", "yuv420p10le"),
    ("h264", "a.mp4", "yuv411p", "yuv422p"),
    ("hevc", "a.mp4", "yuv420p", "yuv420p"),
    ("hevc", "a.mp4", "yuv422p10le", "yuv422p10le"),
    ("hevc", "a.mp4", "yuv420p12le", "yuv420p12le"),
    ("hevc", "a.mp4", "gray", "yuv420p"),
    ("av1", "a.mp4", "yuv420p", "yuv420p"),
    ("av1", "a.mp4", "yuv422p10le", "yuv420p10le"),
    ("av1", "a.mp4", "rgb24", "yuv420p"),
    ("vp9", "a.webm", "yuv420p", "yuv420p"),
    ("vp9", "a.webm", "yuv444p", "yuv444p"),
    ("vp9", "a.webm", "rgb24", "yuv420p"),
    ("prores", "a.mov", "yuv420p", "yuv444p12le"),
    ("prores", "a.mov", "yuv422p10le", "yuv444p12le"),
    ("prores", "a.mov", "rgb24", "yuv444p12le"),
    ("ffv1", "a.mkv", "yuv422p10le", "yuv422p10le"),
    ("ffv1", "a.mkv", "gray", "gray"),
    ("ffv1", "a.mkv", "gray16le", "gray16le"),
    ("ffv1", "a.mkv", "gbrp", "bgr0"),
    ("ffv1", "a.mkv", "rgb24", "bgr0"),
    ("ffv1", "a.mkv", "gbrp12le", "gbrp12le"),
    ("ffv1", "a.mkv", "yuv410p", "yuv410p"),
    ("qtrle", "a.mov", "yuv420p", "rgb24"),
]


@pytest.mark.parametrize(("codec", "name", "native", "kept"), CHOSEN)
def test_pixel_format_kept_or_nearest(
    codec: str, name: str, native: str, kept: str, tmp_path: Path
) -> None:
    info = info_of(native)
    path = encoded(tmp_path, name, info, codec)
    picture = decode(path)[0]
    shown = picture.format.name.replace("yuv444p10le", kept if codec == "prores" else "yuv444p10le")
    assert shown in (kept, kept.replace("bgr0", "bgra"))
    if info.format.gray:
        gray = picture.to_ndarray(format="gray").astype(int)
        drawn = next(iter(frames_of(info, (0,)))).picture.to_ndarray(format="gray").astype(int)
        assert np.abs(gray - drawn).mean() <= 4
    else:
        limit = {"yuv410p": 6, "yuv411p": 6}.get(native, 4.5)
        assert error(path) <= (0.5 if kept in ("bgr0", "gbrp12le") else limit)


@pytest.mark.parametrize("range_", [LIMITED, FULL])
@pytest.mark.parametrize("codec", ["h264", "hevc", "ffv1", "vp9", "av1", "prores"])
def test_gray_keeps_its_levels(codec: str, range_: int, tmp_path: Path) -> None:
    """A matte in full range, or a limited-range film: black, middle and white as players show."""
    info = replace(info_of("gray"), colour=replace(HD, range=range_))
    name = {"vp9": "a.webm", "prores": "a.mov"}.get(codec, "a.mkv")
    frame = next(iter(frames_of(info, (0,))))
    plane = np.zeros((64, 96), np.uint8)
    black, white = (0, 255) if range_ == FULL else (16, 235)
    plane[:, :32], plane[:, 32:64], plane[:, 64:] = black, (black + white + 1) // 2, white
    frame = from_array(plane, "gray", time_base=frame.time_base, colour=info.colour)
    sink = open_sink(str(tmp_path / name), Encoding(codec=codec, preset=FAST.get(codec)))
    sink.open(info)
    sink.write(frame)
    sink.close()
    done = decode(tmp_path / name)[0]
    depth = done.format.components[0].bits
    raw = np.frombuffer(bytes(done.planes[0]), np.uint8 if depth == 8 else "<u2")
    luma = raw.reshape(done.planes[0].height, -1)[32, [16, 48, 80]] / 2 ** (depth - 8)
    levels = luma if int(done.color_range) == FULL else (luma - 16) * 255 / 219
    assert levels == pytest.approx([0, 128, 255], abs=2)


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.jpg", "a.bmp", "a.webp"])
@pytest.mark.parametrize("native", ["gray", "gray10le"])
@pytest.mark.parametrize("range_", [LIMITED, FULL])
def test_images_of_gray_keep_its_levels(
    name: str, native: str, range_: int, tmp_path: Path
) -> None:
    info = replace(info_of(native, still=True), colour=replace(HD, range=range_))
    scale = 1 << (info.format.depth - 8)
    black, white = (0, 256 * scale - 1) if range_ == FULL else (16 * scale, 235 * scale)
    plane = np.full((64, 96), black, info.format.dtype)
    plane[:, 48:] = white
    sink = open_sink(str(tmp_path / name), still=True)
    sink.open(info)
    sink.write(from_array(plane, native, colour=info.colour))
    sink.close()
    gray = decode(tmp_path / name)[0].to_ndarray(format="rgb24")[32, [16, 80], 1]
    assert gray == pytest.approx([0, 255], abs=5 if name == "a.webp" else 2)


def test_jpeg_is_of_high_quality(tmp_path: Path) -> None:
    info = info_of("rgb24", (320, 240), still=True)
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    picture = cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)
    sink = open_sink(str(tmp_path / "a.jpg"), still=True)
    sink.open(info)
    sink.write(from_array(picture, "rgb24"))
    sink.close()
    got = decode(tmp_path / "a.jpg")[0].to_ndarray(format="rgb24")
    assert cv2.PSNR(got, picture) > 38


TAGGED = [HD, replace(HD, range=FULL), Colour(matrix=6, primaries=6, transfer=6, range=LIMITED)]


@pytest.mark.parametrize("colour", TAGGED, ids=["hd", "hd-full", "sd"])
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9", "prores", "ffv1"])
def test_colour_tags_and_pixels(codec: str, colour: Colour, tmp_path: Path) -> None:
    name = {"vp9": "a.webm", "prores": "a.mov", "ffv1": "a.mkv"}.get(codec, "a.mp4")
    path = encoded(tmp_path, name, replace(info_of("yuv444p"), colour=colour), codec)
    picture = decode(path)[0]
    if codec == "prores":
        colour = replace(colour, range=LIMITED)  # It has no full range.
    assert (int(picture.colorspace), int(picture.color_range)) == (colour.matrix, colour.range)
    if codec != "vp9":  # The stream itself says the matrix only; the container the rest.
        assert int(picture.color_primaries) == colour.primaries
        assert int(picture.color_trc) == colour.transfer
    (stream,) = ffprobe(path, "-show_streams", "-select_streams", "v")["streams"]
    names = {1: "bt709", 6: "smpte170m"}
    assert stream["color_space"] == names[colour.matrix]
    assert stream["color_range"] == ("pc" if colour.range == FULL else "tv")
    if codec not in ("av1", "vp9", "ffv1"):
        assert stream["color_primaries"] == names[colour.primaries]
        assert stream["color_transfer"] == names[colour.transfer]
    rgb = picture.reformat(
        format="rgb24", src_colorspace=min(colour.matrix, 5), src_color_range=colour.range
    ).to_ndarray()
    assert np.abs(rgb.astype(int) - rgb_picture(0)).mean() <= 4


def test_rgb_becomes_tagged_yuv(tmp_path: Path) -> None:
    for size, matrix in (((96, 64), "smpte170m"), ((1280, 720), "bt709")):
        path = encoded(tmp_path, f"{size[0]}.mp4", info_of("rgb24", size), "h264")
        (stream,) = ffprobe(path, "-show_streams")["streams"]
        assert stream["color_space"] == stream["color_primaries"] == matrix
        assert stream["color_range"] == "tv"
        assert error(path) <= 4


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("codec", [None, "av1", "prores", "ffv1"])
def test_hdr_stays_hdr(codec: str | None, transfer: int, tmp_path: Path) -> None:
    colour = Colour(matrix=9, primaries=9, transfer=transfer, range=LIMITED)
    info = replace(info_of("yuv420p10le"), colour=colour)
    name = {"prores": "a.mov", "ffv1": "a.mkv"}.get(codec or "", "a.mp4")
    picture = decode(encoded(tmp_path, name, info, codec))[0]
    assert (int(picture.colorspace), int(picture.color_trc)) == (9, transfer)
    assert max(c.bits for c in picture.format.components) >= 10
    if codec is None:
        with av.open(str(tmp_path / name)) as container:
            assert container.streams.video[0].codec_context.name == "hevc"


def test_hdr_is_refused_where_it_would_be_mangled(tmp_path: Path) -> None:
    colour = Colour(matrix=9, primaries=9, transfer=PQ, range=LIMITED)
    info = replace(info_of("yuv420p10le"), colour=colour)
    for name, more in (("a.webm", {}), ("a.gif", {}), ("a.mp4", {"pix_fmt": "yuv420p"})):
        with pytest.raises(UnsupportedOutputError, match=r"HDR.*(hevc|10 bits)"):
            open_sink(str(tmp_path / name), Encoding(**more)).open(info)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(97, 63), (96, 63), (97, 64), (33, 17)])
@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "prores", "ffv1", "qtrle", "gif"])
def test_odd_sizes_are_exact(codec: str, size: tuple[int, int], tmp_path: Path) -> None:
    name = {"vp9": "a.webm", "prores": "a.mov", "qtrle": "a.mov", "ffv1": "a.mkv", "gif": "a.gif"}
    path = encoded(tmp_path, name.get(codec, "a.mp4"), info_of("yuv420p", size), codec)
    (stream,) = ffprobe(path, "-show_streams")["streams"]
    assert (stream["width"], stream["height"]) == size
    assert error(path) <= 8


@pytest.mark.parametrize("size", [(97, 63), (62, 50), (16, 16)])
def test_av1_sizes(size: tuple[int, int], tmp_path: Path) -> None:
    """SVT-AV1 takes even sides from 4 pixels on; anything else is told before it begins."""
    info = info_of("yuv420p", size)
    if size[0] % 2:
        with pytest.raises(UnsupportedOutputError, match="97x63; use --codec h264 or vp9"):
            encoded(tmp_path, "a.mp4", info, "av1")
        assert list(tmp_path.iterdir()) == []
    else:
        path = encoded(tmp_path, "a.mp4", info, "av1")
        assert (decode(path)[0].width, decode(path)[0].height) == size


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="only Linux has these policies")
def test_av1_leaves_the_thread_its_priority(tmp_path: Path) -> None:
    """SVT-AV1 makes the thread that opens it real-time where it may: where root runs it."""
    before = os.sched_getscheduler(0)
    encoded(tmp_path, "a.mp4", info_of("yuv420p", (64, 64)), "av1")
    assert os.sched_getscheduler(0) == before


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *[("a.mp4", "h264"), ("b.mp4", "av1"), ("c.mp4", "vp9")],
        *[("a.mov", "prores"), ("a.mkv", "h264"), ("c.mkv", "hevc")],
    ],
)
def test_pixel_shape(name: str, codec: str, tmp_path: Path) -> None:
    info = replace(info_of("yuv420p"), sample_aspect_ratio=Fraction(16, 11))
    path = encoded(tmp_path, name, info, codec)
    assert ffprobe(path, "-show_streams")["streams"][0]["sample_aspect_ratio"] == "16:11"


def test_a_pixel_shape_that_is_lost_is_noted(tmp_path: Path) -> None:
    info = replace(info_of("yuv420p"), sample_aspect_ratio=Fraction(16, 11))
    sink = open_sink(str(tmp_path / "a.webm"))
    write(sink, info, SHORT)
    assert sink.notes == ["pixel shape 16/11 lost: libvpx-vp9 has no place for it here"]


def test_animated_webp(tmp_path: Path) -> None:
    """FFmpeg cannot read it; OpenCV can."""
    write(open_sink(str(tmp_path / "a.webp")), info_of("yuv420p"))
    found, animation = cv2.imreadanimation(str(tmp_path / "a.webp"))
    assert found and len(animation.frames) == len(SPARSE)
    begin = np.cumsum([0, *animation.durations[:-1]])
    assert np.abs(begin - np.array(SPARSE) * 1000 / 30).max() <= 1
    for index, picture in enumerate(animation.frames):
        rgb = picture[:, :, 2::-1].astype(int)
        assert np.abs(rgb - rgb_picture(index)).mean() <= 6
    assert animation.loop_count == 0, "plays for ever"


def test_tags_for_players(tmp_path: Path) -> None:
    """QuickTime plays HEVC as hvc1 only."""
    path = encoded(tmp_path, "a.mp4", info_of("yuv420p"), "hevc")
    assert ffprobe(path, "-show_streams")["streams"][0]["codec_tag_string"] == "hvc1"
