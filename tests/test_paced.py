"""A file as a stand-in camera: when frames come, and how it loops, seeks, pauses and ends."""

import threading
import time
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from media import make_image, make_video, picture_of

from vmatte.errors import InputNotFoundError, OptionError
from vmatte.sources import LiveInput, PacedSource, SyntheticSource, open_live
from vmatte.sources.synthetic import marker_strength, paint_marker, parse_synthetic, shows_marker


def _drawn(frames: int | None, rate: int = 25, **more: bool) -> PacedSource:
    return PacedSource(
        lambda start: SyntheticSource(
            width=96, height=64, rate=Fraction(rate), frames=frames, start=start
        ),
        **more,
    )


def test_frames_come_at_their_rate_not_before() -> None:
    source = _drawn(None, 50)
    begun = time.monotonic()
    late = []
    for frame in islice(source, 15):
        late.append(time.monotonic() - begun - float(frame.time))
    source.close()
    assert source.info.live
    assert source.info.frames is source.info.duration is None
    assert min(late) > -0.001
    assert np.median(late) < 0.1


def test_a_late_consumer_misses_nothing_and_catches_up() -> None:
    source = _drawn(None, 20)
    frames = iter(source)
    next(frames)
    time.sleep(0.5)
    begun = time.monotonic()
    behind = [next(frames).pts for _ in range(9)]
    assert time.monotonic() - begun < 0.3
    assert behind == list(range(1, 10))
    source.close()


def test_a_loop_goes_on_in_time_and_begins_a_segment(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "a.mkv", times=range(5))
    source = open_live(str(clip))
    begun = time.monotonic()
    frames = list(islice(source, 12))
    took = time.monotonic() - begun
    source.close()
    assert [f.segment for f in frames] == [0] * 5 + [1] * 5 + [2] * 2
    steps = {b.time - a.time for a, b in pairwise(frames)}
    assert steps == {Fraction(1, 25)}
    assert 11 / 25 - 0.01 < took < 1.5
    first, again = frames[0].planes[0], frames[5].planes[0]
    assert np.array_equal(first, again)


def test_without_a_loop_it_ends() -> None:
    source = _drawn(4, 100, loop=False)
    assert len(list(source)) == 4
    source.close()


def test_a_seek_shows_the_frame_asked_for_at_once() -> None:
    source = _drawn(8, 1)
    frames = iter(source)
    plain = [f.planes[0] for f in SyntheticSource(width=96, height=64, rate=Fraction(1), frames=8)]
    next(frames)
    begun = time.monotonic()
    source.seek(5.0)
    frame = next(frames)
    assert time.monotonic() - begun < 0.5
    assert (frame.segment, frame.pts, source.position) == (1, 1, 5.0)
    assert np.array_equal(frame.planes[0], plain[5])
    source.seek(-3)
    assert np.array_equal(next(frames).planes[0], plain[0])
    source.close()


def test_a_seek_beyond_the_end(tmp_path: Path) -> None:
    source = _drawn(200, 25)
    frames = iter(source)
    next(frames)
    source.seek(1e6)
    next(frames)
    assert source.position == pytest.approx(7.9, abs=0.05)
    source.close()
    # Where nothing is there, it begins again: sound, say, may be longer than the picture.
    source = _drawn(8, 1, loop=False)
    frames = iter(source)
    first = next(frames)
    source.seek(1e6)
    again = next(frames)
    assert (source.position, again.segment) == (0.0, 1)
    assert np.array_equal(first.planes[0], again.planes[0])
    source.close()


def test_a_seek_in_a_folder_of_images(tmp_path: Path) -> None:
    for i in range(6):
        make_image(tmp_path / f"{i}.png", i)
    source = open_live(str(tmp_path))
    assert isinstance(source, PacedSource)
    frames = iter(source)
    next(frames)
    source.seek(0.12)
    assert np.array_equal(next(frames).planes[0], picture_of(3, "rgb24").to_ndarray())
    source.close()


def test_paused_it_stands_still_but_shows_where_it_is_moved() -> None:
    source = _drawn(200, 50)
    frames = iter(source)
    next(frames)
    source.pause()
    assert source.paused
    threading.Timer(0.1, source.seek, [2.0]).start()
    begun = time.monotonic()
    assert next(frames).segment == 1
    assert 0.08 < time.monotonic() - begun < 1
    threading.Timer(0.1, source.resume).start()
    begun = time.monotonic()
    assert next(frames).segment == 1
    # What it stood still is not caught up with.
    assert 0.09 < time.monotonic() - begun < 1
    begun = time.monotonic()
    next(frames)
    assert time.monotonic() - begun > 0.01
    source.close()


def test_close_ends_a_wait() -> None:
    source = _drawn(200, 1)
    frames = iter(source)
    next(frames)
    threading.Timer(0.1, source.close).start()
    begun = time.monotonic()
    assert list(frames) == []
    assert time.monotonic() - begun < 0.7


def test_a_file_that_is_not_there_is_told_when_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="no such file"):
        open_live(str(tmp_path / "no.mp4"))


@pytest.mark.parametrize(
    ("name", "size", "rate"),
    [
        ("synthetic:", (640, 360), Fraction(30)),
        ("synthetic:128x72", (128, 72), Fraction(30)),
        ("synthetic:@25", (640, 360), Fraction(25)),
        ("synthetic:128x72@30000/1001+marker", (128, 72), Fraction(30000, 1001)),
    ],
)
def test_a_name_says_what_is_drawn(name: str, size: tuple[int, int], rate: Fraction) -> None:
    source = open_live(name)
    assert (source.info.size, source.info.rate) == (size, rate)
    frame = next(iter(source))
    source.close()
    assert shows_marker(frame.rgb(size)) == ("marker" in name)


@pytest.mark.parametrize(
    "name", ["synthetic:wide", "synthetic:4x4", "synthetic:@0", "synthetic:@1/0"]
)
def test_names_that_mean_nothing_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match="expected"):
        parse_synthetic(name)


@pytest.mark.parametrize(
    "bad", [{"timeout": 0}, {"rate": Fraction(0)}, {"size": (0, 3)}, {"pixel_format": "MJPEG"}]
)
def test_options_that_cannot_be(bad: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        LiveInput(**bad)  # type: ignore[arg-type]


def test_the_marker_is_seen_faint_scaled_and_mirrored_and_nowhere_else() -> None:
    plain, marked = (
        next(iter(SyntheticSource(width=1280, height=720, marker=m))) for m in (False, True)
    )
    assert not shows_marker(plain.rgb((1280, 720)))
    for size in ((1280, 720), (320, 180), (641, 363)):
        assert marker_strength(marked.rgb(size)) > 0.95
        assert marker_strength(marked.rgb(size)[:, ::-1]) > 0.95
    rng = np.random.default_rng(3)
    for behind in (np.zeros((360, 640, 3)), np.full((360, 640, 3), (0, 177, 64))):
        assert abs(marker_strength(behind.astype(np.uint8))) < 0.01
        room = behind.astype(np.uint8)
        paint_marker(room)
        ghost = behind * 0.8 + room * 0.2 + rng.normal(0, 5, behind.shape)
        assert shows_marker(ghost.clip(0, 255).astype(np.uint8))


def test_the_thread_that_plays_closes_the_file() -> None:
    """Two threads in one decoder's close end the whole process."""
    closing: list[str] = []
    begun = threading.Event()

    class Slow(SyntheticSource):
        def close(self) -> None:
            closing.append(threading.current_thread().name)
            super().close()

    source = PacedSource(lambda start: Slow(frames=None, start=start))

    def play() -> None:
        for _ in source:
            begun.set()

    player = threading.Thread(target=play, name="player")
    player.start()
    assert begun.wait(5)
    source.close()
    player.join(5)
    assert not player.is_alive() and set(closing) == {"player"}
    source.close()
    assert list(source) == []
