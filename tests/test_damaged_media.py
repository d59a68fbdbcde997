"""Damaged and odd files: skipped and counted, salvaged, or told."""

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media import (
    SIZE,
    damage,
    decode,
    make_video,
    truncate,
    y4m,
)
from reading import read

from vmatte.errors import (
    DamagedMediaError,
)


def test_a_damaged_middle_is_skipped_and_counted(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", times=range(40), options={"g": "5", "bf": "0"})
    clean = decode(path)
    source, frames = read(damage(path, 0.48, 0.50))
    assert source.skipped >= 1
    assert len(frames) + source.skipped >= 40 - 5
    assert 30 <= len(frames) < 40
    by_time = {p.pts: p.to_ndarray() for p in clean}
    equal = sum(np.array_equal(by_time[f.pts][:64], f.planes[0]) for f in frames)
    assert equal >= 30


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_file_that_ends_early(share: float, tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", times=range(60), file_options={"movflags": "faststart"})
    truncate(path, share)
    with pytest.raises(DamagedMediaError, match=r"ends early: \d+ of 60 .* --salvage"):
        read(path)
    _, frames = read(path, salvage=True)
    assert 60 * share * 0.5 < len(frames) < 60
    assert [f.pts for f in frames] == sorted({f.pts for f in frames})


def test_the_part_that_is_whole_of_a_file_that_ends_early(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", times=range(60), file_options={"movflags": "faststart"})
    truncate(path, 0.7)
    _, frames = read(path, end=0.4)
    assert len(frames) == 10


def test_a_size_that_changes(tmp_path: Path) -> None:
    """The first size stays, and temporal state is not carried over the change."""
    first = make_video(tmp_path / "1.ts", times=range(10), options={"bf": "0"})
    second = make_video(tmp_path / "2.ts", times=range(10, 20), size=(128, 96), options={"bf": "0"})
    path = tmp_path / "a.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    source, frames = read(path)
    assert source.info.size == SIZE
    assert {(f.width, f.height) for f in frames} == {SIZE}
    assert len(frames) >= 19
    segments = [f.segment for f in frames]
    assert segments[0] == 0 and segments[-1] == 1
    assert segments.index(1) == 10


def test_times_that_repeat_are_counted_and_never_go_back(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mkv", codec="ffv1", times=[0, 1, 1, 2, 3], time_base=Fraction(1, 25)
    )
    source, frames = read(path)
    assert [f.time for f in frames] == [Fraction(i, 25) for i in range(4)]
    assert source.skipped == 1


@pytest.mark.parametrize("bf", ["0", "2"])
def test_times_that_are_missing(bf: str, tmp_path: Path) -> None:
    """A bare H.264 stream has none; AVI has none for B-frames."""
    for path in (
        make_video(tmp_path / "a.h264", times=range(10), options={"bf": bf}),
        make_video(tmp_path / "a.avi", codec="mpeg4", times=range(10), options={"bf": bf}),
    ):
        source, frames = read(path)
        times = [f.time - frames[0].time for f in frames]
        assert times == [Fraction(i, 25) for i in range(10)], path.suffix
        assert source.skipped == 0


def test_a_file_shortened_by_its_edit_list_is_not_one_that_ends_early(tmp_path: Path) -> None:
    """Phones and editors trim without rewriting: samples stay that are not shown."""
    path = make_video(
        tmp_path / "a.mp4",
        times=range(40),
        options={"g": "10", "bf": "2"},
        file_options={"movie_timescale": "1000"},
    )
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    assert struct.unpack_from(">I", data, at) == (1600,)
    struct.pack_into(">I", data, at, 800)
    path.write_bytes(data)
    assert len(decode(path)) == 20
    _, frames = read(path)
    assert len(frames) == 20


def test_a_container_damaged_in_its_middle(tmp_path: Path) -> None:
    data = bytearray(y4m(20))
    at = len(data) - 5 * (len(data) // 20)
    at = data.index(b"FRAME\n", at)
    data[at : at + 5] = b"XXXXX"
    path = tmp_path / "a.y4m"
    path.write_bytes(data)
    with pytest.raises(DamagedMediaError, match="--salvage"):
        read(path)
    assert 10 < len(read(path, salvage=True)[1]) < 20
