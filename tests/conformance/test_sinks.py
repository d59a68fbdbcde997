"""What every sink promises: exact times, the right size, whole or nothing, never over a file."""

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import pyvirtualcam
import virtual
from media import SPARSE, decode, rgb_picture, times_of
from writing import frames_of, info_of, write

from vmatte.errors import OutputError, OutputExistsError, WriteError
from vmatte.frames import StreamInfo
from vmatte.sinks import Encoding, FileSink, ImagesSink, NullSink, Sink, StreamSink, open_sink
from vmatte.sinks.mjpeg import MjpegSink
from vmatte.sinks.virtualcam import VirtualCameraSink
from vmatte.sinks.window import WindowSink
from vmatte.sources import open_source
from vmatte.testing import MemorySink

DEFAULT = Encoding()


@dataclass(frozen=True)
class Case:
    """A file that can be written. exact: seconds that its container's clock may be off.

    loss: mean difference in RGB levels that the codec may make.
    """

    name: str
    encoding: Encoding = DEFAULT
    exact: Fraction = Fraction(0)
    loss: float = 4.0
    native: str = "yuv420p"


_MS = Fraction(1, 1000)
FILES = {
    "h264.mp4": Case("a.mp4"),
    "h264.mov": Case("a.mov"),
    "h264.mkv": Case("a.mkv", exact=_MS),
    "h264-10.mp4": Case("a.mp4", native="yuv420p10le"),
    "hevc.mp4": Case("a.mp4", Encoding(codec="hevc", preset="ultrafast")),
    "hevc.mkv": Case("a.mkv", Encoding(codec="hevc", preset="ultrafast"), exact=_MS),
    "av1.mp4": Case("a.mp4", Encoding(codec="av1", preset="12")),
    "av1.webm": Case("a.webm", Encoding(codec="av1", preset="12"), exact=_MS),
    "vp9.webm": Case("a.webm", Encoding(preset="8"), exact=_MS),
    "vp9.mp4": Case("a.mp4", Encoding(codec="vp9", preset="8")),
    "vp9.mkv": Case("a.mkv", Encoding(codec="vp9", preset="8"), exact=_MS),
    "prores.mov": Case("a.mov", Encoding(codec="prores"), loss=3),
    "ffv1.mkv": Case("a.mkv", Encoding(codec="ffv1"), exact=_MS, loss=2.5),
    "ffv1-rgb.mkv": Case("a.mkv", Encoding(codec="ffv1"), exact=_MS, loss=0, native="rgb24"),
    "qtrle.mov": Case("a.mov", Encoding(codec="qtrle"), loss=0, native="rgb24"),
    "gif": Case("a.gif", exact=Fraction(1, 100), loss=6),
    "webp": Case("a.webp", exact=_MS, loss=6),
}
"""FFmpeg cannot read animated WebP: OpenCV does."""
SINGLE = {
    "png": Case("a.png", loss=0, native="rgb24"),
    "jpeg": Case("a.jpg", loss=4, native="rgb24"),
    "tiff": Case("a.tiff", loss=0, native="rgb24"),
    "bmp": Case("a.bmp", loss=0, native="rgb24"),
    "webp-image": Case("a.webp", loss=6, native="rgb24"),
}


def _sink(case: Case, folder: Path, overwrite: bool = False) -> Sink:
    return open_sink(
        str(folder / case.name), case.encoding, overwrite=overwrite, still=case in SINGLE.values()
    )


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("kind", ["h264.mp4", "hevc.mp4", "hevc.mkv", "av1.mp4", "vp9.webm"])
def test_few_frames(kind: str, count: int, tmp_path: Path) -> None:
    case = FILES[kind]
    write(_sink(case, tmp_path), info_of(case.native), SPARSE[3 : 3 + count])
    times = times_of(tmp_path / case.name)
    assert len(times) == count
    for time, wanted in zip(times, SPARSE[3:], strict=False):
        assert abs(time - Fraction(wanted, 30)) <= case.exact


@pytest.mark.parametrize("kind", [k for k in FILES if k != "webp"])
def test_times_size_and_pictures(kind: str, tmp_path: Path) -> None:
    case = FILES[kind]
    info = info_of(case.native)
    write(_sink(case, tmp_path), info)
    pictures = decode(tmp_path / case.name)
    assert len(pictures) == len(SPARSE)
    for index, (picture, time) in enumerate(zip(pictures, SPARSE, strict=True)):
        assert picture.time_base is not None and picture.pts is not None
        off = abs(picture.pts * picture.time_base - Fraction(time, 30))
        assert off <= case.exact, (index, float(off))
        assert (picture.width, picture.height) == info.size
        rgb = picture.to_ndarray(format="rgb24").astype(int)
        assert np.abs(rgb - rgb_picture(index)).mean() <= case.loss, index
    assert [p.name for p in tmp_path.iterdir()] == [case.name]


@pytest.mark.parametrize("kind", SINGLE)
def test_one_image(kind: str, tmp_path: Path) -> None:
    case = SINGLE[kind]
    write(_sink(case, tmp_path), info_of(case.native, still=True), (0,))
    (picture,) = decode(tmp_path / case.name)
    rgb = picture.to_ndarray(format="rgb24").astype(int)
    assert rgb.shape == (64, 96, 3)
    assert np.abs(rgb - rgb_picture(0)).mean() <= case.loss
    assert [p.name for p in tmp_path.iterdir()] == [case.name]


@pytest.mark.parametrize("name", ["%06d.png", "shot-%d.jpg", "%03d.webp", "%04d.tif"])
def test_numbered_images(name: str, tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "new" / "deep" / name))
    write(sink, info_of("rgb24"))
    folder = tmp_path / "new" / "deep"
    assert sorted(p.name for p in folder.iterdir()) == sorted(name % i for i in range(len(SPARSE)))
    for index in range(len(SPARSE)):
        (picture,) = decode(folder / (name % index))
        rgb = picture.to_ndarray(format="rgb24").astype(int)
        assert np.abs(rgb - rgb_picture(index)).mean() <= (6 if name[-3:] in ("jpg", "ebp") else 0)


@pytest.mark.parametrize("native", ["yuv420p", "yuv444p", "gray", "yuv422p10le", "gray16le"])
def test_a_raw_stream(native: str, tmp_path: Path) -> None:
    pipe = io.BytesIO()
    info = info_of(native)
    write(StreamSink(pipe), info)
    (tmp_path / "a.y4m").write_bytes(pipe.getvalue())
    source = open_source(str(tmp_path / "a.y4m"))
    frames = list(source)
    source.close()
    assert [f.time for f in frames] == [Fraction(i, 30) for i in range(len(SPARSE))]
    assert source.info.format.name == native
    for got, given in zip(frames, frames_of(info), strict=True):
        for plane, wanted in zip(got.planes, given.planes, strict=True):
            assert np.array_equal(plane, wanted)


def test_a_raw_stream_has_no_transparency() -> None:
    with pytest.raises(OutputError, match=r"no transparency; use .*\.webm"):
        StreamSink(io.BytesIO()).open(info_of("yuva420p"))


ALL: dict[str, Callable[[Path], Sink]] = {
    **{k: lambda d, c=c: _sink(c, d) for k, c in (FILES | SINGLE).items()},  # type: ignore[misc]
    "sequence": lambda d: ImagesSink(str(d / "%06d.png")),
    "sequence-in-a-new-folder": lambda d: ImagesSink(str(d / "a" / "%06d.png")),
    "stream": lambda d: StreamSink(io.BytesIO()),
    "null": lambda d: NullSink(),
    "memory": lambda d: MemorySink(),
    "virtualcam": lambda d: VirtualCameraSink("recording"),
    "mjpeg": lambda d: MjpegSink("0"),
    "window": lambda d: WindowSink(),
}
SHOWN = ("null", "memory", "stream", "virtualcam", "mjpeg", "window")
"""What leaves no file."""
KINDS = FILES | SINGLE


@pytest.fixture(autouse=True)
def devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual camera, and a screen that is not looked at."""
    monkeypatch.setitem(pyvirtualcam.camera.BACKENDS, "recording", virtual.Recording)
    monkeypatch.setattr("vmatte.sinks.window.expect_screen", lambda name: None)


def _info(kind: str) -> StreamInfo:
    case = KINDS.get(kind)
    return info_of(case.native if case else "yuv420p", still=kind in SINGLE)


@pytest.mark.parametrize("kind", ALL)
def test_abort_leaves_nothing(kind: str, tmp_path: Path) -> None:
    sink, info = ALL[kind](tmp_path), _info(kind)
    sink.abort()
    sink = ALL[kind](tmp_path)
    sink.open(info)
    for frame in frames_of(info, (0,) if kind in SINGLE else SPARSE):
        sink.write(frame)
    sink.abort()
    sink.abort()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ALL)
def test_abort_without_a_frame_leaves_nothing(kind: str, tmp_path: Path) -> None:
    sink = ALL[kind](tmp_path)
    sink.open(_info(kind))
    sink.abort()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ALL)
def test_abort_after_close_harms_nothing(kind: str, tmp_path: Path) -> None:
    sink, info = ALL[kind](tmp_path), _info(kind)
    write(sink, info, (0,) if kind in SINGLE else SPARSE)
    before = sorted(p for p in tmp_path.rglob("*"))
    sink.abort()
    sink.close()
    assert sorted(p for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", KINDS)
def test_an_existing_file_is_kept(kind: str, tmp_path: Path) -> None:
    case, path = KINDS[kind], tmp_path / KINDS[kind].name
    path.write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match="use --overwrite"):
        _sink(case, tmp_path).open(_info(kind))
    assert path.read_bytes() == b"mine"
    sink = _sink(case, tmp_path, overwrite=True)
    sink.open(_info(kind))
    assert path.read_bytes() == b"mine"
    sink.abort()
    assert path.read_bytes() == b"mine"
    write(_sink(case, tmp_path, overwrite=True), _info(kind), (0,) if kind in SINGLE else SPARSE)
    assert path.read_bytes() != b"mine"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["h264.mp4", "png"])
def test_a_file_that_appears_meanwhile_is_kept(kind: str, tmp_path: Path) -> None:
    sink, path = _sink(KINDS[kind], tmp_path), tmp_path / KINDS[kind].name
    sink.open(_info(kind))
    sink.write(next(frames_of(_info(kind))))
    path.write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match="appeared meanwhile"):
        sink.close()
    sink.abort()
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


def test_existing_images_are_kept(tmp_path: Path) -> None:
    (tmp_path / "000003.png").write_bytes(b"mine")
    (tmp_path / "notes.txt").write_bytes(b"mine too")
    with pytest.raises(OutputExistsError, match="use --overwrite"):
        ImagesSink(str(tmp_path / "%06d.png")).open(info_of("rgb24"))
    write(ImagesSink(str(tmp_path / "%06d.png"), overwrite=True), info_of("rgb24"), (0, 1))
    assert (tmp_path / "000003.png").read_bytes() == b"mine"
    assert (tmp_path / "notes.txt").read_bytes() == b"mine too"
    assert (tmp_path / "000001.png").stat().st_size > 100


@pytest.mark.parametrize("kind", [k for k in ALL if k not in SHOWN])
def test_nothing_has_its_name_before_it_is_whole(kind: str, tmp_path: Path) -> None:
    sink, info = ALL[kind](tmp_path), _info(kind)
    sink.open(info)
    sink.write(next(frames_of(info)))
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert all(".part" in str(p.relative_to(tmp_path)) for p in files), files
    sink.close()
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert files and not any(".part" in str(p) for p in files)
    assert not any(p.stat().st_mode & 0o077 == 0 for p in files), "only for the owner"


@pytest.mark.parametrize("kind", ["virtualcam", "mjpeg", "window"])
def test_sinks_that_show_are_for_live_runs(kind: str) -> None:
    name = f"{kind}:0"
    assert open_sink(name, live=True).name == name
    with pytest.raises(OutputError, match=f"use: vmatte live INPUT -o {name}"):
        open_sink(name)


@pytest.mark.parametrize("kind", ["virtualcam", "mjpeg"])
def test_transparency_cannot_be_shown(kind: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no transparency; give another --background"):
        ALL[kind](tmp_path).open(info_of("yuva420p"))


def test_two_frames_for_one_image(tmp_path: Path) -> None:
    sink = ImagesSink(str(tmp_path / "a.png"))
    info = info_of("rgb24")
    sink.open(info)
    first, second, *_ = frames_of(info)
    sink.write(first)
    with pytest.raises(OutputError, match=r"a-%06d\.png"):
        sink.write(second)
    sink.abort()
    assert list(tmp_path.iterdir()) == []


def test_two_sinks_at_once(tmp_path: Path) -> None:
    """Two outputs are written by two threads, from the same frames."""
    info = info_of("yuv420p")
    frames = list(frames_of(info))
    sinks = [FileSink(str(tmp_path / f"{i}.mkv"), Encoding(codec="ffv1")) for i in range(2)]

    def run(sink: FileSink) -> None:
        sink.open(replace(info, time_base=frames[0].time_base))
        for frame in frames:
            sink.write(frame)
        sink.close()

    threads = [threading.Thread(target=run, args=(s,)) for s in sinks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(2):
        for picture, frame in zip(decode(tmp_path / f"{i}.mkv"), frames, strict=True):
            assert np.array_equal(picture.to_ndarray()[:64], frame.planes[0])


def test_an_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write \.xyz; expected one of \.mp4, "):
        open_sink(str(tmp_path / "a.xyz")).open(info_of("yuv420p"))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_or_a_missing_folder(tmp_path: Path) -> None:
    (tmp_path / "d.mp4").mkdir()
    with pytest.raises(WriteError, match="is a directory"):
        open_sink(str(tmp_path / "d.mp4")).open(info_of("yuv420p"))
    with pytest.raises(WriteError, match="folder does not exist; create it first"):
        open_sink(str(tmp_path / "no" / "a.mp4")).open(info_of("yuv420p"))
