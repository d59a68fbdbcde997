"""Media files: exact times, formats, colours, orientation, interlacing, cutting."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media import (
    CORNERS,
    FULL_HD,
    HD,
    HLG,
    PQ,
    SD,
    SPARSE,
    Sound,
    Tags,
    decode,
    make_image,
    make_video,
    orient,
    times_of,
)
from PIL import Image, ImageCms

from vmatte.colour import FULL, LIMITED
from vmatte.frames import Frame
from vmatte.sources import FileSource


def read(path: Path, **options: float) -> tuple[FileSource, list[Frame]]:
    """All frames of a file, and the closed source."""
    source = FileSource(str(path), **options)  # type: ignore[arg-type]
    frames = list(source)
    source.close()
    return source, frames


FORMATS = [
    ("libx264", "yuv420p"),
    ("libx264", "yuv422p"),
    ("libx264", "yuv444p"),
    ("libx264", "yuv420p10le"),
    ("libx264", "yuv422p10le"),
    ("libx265", "yuv420p10le"),
    ("ffv1", "yuv411p"),
    ("ffv1", "yuv444p16le"),
    ("ffv1", "gray"),
    ("ffv1", "gray16le"),
    ("ffv1", "gray10le"),
    ("ffv1", "gbrp12le"),
    ("png", "rgb24"),
    ("mpeg4", "yuv420p"),
]


@pytest.mark.parametrize(("codec", "format"), FORMATS, ids=["-".join(f) for f in FORMATS])
def test_native_format_bit_for_bit(codec: str, format: str, tmp_path: Path) -> None:
    name = "a.mov" if codec == "png" else "a.mkv"
    path = make_video(tmp_path / name, codec=codec, format=format, times=range(3))
    _, frames = read(path)
    pictures = decode(path)
    assert [f.format.name for f in frames] == [format] * 3
    for frame, picture in zip(frames, pictures, strict=True):
        for plane, raw in zip(frame.planes, picture.planes, strict=True):
            width = raw.width * frame.format.dtype.itemsize * frame.format.channels
            rows = np.frombuffer(bytes(raw), np.uint8).reshape(raw.height, raw.line_size)
            got = plane.reshape(raw.height, -1)
            assert np.array_equal(np.ascontiguousarray(got).view(np.uint8), rows[:, :width])


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm"])
@pytest.mark.parametrize("first", [0, 40])
def test_variable_rate_and_start_offset(name: str, first: int, tmp_path: Path) -> None:
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    options = {"bf": "2"} if codec == "libx264" else {"deadline": "realtime", "cpu-used": "8"}
    path = make_video(
        tmp_path / name,
        codec=codec,
        times=[first + t for t in SPARSE],
        time_base=Fraction(1, 30),
        options=options,
    )
    _, frames = read(path)
    assert [f.time for f in frames] == times_of(path)
    wanted = [Fraction(first + t, 30) for t in SPARSE]
    slack = 0 if name in ("a.mp4", "a.mov") else Fraction(1, 1000)
    assert max(abs(f.time - w) for f, w in zip(frames, wanted, strict=True)) <= slack


@pytest.mark.parametrize("tags", [HD, SD, FULL_HD, Tags(matrix=9, primaries=9, transfer=14)])
def test_colour_tags(tags: Tags, tmp_path: Path) -> None:
    source, frames = read(make_video(tmp_path / "a.mp4", tags=tags, times=range(2)))
    for colour in (source.info.colour, frames[0].colour):
        assert (colour.matrix, colour.primaries) == (tags.matrix, tags.primaries)
        assert (colour.transfer, colour.range) == (tags.transfer, tags.range)
    rgb = frames[0].rgb((96, 64))
    for x, y, name in ((8, 8, "tl"), (88, 8, "tr"), (8, 56, "bl"), (88, 56, "br")):
        assert np.abs(rgb[y, x].astype(int) - CORNERS[name]).max() <= 6, name


@pytest.mark.parametrize("tags", [PQ, HLG], ids=["pq", "hlg"])
def test_hdr(tags: Tags, tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mp4", codec="libx265", format="yuv420p10le", tags=tags, times=range(2)
    )
    source, frames = read(path)
    assert source.info.colour.hdr
    assert source.info.colour.transfer == tags.transfer
    assert frames[0].format.name == "yuv420p10le"


def test_old_full_range_formats(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mkv", codec="mjpeg", format="yuvj420p", tags=Tags(matrix=5, range=2)
    )
    source, frames = read(path)
    assert source.info.colour.range == FULL
    assert frames[0].format.name == "yuv420p"
    assert frames[0].rgb((96, 64))[8, 8] == pytest.approx(CORNERS["tl"], abs=8)


ORIENTATIONS = [(d, h, False) for d in (0, 90, 180, 270) for h in (False, True)]


def _upright(rgb: np.ndarray, turn: tuple[int, bool, bool]) -> np.ndarray:  # type: ignore[type-arg]
    """What a player shows: turned counter-clockwise, then mirrored."""
    shown = np.rot90(rgb, turn[0] // 90)
    return shown[:, ::-1] if turn[1] else shown


@pytest.mark.parametrize("turn", ORIENTATIONS)
def test_display_matrix(turn: tuple[int, bool, bool], tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", turn=turn, times=range(2), shape=Fraction(4, 3))
    source, frames = read(path)
    shown = _upright(decode(path)[0].to_ndarray(format="rgb24"), turn)
    rgb = frames[0].rgb((frames[0].width, frames[0].height))
    assert rgb.shape == shown.shape
    assert source.info.size == (shown.shape[1], shown.shape[0])
    turned = turn[0] % 180 == 90
    assert source.info.sample_aspect_ratio == (Fraction(3, 4) if turned else Fraction(4, 3))
    for y, x in ((6, 6), (6, -6), (-6, 6), (-6, -6)):
        assert np.abs(rgb[y, x].astype(int) - shown[y, x]).max() <= 8, (turn, y, x)


def test_a_turned_422_keeps_all_its_colour(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", format="yuv422p10le", turn=(90, False, False))
    source, frames = read(path)
    assert source.info.format.name == frames[0].format.name == "yuv444p10le"
    assert source.info.size == (64, 96)


def test_a_png_with_a_colour_profile_ends_no_process(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "a.png"
    Image.new("RGB", (64, 48), "teal").save(path, icc_profile=profile)
    # What was freed twice ended the process, at the latest when Python ended.
    code = (
        "import gc, sys; from vmatte.sources import FileSource; source = FileSource(sys.argv[1]); "
        "frames = list(source); source.close(); del source, frames; gc.collect()"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, timeout=60)
    assert run.returncode == 0, run


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int, tmp_path: Path) -> None:
    path = orient(make_image(tmp_path / "a.jpg"), orientation)
    source, frames = read(path)
    rgb = frames[0].rgb(source.info.size)
    stored = np.zeros((64, 96, 3), int)
    for name, part in (
        ("tl", np.s_[:16, :24]),
        ("tr", np.s_[:16, -24:]),
        ("bl", np.s_[-16:, :24]),
        ("br", np.s_[-16:, -24:]),
    ):
        stored[part] = CORNERS[name]
    shown = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(stored, 1),
    }[orientation]
    assert rgb.shape == shown.shape
    for y, x in ((6, 6), (6, -6), (-6, 6), (-6, -6)):
        assert np.abs(rgb[y, x].astype(int) - shown[y, x]).max() <= 8, (y, x)


def test_interlaced_is_deinterlaced_at_the_same_times(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", interlaced=True, options={"flags": "+ildct+ilme"})
    assert decode(path)[0].interlaced_frame
    source, frames = read(path)
    assert source.info.deinterlaced
    assert [f.time for f in frames] == times_of(path)
    assert not any(f.picture.interlaced_frame for f in frames)
    assert "deinterlaced" in source.info.notes


def test_film_followed_by_interlaced_video(tmp_path: Path) -> None:
    flags = {"flags": "+ildct+ilme"}
    film = make_video(tmp_path / "a.ts", times=range(10))
    video = make_video(tmp_path / "b.ts", times=range(10, 20), interlaced=True, options=flags)
    both = tmp_path / "c.ts"
    both.write_bytes(film.read_bytes() + video.read_bytes())
    assert {bool(p.interlaced_frame) for p in decode(both)} == {False, True}
    source, frames = read(both)
    assert not any(f.picture.interlaced_frame for f in frames)
    assert [f.time - frames[0].time for f in frames] == [Fraction(i, 25) for i in range(20)]
    assert source.info.deinterlaced and "deinterlaced" in source.info.notes


def test_pixel_shape(tmp_path: Path) -> None:
    source, _ = read(make_video(tmp_path / "a.mp4", shape=Fraction(16, 11), times=range(2)))
    assert source.info.sample_aspect_ratio == Fraction(16, 11)


@pytest.mark.parametrize("first", [0, 60])
def test_start_and_end(first: int, tmp_path: Path) -> None:
    """Pictures at or after the start and before the end; the start is the new zero."""
    path = make_video(
        tmp_path / "a.mp4",
        times=range(first, first + 40),
        options={"g": "12", "bf": "2"},
        sounds=[] if first else [Sound(seconds=1.6)],
    )
    whole = decode(path)
    source, frames = read(path, start=0.3, end=0.9)
    assert [f.time for f in frames] == [Fraction(i, 25) - Fraction(3, 10) for i in range(8, 23)]
    assert source.info.duration == pytest.approx(0.6)
    for frame, picture in zip(frames, whole[8:23], strict=True):
        assert np.array_equal(frame.planes[0], picture.to_ndarray()[:64])


def test_a_gap_in_time_begins_a_segment(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", times=[0, 1, 2, 60, 61])
    _, frames = read(path)
    assert [f.segment for f in frames] == [0, 0, 0, 1, 1]


def test_the_cover_picture_is_not_the_video(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", times=range(4))
    covered = tmp_path / "b.mp4"
    with av.open(str(path)) as source, av.open(str(covered), "w") as output:
        cover = output.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        stream = output.add_stream_from_template(source.streams.video[0])
        picture = av.VideoFrame(32, 32, "rgb24")
        picture.pts = 0
        output.mux(cover.encode(picture))
        output.mux(cover.encode(None))
        for packet in source.demux():
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    got, frames = read(covered)
    assert got.info.size == (96, 64)
    assert len(frames) == 4


def test_range_defaults(tmp_path: Path) -> None:
    """What is not said stays unsaid in the tags, and is guessed for conversions only."""
    source, frames = read(make_video(tmp_path / "a.mkv", codec="ffv1", tags=None))
    colour = source.info.colour
    assert (colour.matrix, colour.primaries, colour.transfer) == (2, 2, 2)
    assert colour.range in (0, LIMITED)
    assert frames[0].colour.resolved(96, 64, rgb=False).matrix == 5


def test_an_animated_gif_keeps_its_pace(tmp_path: Path) -> None:
    from writing import frames_of, info_of

    from vmatte.sinks import open_sink

    sink, info = open_sink(str(tmp_path / "a.gif")), info_of("rgb24")
    sink.open(info)
    for frame in frames_of(info):
        sink.write(frame)
    sink.close()
    source, frames = read(tmp_path / "a.gif")
    assert not source.info.still
    times = [float(f.time) for f in frames]
    assert times == pytest.approx([t / 30 for t in SPARSE], abs=0.01)
