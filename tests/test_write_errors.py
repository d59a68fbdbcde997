"""Outputs that fail: a typed error of one line as soon as it happens, and nothing left behind."""

import os
import resource
import signal
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media import Sound, damage, decode, make_video, packets_of, times_of, truncate
from test_fidelity import compositor, run
from writing import frames_of, info_of

from vmatte.errors import DamagedMediaError, OutputExistsError, WriteError
from vmatte.frames import Frame, from_array
from vmatte.output import Output
from vmatte.pipeline import Pipeline
from vmatte.sinks import Encoding, StreamSink, open_sink
from vmatte.sources import open_source
from vmatte.testing import FunctionMatter, ListSource, MemorySink


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in which every new file is on a full disk; what is written there fails."""
    folder = tmp_path / "full"
    folder.mkdir()

    def temporary(path: Path, overwrite: bool) -> Path:
        link = path.with_name(f".{path.stem}.part{path.suffix}")
        link.symlink_to("/dev/full")
        return link

    monkeypatch.setattr("vmatte.sinks.file.temporary_for", temporary)
    monkeypatch.setattr("vmatte.sinks.images.temporary_for", temporary)
    return folder


NAMES = ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.gif", "a.webp", "a.png", "a.jpg"]


@pytest.mark.parametrize("name", NAMES)
def test_full_disk(name: str, full_disk: Path) -> None:
    """Also where so little is written that only the end of the file meets the error."""
    info = info_of("yuv420p", still=name[-3:] in ("png", "jpg"))
    sink = open_sink(str(full_disk / name))
    with pytest.raises(WriteError, match="the disk is full; free some space") as caught:
        sink.open(info)
        for frame in frames_of(info, (0,) if info.still else (0, 1, 2)):
            sink.write(frame)
        sink.close()
    sink.abort()
    assert str(caught.value).startswith(str(full_disk / name))
    assert "\n" not in str(caught.value)
    assert list(full_disk.iterdir()) == []


def noise(count: int) -> Iterator[Frame]:
    """Pictures that no codec makes small."""
    generator = np.random.default_rng(3)
    for index in range(count):
        rgb = generator.integers(0, 256, (240, 320, 3), np.uint8)
        frame = from_array(rgb, "rgb24", pts=index * 1536, time_base=Fraction(1, 15360))
        yield frame.convert("yuv420p", colour=info_of("yuv420p").colour)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_a_full_disk_is_told_while_writing(name: str, full_disk: Path) -> None:
    """Not after hours, at the end."""
    sink = open_sink(str(full_disk / name), Encoding(crf=0, preset="8" if "webm" in name else None))
    sink.open(info_of("yuv420p", (320, 240)))
    written = 0
    with pytest.raises(WriteError, match="disk is full"):
        for frame in noise(100):
            sink.write(frame)
            written += 1
    assert written < 95
    sink.abort()
    assert list(full_disk.iterdir()) == []


def test_a_full_disk_in_a_whole_job(full_disk: Path, tmp_path: Path) -> None:
    """One of two outputs fails: the other leaves nothing either."""
    source = make_video(tmp_path / "in.mp4", times=range(30), sounds=[Sound()])
    memory = MemorySink()
    with pytest.raises(WriteError, match="disk is full"):
        run(source, [(open_sink(str(full_disk / "a.mp4")), "green"), (memory, "alpha")])
    assert memory.state == "aborted"
    assert list(full_disk.iterdir()) == []


@pytest.mark.parametrize("name", ["%06d.png", "a.mkv"])
def test_files_that_may_not_grow(name: str, tmp_path: Path) -> None:
    """The limit of a quota or a file system, met half-way."""
    sink = open_sink(str(tmp_path / "out" / name))
    (tmp_path / "out").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, hard))
        with pytest.raises(WriteError, match=r"cannot be written: .*File too large"):
            sink.open(info_of("yuv420p", (320, 240)))
            for frame in noise(60):
                sink.write(frame)
            sink.close()
        sink.abort()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_reader_that_goes_away() -> None:
    """As with: vmatte run clip.mp4 -o - | head."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as pipe:
        sink = StreamSink(pipe)
        with pytest.raises(WriteError, match="standard output"):
            sink.open(info_of("yuv420p", (320, 240)))
            for frame in noise(20):
                sink.write(frame)
            sink.close()
        sink.abort()


@pytest.mark.parametrize("name", ["out.mp4", "out/%06d.png", "out.webm"])
def test_a_source_that_fails_half_way(name: str, tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "in.mp4", times=range(60), file_options={"movflags": "faststart"}
    )
    truncate(source, 0.7)
    with pytest.raises(DamagedMediaError, match="ends early"):
        run(source, [(open_sink(str(tmp_path / name)), "green")])
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]
    stats = run(source, [(open_sink(str(tmp_path / name)), "green")], salvage=True)
    assert 20 < stats.frames < 60


def test_folders_that_were_made_go_again(tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "in.mp4", times=range(60), file_options={"movflags": "faststart"}
    )
    truncate(source, 0.7)
    names = [str(tmp_path / "made" / "for" / name) for name in ("a%d.png", "b%d.png")]
    with pytest.raises(DamagedMediaError, match="ends early"):
        run(source, [(open_sink(name), "green") for name in names])
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


def test_damaged_frames_are_counted_and_the_rest_keeps_its_time(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", times=range(40), options={"g": "5", "bf": "0"})
    damage(source, 0.48, 0.50)
    stats = run(source, [(open_sink(str(tmp_path / "out.mp4")), "green")])
    assert stats.skipped >= 1
    got = times_of(tmp_path / "out.mp4")
    assert len(got) == stats.frames < 40
    assert set(got) <= {Fraction(i, 25) for i in range(40)}


def test_an_output_that_exists_stops_the_job_before_it_begins(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4")
    (tmp_path / "out.mp4").write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        run(source, [(open_sink(str(tmp_path / "out.mp4")), "green")])
    assert (tmp_path / "out.mp4").read_bytes() == b"mine"


def test_stopping_leaves_a_whole_file_with_sound_as_long_as_the_picture(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", times=range(250), sounds=[Sound(seconds=10)])
    opened = open_source(str(source))
    sink = open_sink(str(tmp_path / "out.mp4"))
    output = Output(compositor("green"), sink)
    output.open(opened.info)
    pipeline: list[Pipeline] = []

    def progress(count: int, info: object) -> None:
        if count == 50:
            pipeline[0].stop()

    pipeline.append(Pipeline(opened, FunctionMatter(), [output], progress=progress))
    stats = pipeline[0].run()
    assert stats.interrupted
    assert stats.frames == len(decode(tmp_path / "out.mp4")) == 50
    sound = packets_of(tmp_path / "out.mp4", "audio")
    assert 1.9 <= float(sound[-1][0]) <= 2.05
    assert [p for _, p in sound] == [p for _, p in packets_of(source, "audio")][: len(sound)]


def test_stopping_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    source = open_source(str(make_video(tmp_path / "in.mp4")))
    output = Output(compositor("green"), open_sink(str(tmp_path / "out.mp4")))
    output.open(source.info)
    pipeline = Pipeline(source, FunctionMatter(), [output])
    pipeline.stop()
    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


def test_an_error_of_any_kind_keeps_its_type(tmp_path: Path) -> None:
    info = info_of("yuv420p")
    frames = list(frames_of(info))
    source = ListSource(replace(info, frames=10), frames, ZeroDivisionError("of ours"))
    sink = open_sink(str(tmp_path / "a.mp4"))
    output = Output(compositor("green"), sink)
    output.open(info)
    with pytest.raises(ZeroDivisionError, match="of ours"):
        Pipeline(source, FunctionMatter(), [output]).run()
    assert source.closed
    assert list(tmp_path.iterdir()) == []
