"""Whole jobs: times, sound, subtitles, chapters, colours, orientation and pixels as in the source.

The matte is a plain function: its right half is foreground.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media import (
    FULL_HD,
    HD,
    HLG,
    PQ,
    SD,
    SPARSE,
    Tags,
    decode,
    ffprobe,
    make_image,
    make_video,
    orient,
    rgb_picture,
    times_of,
)

from vmatte.composite import AlphaOutput, Composite, Compositor, Subject, parse_background
from vmatte.errors import InputError
from vmatte.frames import Frame, StreamInfo
from vmatte.output import Output
from vmatte.pipeline import Pipeline
from vmatte.pixels import FORMATS
from vmatte.sinks import Encoding, Sink, open_sink
from vmatte.sources import open_source
from vmatte.stats import RunStats
from vmatte.testing import FunctionMatter, MemorySink


def compositor(kind: str) -> Compositor:
    """What an output shows: alpha, foreground, transparent, or a background's name."""
    if kind == "alpha":
        return AlphaOutput()
    if kind in ("foreground", "transparent"):
        return Subject(transparent=kind == "transparent")
    background = parse_background(kind)
    assert background is not None
    return Composite(background)


def run(
    source: Path | str, sinks: Sequence[tuple[Sink, str]], **options: float | Fraction
) -> RunStats:
    """One job: ``sinks`` are pairs of a sink and what it shows."""
    opened = open_source(str(source), **options)  # type: ignore[arg-type]
    outputs = [Output(compositor(kind), sink) for sink, kind in sinks]
    for output in outputs:
        output.open(opened.info)
    return Pipeline(opened, FunctionMatter(), outputs).run()


def to_file(source: Path | str, path: Path, kind: str = "green", **options: float) -> RunStats:
    """One job into one file."""
    still = open_source(str(source))
    still.close()
    encoding = Encoding(preset={".webm": "8"}.get(path.suffix))
    return run(source, [(open_sink(str(path), encoding, still=still.info.still), kind)], **options)


def in_memory(source: Path | str, kind: str = "green") -> tuple[StreamInfo, list[Frame]]:
    """One job into memory: what reaches the encoder."""
    sink = MemorySink()
    run(source, [(sink, kind)])
    assert sink.info is not None and sink.state == "closed"
    return sink.info, sink.frames


CONTAINERS = ["mp4", "mov", "mkv", "webm"]


@pytest.mark.parametrize("out", CONTAINERS)
@pytest.mark.parametrize("into", ["mp4", "mkv"])
@pytest.mark.parametrize("first", [0, 40], ids=["from-zero", "offset"])
def test_times_frame_for_frame(into: str, out: str, first: int, tmp_path: Path) -> None:
    """Variable frame rate, B-frames and a start offset."""
    source = make_video(
        tmp_path / f"in.{into}",
        times=[first + t for t in SPARSE],
        time_base=Fraction(1, 30),
        options={"bf": "2"},
    )
    stats = to_file(source, tmp_path / f"out.{out}")
    got, wanted = times_of(tmp_path / f"out.{out}"), times_of(source)
    assert stats.frames == len(got) == len(wanted) == len(SPARSE)
    worst = max(abs(a - b) for a, b in zip(got, wanted, strict=True))
    assert worst <= (0 if out in ("mp4", "mov") else Fraction(1, 1000)), float(worst)
    assert (stats.dropped, stats.skipped, stats.interrupted) == (0, 0, False)


def test_times_that_are_not_whole_numbers_of_anything(tmp_path: Path) -> None:
    """29.97 frames per second, 100 frames: the last one is at 99 * 1001 / 30000 s exactly."""
    source = make_video(
        tmp_path / "in.mp4", times=range(100), time_base=Fraction(1001, 30000), size=(32, 32)
    )
    to_file(source, tmp_path / "out.mp4")
    assert times_of(tmp_path / "out.mp4")[-1] == Fraction(99 * 1001, 30000)


@pytest.mark.parametrize("out", CONTAINERS)
def test_start_and_end_cut_the_picture(out: str, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", times=range(40), options={"g": "12", "bf": "2"})
    stats = to_file(source, tmp_path / f"out.{out}", start=0.4, end=0.8)
    got = times_of(tmp_path / f"out.{out}")
    slack = 0 if out in ("mp4", "mov") else Fraction(1, 1000)
    assert stats.frames == 10
    for index, time in enumerate(got):
        assert abs(time - Fraction(index, 25)) <= slack
    first = decode(tmp_path / f"out.{out}")[0].to_ndarray(format="gray").astype(int)
    whole = decode(source)[10].to_ndarray(format="gray").astype(int)
    assert np.abs(first[:, 56:] - whole[:, 56:]).mean() < 3


def test_a_part_without_frames(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4")
    with pytest.raises(InputError, match="the input has no frame"):
        to_file(source, tmp_path / "out.mp4", start=5)
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("tags", [HD, SD, FULL_HD, Tags(matrix=9, primaries=9, transfer=14)])
@pytest.mark.parametrize("out", ["mp4", "mkv"])
def test_colour_tags(tags: Tags, out: str, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", tags=tags, times=range(3))
    to_file(source, tmp_path / f"out.{out}")
    keys = ("color_space", "color_primaries", "color_transfer", "color_range", "pix_fmt")
    shown = [
        {k: ffprobe(p, "-show_streams")["streams"][0].get(k) for k in keys}
        for p in (source, tmp_path / f"out.{out}")
    ]
    # FFmpeg names full range 4:2:0 of H.264 yuvj420p, in the source too.
    assert shown[0] == shown[1]
    assert None not in shown[1].values()


@pytest.mark.parametrize("tags", [PQ, HLG], ids=["pq", "hlg"])
def test_hdr_stays_hdr(tags: Tags, tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "in.mp4", codec="libx265", format="yuv420p10le", tags=tags, times=range(3)
    )
    to_file(source, tmp_path / "out.mp4", "white")
    (stream,) = ffprobe(tmp_path / "out.mp4", "-show_streams")["streams"]
    assert stream["codec_name"] == "hevc"
    assert stream["pix_fmt"] == "yuv420p10le"
    assert stream["color_transfer"] == {16: "smpte2084", 18: "arib-std-b67"}[tags.transfer]
    assert stream["color_space"] == "bt2020nc"
    picture = decode(tmp_path / "out.mp4")[0]
    luma = np.frombuffer(bytes(picture.planes[0]), "<u2").reshape(64, -1)
    # Diffuse white: 58 % of PQ, 75 % of HLG (ITU-R BT.2408), in ten bits of limited range.
    level = {16: 0.5807, 18: 0.75}[tags.transfer] * 876 + 64
    assert luma[32, 8] == pytest.approx(level, abs=4)


@pytest.mark.parametrize("turn", [(90, False, False), (180, False, False), (270, True, False)])
def test_phone_videos_come_out_upright(turn: tuple[int, bool, bool], tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mov", turn=turn, times=range(3))
    stats = to_file(source, tmp_path / "out.mp4", "foreground")
    picture = decode(tmp_path / "out.mp4")[0]
    assert picture.rotation == 0
    shown = np.rot90(rgb_picture(0), turn[0] // 90)
    shown = shown[:, ::-1] if turn[1] else shown
    rgb = picture.to_ndarray(format="rgb24").astype(int)
    assert rgb.shape == shown.shape
    for y in (6, -6):  # The right half is what stays.
        assert np.abs(rgb[y, -6] - shown[y, -6].astype(int)).max() <= 12
    assert any("upright" in n for n in stats.notes)


def test_a_photograph(tmp_path: Path) -> None:
    source = orient(make_image(tmp_path / "in.jpg"), 6)
    for name in ("out.png", "out.mp4", "out.jpg", "out.webp", "out.gif", "frames/%06d.png"):
        stats = to_file(source, tmp_path / name)
        assert stats.frames == 1
        (picture,) = decode(tmp_path / name.replace("%06d", "000000"))
        assert (picture.width, picture.height) == (64, 96)
        rgb = picture.to_ndarray(format="rgb24").astype(int)
        assert np.abs(rgb[48, 8] - (0, 177, 64)).max() <= 8, name
        right = np.rot90(rgb_picture(0), -1)[6, -6].astype(int)
        assert np.abs(rgb[6, -6] - right).max() <= 12, name


def test_a_folder_of_images(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / "in").mkdir(exist_ok=True)
        make_image(tmp_path / "in" / f"{i}.png", i)
    folder = tmp_path / "in"
    run(folder, [(open_sink(str(tmp_path / "a.mp4")), "green")], rate=Fraction(10))
    run(folder, [(open_sink(str(tmp_path / "out" / "%06d.png")), "green")])
    assert times_of(tmp_path / "a.mp4") == [Fraction(i, 10) for i in range(12)]
    for i in range(12):
        (picture,) = decode(tmp_path / "out" / f"{i:06d}.png")
        rgb = picture.to_ndarray(format="rgb24")
        assert np.array_equal(rgb[:, 64:], rgb_picture(i)[:, 64:])
        assert (rgb[:, :32] == (0, 177, 64)).all()


def test_pixel_shape_and_odd_sizes(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", shape=Fraction(16, 11), times=range(3))
    to_file(source, tmp_path / "out.mp4")
    shown = ffprobe(tmp_path / "out.mp4", "-show_streams")["streams"][0]
    assert shown["sample_aspect_ratio"] == "16:11"
    for size in ((97, 63), (95, 64), (34, 19)):
        source = make_video(tmp_path / "b.mp4", format="yuv444p", size=size, times=range(3))
        to_file(source, tmp_path / f"{size[0]}.mp4")
        picture = decode(tmp_path / f"{size[0]}.mp4")[0]
        assert (picture.width, picture.height) == size


NATIVE = [
    ("libx264", "yuv420p", "mp4"),
    ("libx264", "yuv422p", "mp4"),
    ("libx264", "yuv444p", "mp4"),
    ("libx264", "yuv420p10le", "mp4"),
    ("libx264", "yuv422p10le", "mp4"),
    ("ffv1", "yuv444p12le", "mkv"),
    ("ffv1", "gray", "mkv"),
    ("ffv1", "gray10le", "mkv"),
    ("ffv1", "gbrp10le", "mkv"),
    ("png", "rgb24", "mov"),
]


@pytest.mark.parametrize(("codec", "format", "suffix"), NATIVE, ids=[n[1] for n in NATIVE])
def test_pure_areas_are_bit_equal(codec: str, format: str, suffix: str, tmp_path: Path) -> None:
    """Before encoding: the source where alpha is 1, the background where alpha is 0."""
    source = make_video(
        tmp_path / f"in.{suffix}", codec=codec, format=format, times=range(3), size=(320, 192)
    )
    opened = open_source(str(source))
    given = list(opened)
    opened.close()
    info, frames = in_memory(source, "#804020")
    alone = FunctionMatter(lambda rgb: np.zeros(rgb.shape[:2], np.float32))
    sink = MemorySink()
    again = open_source(str(source))
    output = Output(compositor("#804020"), sink)
    output.open(again.info)
    Pipeline(again, alone, [output]).run()
    assert info.format.name == frames[0].format.name == format
    assert len(frames) == len(given) == 3
    for frame, original, behind in zip(frames, given, sink.frames, strict=True):
        rows = zip(frame.planes, original.planes, behind.planes, strict=True)
        for got, kept, background in rows:
            w = got.shape[1]
            # The edge runs at half of the width; the tiles around it hold interpolated values.
            assert np.array_equal(got[:, w * 3 // 5 :], kept[:, w * 3 // 5 :])
            assert np.array_equal(got[:, : w * 2 // 5], background[:, : w * 2 // 5])
            # swscale dithers, by one level.
            assert background.ndim == 3 or background.max() - background.min() <= 1
    rgb = frames[0].rgb((320, 192))
    limit = 3 if not info.format.gray else 60
    assert np.abs(rgb[96, 10].astype(int) - (0x80, 0x40, 0x20)).max() <= limit


def test_ten_bits_stay_ten_bits(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", format="yuv420p10le", times=range(3))
    to_file(source, tmp_path / "out.mp4")
    assert decode(tmp_path / "out.mp4")[0].format.name == "yuv420p10le"


def test_the_matte_has_the_full_range(tmp_path: Path) -> None:
    for out in ("a.mp4", "a.mov", "a.mkv", "a.png"):
        source = make_image(tmp_path / "in.png")
        to_file(source, tmp_path / out, "alpha")
        rgb = decode(tmp_path / out)[0].to_ndarray(format="rgb24")
        assert rgb[32, 8] == pytest.approx((0, 0, 0), abs=2)
        assert rgb[32, 88] == pytest.approx((255, 255, 255), abs=2)


def test_several_outputs_from_one_run(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", times=range(8))
    names = {"c.mp4": "blue", "m.mkv": "alpha", "f.mp4": "foreground", "t.webm": "transparent"}
    memory = MemorySink()
    sinks: list[tuple[Sink, str]] = [(open_sink(str(tmp_path / n)), k) for n, k in names.items()]
    stats = run(source, [*sinks, (memory, "alpha")])
    assert stats.frames == 8
    for name in names:
        assert len(decode(tmp_path / name)) == 8
    assert memory.frames[0].format == FORMATS["gray"]
