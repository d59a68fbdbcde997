"""Streams: a real RTSP server that dies, stalls, jumps and changes size; HTTP, MJPEG and HLS."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from media import SIZE, make_video
from network import lost, shows
from rtsp_server import RtspServer, free_port
from web_stream import web

from vmatte.errors import InputError, InputNotFoundError, OptionError, SourceLostError, mask
from vmatte.sources import FrameSource, LiveInput, NetworkSource, open_live, open_source
from vmatte.sources.network import Times

LARGE, SMALL = (320, 192), (192, 128)
_NOW = {"g": "10", "bf": "0", "tune": "zerolatency"}


def _clip(path: Path, size: tuple[int, int] = LARGE, **options: str) -> Path:
    return make_video(path, size=size, times=range(50), options=_NOW | options)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    folder = tmp_path_factory.mktemp("rtsp")
    # The first with frames that are shown later than they are sent.
    clips = [_clip(folder / "a.mp4", bf="2", tune="film"), _clip(folder / "b.mp4", SMALL)]
    with RtspServer(folder, clips, user="me", password="s3cret") as running:
        yield running


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RtspServer]:
    """A server of the test's own, to be killed."""
    clips = [_clip(tmp_path / "a.mp4"), _clip(tmp_path / "b.mp4", SMALL)]
    with RtspServer(tmp_path, clips, user="me", password="s3cret") as running:
        yield running


@pytest.fixture(autouse=True)
def as_new(request: pytest.FixtureRequest) -> None:
    """Let no test feel what another one ordered."""
    if "server" in request.fixturenames:
        running = request.getfixturevalue("server")
        running.clip(0)
        running.go()


@pytest.fixture
def source(server: RtspServer) -> Iterator[FrameSource]:
    opened = open_live(server.url, LiveInput(timeout=1.0))
    yield opened
    opened.close()


def test_frames_come_whole_at_their_rate(source: FrameSource) -> None:
    assert source.info.live
    assert source.info.size == LARGE
    assert source.info.rate == 25
    frames = list(islice(source, 30))
    assert frames[0].pts == 0
    assert source.skipped == 0
    assert {f.segment for f in frames} == {0}
    steps = [float(b.time - a.time) for a, b in pairwise(frames)]
    assert np.allclose(steps, 0.04, atol=0.002)
    for frame in (frames[0], frames[15], frames[-1]):
        shows(frame, LARGE)


def test_over_udp_too(server: RtspServer) -> None:
    opened = open_live(server.url, LiveInput(transport="udp"))
    frames = list(islice(opened, 12))
    opened.close()
    shows(frames[-1], LARGE)


def test_a_change_of_size_is_a_new_segment_of_whole_frames(
    server: RtspServer, source: FrameSource
) -> None:
    frames = iter(source)
    list(islice(frames, 5))
    server.clip(1)
    changed = next(f for f in frames if f.width != LARGE[0])
    assert (changed.width, changed.height) == source.info.size == SMALL
    assert changed.segment == 1
    shows(changed, SMALL)
    server.clip(0)
    back = next(f for f in frames if f.width != SMALL[0])
    assert back.segment == 2
    shows(back, LARGE)


def test_time_stamps_that_jump_do_not_jump_here(server: RtspServer, source: FrameSource) -> None:
    frames = iter(source)
    seen = list(islice(frames, 20))
    for seconds in (50, -50):
        server.jump(seconds)
        seen += islice(frames, 25)
    assert [s for s in range(3) if s in {f.segment for f in seen}] == [0, 1, 2]
    steps = [float(b.time - a.time) for a, b in pairwise(seen)]
    assert min(steps) > 0
    assert max(steps) < 0.5


def test_a_server_that_dies_is_noticed_and_comes_back(mortal: RtspServer) -> None:
    server, source = mortal, open_live(mortal.url)
    frames = iter(source)
    list(islice(frames, 5))
    server.kill()
    took, error = lost(frames)
    source.close()
    assert took < 1.5
    assert "s3cret" not in str(error)
    assert "***@" in str(error)
    with pytest.raises(InputError, match="refuses connections"):
        open_live(server.url)
    server.start()
    again = open_live(server.url)
    shows(next(iter(again)), LARGE)
    again.close()


@pytest.mark.parametrize("how", ["pause", "freeze"])
def test_a_server_that_falls_silent_is_noticed(
    server: RtspServer, source: FrameSource, how: str
) -> None:
    frames = iter(source)
    list(islice(frames, 5))
    getattr(server, how)()
    try:
        took, error = lost(frames)
    finally:
        server.thaw()
    # Two reads that time out would be 2 s.
    assert 0.8 < took < 1.9
    assert "nothing for too long" in str(error)


def test_close_from_elsewhere_ends_a_read_that_waits(
    server: RtspServer, source: FrameSource
) -> None:
    frames = iter(source)
    list(islice(frames, 5))
    server.pause()
    threading.Timer(0.2, source.close).start()
    begun = time.monotonic()
    # What was under way still comes; then it ends, lost or closed, and nothing crashes.
    with contextlib.suppress(SourceLostError):
        list(frames)
    assert time.monotonic() - begun < 2.5


def test_who_is_refused_is_told_why(server: RtspServer) -> None:
    with pytest.raises(InputError, match="give user and password") as caught:
        open_live(server.url.replace("s3cret", "gue55"))
    assert "gue55" not in str(caught.value)
    with pytest.raises(InputNotFoundError, match="has nothing there"):
        open_live(server.url + "/attic")


def test_who_joins_in_the_middle_sees_whole_frames(server: RtspServer, source: FrameSource) -> None:
    frames = iter(source)
    list(islice(frames, 15))
    second = open_live(server.url)
    shows(next(iter(second)), LARGE)
    second.close()


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmatte.sources.network.OPENING", 0.5)
    with pytest.raises(InputError, match=r"udp://.*did not answer within 1 s"):
        open_live(f"udp://127.0.0.1:{free_port()}", LiveInput(timeout=1.0))


def test_a_recording_keeps_one_size_and_what_came_before_a_loss(mortal: RtspServer) -> None:
    server = mortal
    recorded = open_source(server.url)
    frames = iter(recorded)
    list(islice(frames, 3))
    server.clip(1)
    later = list(islice(frames, 25))
    assert {(f.width, f.height) for f in later} == {LARGE}
    shows(later[-1], LARGE)
    server.kill()
    rest = list(frames)
    assert len(rest) < 25
    assert "was lost" in recorded.info.notes[-1]
    recorded.close()


def test_a_recording_ends_where_it_is_told(server: RtspServer) -> None:
    recorded = open_source(server.url, end=0.38)
    times = [float(f.time) for f in recorded]
    recorded.close()
    assert len(times) == 10
    assert times == pytest.approx([i * 0.04 for i in range(10)], abs=0.002)
    with pytest.raises(OptionError, match="--start cuts files"):
        open_source(server.url, start=1.0)


def test_damaged_packets_are_left_out_and_counted(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "a.ts", times=range(50), options=_NOW)
    data = bytearray(clip.read_bytes())
    rng = np.random.default_rng(5)
    for at in range(len(data) // 3, 2 * len(data) // 3, 400):
        data[at + 40 : at + 90] = rng.integers(0, 256, 50, np.uint8).tobytes()

    def write(send: Callable[[bytes], object]) -> None:
        send(bytes(data))

    with web(tmp_path, live=("video/mp2t", write)) as address:
        opened = open_live(f"{address}/live")
        seen = []
        with pytest.raises(SourceLostError, match=r"ended|broke off"):
            for frame in opened:
                seen.append(frame)
        opened.close()
    assert opened.skipped > 0
    assert 20 < len(seen) < 50
    shows(seen[0], SIZE)


def test_what_is_no_address_is_told() -> None:
    with pytest.raises(InputError, match="gopher:// is not understood"):
        NetworkSource("gopher://host/1")


def test_secrets_are_masked_wherever_they_stand() -> None:
    text = mask("rtsp://me:p@ss@host/a and http://cam/v?user=me&Password=s3cret&size=2")
    assert text == "rtsp://***@host/a and http://cam/v?user=***&Password=***&size=2"


TB = Fraction(1, 100)


def _run(stamps: list[tuple[int | None, float]]) -> tuple[list[int | None], int]:
    times = Times(TB, Fraction(25))
    return [times(stamp, now) for stamp, now in stamps], times.jumps


def test_times_rise_whatever_the_stamps_do() -> None:
    assert _run([(500, 5.0), (504, 5.04), (508, 5.08)]) == ([0, 4, 8], 0)
    # None until the server told its time, as RTSP begins.
    assert _run([(None, 0.0), (None, 0.04), (7000, 0.08), (7004, 0.12)]) == ([0, 4, 8, 12], 0)
    # A jump is as long as it took; a gap that really was one is kept.
    assert _run([(0, 0.0), (9000, 0.04), (9004, 0.08)]) == ([0, 4, 8], 1)
    assert _run([(9000, 0.0), (0, 0.3), (4, 0.34)]) == ([0, 30, 34], 1)
    assert _run([(0, 0.0), (300, 3.0), (304, 3.04)]) == ([0, 300, 304], 1)
    # One that is shown at the same time as another is left out.
    assert _run([(0, 0.0), (0, 0.04), (4, 0.08)]) == ([0, None, 4], 0)
