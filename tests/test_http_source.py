"""Streams and files over HTTP: MJPEG of webcams, HLS, files that are played, from a real server."""

import time
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path

import av
import pytest
from media import make_image, make_video
from network import lost, shows
from web_stream import web

from vmatte.errors import InputError, InputNotFoundError
from vmatte.sources import NetworkSource, open_live, open_source

LARGE, SMALL = (320, 192), (192, 128)
_NOW = {"g": "10", "bf": "0", "tune": "zerolatency"}


def _mjpeg(folder: Path, count: int) -> Callable[[Callable[[bytes], object]], None]:
    """What webcams with a web server send: pictures without times, and one that is damaged."""
    pictures = [make_image(folder / f"{i}.jpg", i, size=LARGE).read_bytes() for i in range(4)]

    def write(send: Callable[[bytes], object]) -> None:
        for i in range(count):
            body = pictures[i % 4]
            head = f"--edge\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
            send(head.encode() + body + b"\r\n")
            time.sleep(0.02)

    return write


def test_a_webcam_that_serves_mjpeg(tmp_path: Path) -> None:
    kind = "multipart/x-mixed-replace; boundary=edge"
    with web(tmp_path, cam=(kind, _mjpeg(tmp_path, 30))) as address:
        opened = open_live(f"{address}/cam?user=me&password=s3cret")
        assert isinstance(opened, NetworkSource)
        frames = iter(opened)
        seen = list(islice(frames, 10))
        assert all(b.pts > a.pts for a, b in pairwise(seen))
        shows(seen[-1], LARGE)
        _, error = lost(frames)
        assert "s3cret" not in str(error)
        opened.close()


def test_a_file_on_a_web_server_is_played_in_a_loop(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", times=range(5))
    with web(tmp_path) as address:
        opened = open_live(f"{address}/a.mp4")
        frames = list(islice(opened, 8))
        opened.close()
        assert [f.segment for f in frames] == [0] * 5 + [1] * 3
        whole = open_source(f"{address}/a.mp4")
        assert len(list(whole)) == 5
        whole.close()
        with pytest.raises(InputNotFoundError, match="nothing there"):
            open_live(f"{address}/b.mp4")


def _hls(folder: Path, *, ended: bool) -> None:
    clip = make_video(folder / "clip.mp4", times=range(75), options=_NOW | {"g": "25"})
    with (
        av.open(str(clip)) as given,
        av.open(
            str(folder / "live.m3u8"),
            "w",
            format="hls",
            options={"hls_time": "1", "hls_list_size": "0"},
        ) as made,
    ):
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                made.mux(packet)
    text = (folder / "live.m3u8").read_text()
    if not ended:
        (folder / "live.m3u8").write_text(text.replace("#EXT-X-ENDLIST\n", ""))


def test_live_hls_is_given_out_at_its_own_pace(tmp_path: Path) -> None:
    _hls(tmp_path, ended=False)
    with web(tmp_path) as address:
        opened = open_live(f"{address}/live.m3u8")
        assert opened.info.live
        begun, late = time.monotonic(), []
        for frame in islice(opened, 30):
            late.append(time.monotonic() - begun - float(frame.time))
        opened.close()
    # A piece of 25 frames comes at once.
    assert min(late) > -0.01
    assert max(late) < 1


def test_a_playlist_cannot_read_the_files_of_this_machine(tmp_path: Path) -> None:
    make_video(tmp_path / "own.ts", options=_NOW)
    lines = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.4,\n"
    (tmp_path / "good.m3u8").write_text(f"{lines}own.ts\n#EXT-X-ENDLIST\n")
    (tmp_path / "bad.m3u8").write_text(f"{lines}file://{tmp_path}/own.ts\n#EXT-X-ENDLIST\n")
    with web(tmp_path) as address:
        open_live(f"{address}/good.m3u8").close()
        with pytest.raises(InputError):
            open_live(f"{address}/bad.m3u8")
        with pytest.raises(InputError):
            open_source(f"{address}/bad.m3u8")
