"""What every source promises, whatever it reads from."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from camera import Fake
from media import SIZE, SPARSE, Sound, make_image, make_video, picture_of, y4m
from rtsp_server import RtspServer

from vmatte.compare.inputs import PictureSource
from vmatte.frames import Frame, from_array
from vmatte.sources import (
    FileSource,
    FrameSource,
    ImagesSource,
    SyntheticSource,
    open_live,
    open_source,
)
from vmatte.sources.camera import CameraSource
from vmatte.sources.recording import RecordedSource
from vmatte.testing import ListSource


@dataclass(frozen=True)
class Case:
    """A source and the times it must give."""

    make: Callable[[Path], FrameSource]
    times: list[Fraction]
    size: tuple[int, int] = SIZE


def _even(count: int, rate: int = 25) -> list[Fraction]:
    return [Fraction(i, rate) for i in range(count)]


def _file(name: str, **options: object) -> Callable[[Path], FrameSource]:
    return lambda d: open_source(str(make_video(d / name, **options)))  # type: ignore[arg-type]


def _folder(d: Path) -> FrameSource:
    for i in (0, 1, 2, 10):
        make_image(d / f"{i}.png", i)
    return open_source(str(d))


def _pattern(d: Path) -> FrameSource:
    for i in range(3):
        make_image(d / f"shot-{i:03d}.jpg", i)
    make_image(d / "other-000.jpg", 9)
    return open_source(str(d / "shot-%03d.jpg"), rate=Fraction(10))


def _stdin(d: Path) -> FrameSource:
    return FileSource(io.BytesIO(y4m(5)), name="standard input", format="yuv4mpegpipe")


def _list(d: Path) -> FrameSource:
    source = SyntheticSource(width=96, height=64, frames=3)
    return ListSource(source.info, list(source))


_SPARSE = [Fraction(t, 30) for t in SPARSE]
_SHORT = (SPARSE[:5], Fraction(1, 30))

CASES = {
    "mp4": Case(_file("a.mp4", options={"bf": "2"}), _even(10)),
    "variable-rate": Case(_file("a.mp4", times=SPARSE, time_base=Fraction(1, 30)), _SPARSE),
    "mov-with-sound": Case(_file("a.mov", sounds=(Sound(),)), _even(10)),
    "ten-bit": Case(_file("a.mp4", format="yuv420p10le"), _even(10)),
    "rgb": Case(_file("a.mkv", codec="ffv1", format="gbrp10le", tags=None), _even(10)),
    "avi": Case(_file("a.avi", codec="mpeg4"), _even(10)),
    "odd": Case(_file("a.mkv", codec="ffv1", size=(97, 63)), _even(10), (97, 63)),
    "png": Case(lambda d: open_source(str(make_image(d / "a.png"))), [Fraction(0)]),
    "jpeg": Case(lambda d: open_source(str(make_image(d / "a.jpg"))), [Fraction(0)]),
    "webp": Case(lambda d: open_source(str(make_image(d / "a.webp"))), [Fraction(0)]),
    "gif": Case(lambda d: open_source(str(make_image(d / "a.gif"))), [Fraction(0)]),
    "folder": Case(_folder, _even(4)),
    "pattern": Case(_pattern, _even(3, 10)),
    "standard-input": Case(_stdin, _even(5)),
    "synthetic": Case(
        lambda d: SyntheticSource(width=96, height=64, rate=Fraction(24), frames=6), _even(6, 24)
    ),
    "picture": Case(lambda d: PictureSource(make_image(d / "a.png")), [Fraction(0)]),
    "list": Case(_list, _even(3, 30)),
}


@pytest.fixture(params=CASES, ids=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """Each kind of source."""
    return CASES[request.param]


def test_times_size_and_format_are_as_announced(case: Case, tmp_path: Path) -> None:
    source = case.make(tmp_path)
    info = source.info
    frames = list(source)
    source.close()
    assert info.size == case.size
    assert not info.live
    assert source.skipped == 0
    # Matroska keeps milliseconds; everything else is exact.
    slack = Fraction(1, 1000) if info.time_base == Fraction(1, 1000) else 0
    assert len(frames) == len(case.times)
    for frame, when in zip(frames, case.times, strict=True):
        assert type(frame.pts) is int
        assert abs(frame.time - when) <= slack
        assert (frame.width, frame.height) == info.size
        assert frame.format == info.format
        assert frame.time_base == info.time_base
        assert frame.colour == info.colour
        assert frame.segment == frames[0].segment
    if info.frames is not None:
        assert info.frames == len(frames)
    if info.duration is not None and len(frames) > 1:
        assert info.duration == pytest.approx(float(frames[-1].time), abs=0.45)


def test_frames_outlive_the_source_and_do_not_share_memory(case: Case, tmp_path: Path) -> None:
    source = case.make(tmp_path)
    frames, copies = [], []
    for frame in source:
        frames.append(frame)
        copies.append([p.copy() for p in frame.planes])
    source.close()
    for frame, copy in zip(frames, copies, strict=True):
        for plane, before in zip(frame.planes, copy, strict=True):
            assert np.array_equal(plane, before)
    if len(frames) > 1:
        assert any(not np.array_equal(a, b) for a, b in zip(copies[0], copies[1], strict=True))


def test_close_may_come_at_any_time_and_twice(case: Case, tmp_path: Path) -> None:
    source = case.make(tmp_path)
    source.close()
    source.close()


def test_close_from_another_thread_between_two_frames(case: Case, tmp_path: Path) -> None:
    source = case.make(tmp_path)
    frames = iter(source)
    first = next(frames)
    thread = threading.Thread(target=source.close)
    thread.start()
    thread.join()
    assert first.rgb((32, 32)).shape == (32, 32, 3)
    # What may be ready already still comes; then it ends without an error.
    assert len(list(frames)) < len(case.times) or isinstance(source, ListSource)
    source.close()


def _colours(frame: Frame) -> list[tuple[int, ...]]:
    rgb = frame.rgb((frame.width, frame.height)).astype(int)
    h, w = rgb.shape[:2]
    points = (h // 8, w // 8), (h // 8, -w // 8), (-h // 8, w // 8), (-h // 8, -w // 8)
    return [tuple(rgb[y, x]) for y, x in points]


@pytest.mark.parametrize(
    "name",
    ["mp4", "ten-bit", "rgb", "odd", "png", "jpeg", "webp", "gif", "picture", "standard-input"],
)
def test_colours_come_out_right(name: str, tmp_path: Path) -> None:
    """The corners that were drawn, through whatever format the source has."""
    source = CASES[name].make(tmp_path)
    frame = next(iter(source))
    source.close()
    want = _colours(from_array(picture_of(0, "rgb24").to_ndarray(), "rgb24"))
    # GIF has eight levels of red and green and four of blue; the rest is 4:2:0 and encoding.
    slack = 45 if name == "gif" else 7
    for got, expected in zip(_colours(frame), want, strict=True):
        assert np.abs(np.subtract(got, expected)).max() <= slack, (got, expected)


def test_images_come_in_natural_order(tmp_path: Path) -> None:
    source = _folder(tmp_path)
    drawn = [f.planes[0].copy() for f in source]
    source.close()
    for picture, index in zip(drawn, (0, 1, 2, 10), strict=True):
        assert np.array_equal(picture, picture_of(index, "rgb24").to_ndarray())
    assert isinstance(source, ImagesSource)
    assert source.info.rate == 25


def _camera(d: Path) -> FrameSource:
    return CameraSource("camera:0", opener=lambda *_: Fake([SIZE, *[0.02] * 100]), cameras=list)


LIVE = {
    "camera": _camera,
    "file": lambda d: open_live(str(make_video(d / "a.mkv"))),
    "folder": lambda d: (_folder(d), open_live(str(d)))[1],
    "synthetic": lambda d: open_live("synthetic:96x64@50"),
    "recording": lambda d: RecordedSource(_camera(d)),
}


@pytest.fixture(params=[*LIVE, "rtsp"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FrameSource]:
    """Each kind of live source."""
    if request.param != "rtsp":
        yield LIVE[request.param](tmp_path)
        return
    clip = make_video(tmp_path / "a.mp4", times=range(25), options={"g": "5", "bf": "0"})
    with RtspServer(tmp_path, [clip]) as server:
        yield open_live(server.url)


def test_live_frames_are_as_announced_and_their_times_rise_from_zero(live: FrameSource) -> None:
    info = live.info
    assert info.live
    assert info.size == SIZE
    assert info.frames is info.duration is info.container is None
    frames = list(islice(live, 12))
    live.close()
    assert frames[0].pts == 0
    for before, frame in pairwise(frames):
        assert type(frame.pts) is int
        assert frame.pts > before.pts
        assert frame.segment >= before.segment
    for frame in frames:
        assert (frame.width, frame.height) == info.size
        assert (frame.format, frame.colour) == (info.format, info.colour)
        assert frame.time_base == info.time_base
    assert live.skipped == 0


def test_live_frames_do_not_share_memory(live: FrameSource) -> None:
    frames, copies = [], []
    for frame in islice(live, 6):
        frames.append(frame)
        copies.append(frame.planes[0].copy())
    live.close()
    for frame, copy in zip(frames, copies, strict=True):
        assert np.array_equal(frame.planes[0], copy)


def test_live_sources_close_at_any_time_from_any_thread(live: FrameSource) -> None:
    frames = iter(live)
    next(frames)
    thread = threading.Thread(target=live.close)
    thread.start()
    thread.join(1)
    assert not thread.is_alive()
    begun = time.monotonic()
    assert len(list(frames)) <= 1
    assert time.monotonic() - begun < 1
    live.close()
