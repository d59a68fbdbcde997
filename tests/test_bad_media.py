"""Bad input: each a typed error of one line that says what to do."""

import os
import struct
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from media import (
    SIZE,
    Sound,
    Tags,
    make_image,
    make_video,
    rgb_picture,
    truncate,
    y4m,
)
from reading import read
from writing import info_of

from vmatte.errors import (
    DamagedMediaError,
    InputError,
    InputNotFoundError,
    OptionError,
    OutputExistsError,
    UnsupportedMediaError,
)
from vmatte.job import JobOptions, matte
from vmatte.sinks import open_sink
from vmatte.sources import SyntheticSource, open_source


def _sound_only(d: Path) -> Path:
    video = str(make_video(d / "v.mp4", sounds=[Sound()]))
    with av.open(video) as source, av.open(str(d / "a.m4a"), "w", format="mp4") as output:
        stream = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return d / "a.m4a"


def _no_frames(d: Path) -> Path:
    return make_video(d / "a.mp4", times=[])


def _headless(d: Path) -> Path:
    return truncate(make_video(d / "a.mp4", times=range(40)), 0.6)


def _text(d: Path) -> Path:
    (d / "a.mp4").write_text("This is no video.\n" * 40)
    return d / "a.mp4"


def _text_art(d: Path) -> Path:
    (d / "a.ans").write_text("\x1b[31mThis is no video.\n" * 40)
    return d / "a.ans"


def _subtitles(d: Path) -> Path:
    (d / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    return d / "a.srt"


def _empty(d: Path) -> Path:
    (d / "a.mp4").touch()
    return d / "a.mp4"


def _huge(d: Path) -> Path:
    (d / "a.y4m").write_bytes(y4m(1).replace(b"W96 H64", b"W16000 H16000"))
    return d / "a.y4m"


def _huge_image(d: Path) -> Path:
    """A PNG that claims 60,000 x 60,000 pixels."""
    data = bytearray(make_image(d / "a.png").read_bytes())
    data[16:24] = struct.pack(">II", 60000, 60000)
    (d / "a.png").write_bytes(data)
    return d / "a.png"


def _nothing_sized(d: Path) -> Path:
    data = bytearray(make_image(d / "a.png").read_bytes())
    data[16:24] = struct.pack(">II", 0, 0)
    (d / "a.png").write_bytes(data)
    return d / "a.png"


def _noise(d: Path) -> Path:
    data = np.random.default_rng(1).integers(0, 256, 30000, np.uint8).tobytes()
    (d / "a.mkv").write_bytes(data)
    return d / "a.mkv"


def _no_images(d: Path) -> Path:
    (d / "a.txt").touch()
    return d


BAD = {
    "missing": (lambda d: d / "no.mp4", InputNotFoundError, "check the path"),
    "folder-without-images": (_no_images, InputError, "a folder without images"),
    "pattern-without-images": (lambda d: d / "%06d.png", InputNotFoundError, "pattern"),
    "text": (_text, InputError, "give a"),
    "text-art": (_text_art, UnsupportedMediaError, "holds no video"),
    "subtitles": (_subtitles, UnsupportedMediaError, "only subtitle"),
    "empty": (_empty, DamagedMediaError, "give another file"),
    "noise": (_noise, InputError, "give a"),
    "truncated-before-its-index": (_headless, DamagedMediaError, "give another file"),
    "no-frames": (_no_frames, InputError, "give a"),
    "sound-only": (_sound_only, UnsupportedMediaError, "only audio"),
    "one-pixel": (
        lambda d: make_image(d / "a.png", size=(1, 1)),
        UnsupportedMediaError,
        "1x1; expected at least 16 pixels a side",
    ),
    "no-pixels": (_nothing_sized, DamagedMediaError, "give another file"),
    "huge": (_huge, UnsupportedMediaError, "16000x16000; expected"),
    "huge-image": (_huge_image, DamagedMediaError, "give another file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind: str, tmp_path: Path) -> None:
    make, error, words = BAD[kind]
    path = make(tmp_path)
    begin = time.monotonic()
    with pytest.raises(error) as caught:
        read(path)
    message = str(caught.value)
    assert type(caught.value) is error or error is InputError
    assert words in message
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 300
    assert time.monotonic() - begin < 3


def test_bad_input_empty_name() -> None:
    with pytest.raises(InputError, match="name is empty"):
        read("")


@pytest.mark.parametrize("password", ["secret", "s@secret", "secret@"])
def test_password_in_a_url_is_masked(password: str) -> None:
    with pytest.raises(InputError) as caught:
        read(f"http://user:{password}@127.0.0.1:1/clip.mp4")
    assert "secret" not in str(caught.value)


def test_not_permitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")  # Root may read everything.

    monkeypatch.setattr("av.open", refuse)
    with pytest.raises(InputError, match=r"a\.mp4: may not be read; check the file's permissions"):
        read(tmp_path / "a.mp4")


def test_a_matrix_that_cannot_be_converted(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mkv", format="yuv420p10le", tags=Tags(matrix=14, primaries=9, transfer=16)
    )
    with pytest.raises(UnsupportedMediaError, match=r"ICtCp.*convert it"):
        read(path)


def test_images_of_several_ranges(tmp_path: Path) -> None:
    """WebP is limited-range BT.601, JPEG full-range: told apart by the frame, not the format."""
    picture = rgb_picture(0)[:, :, ::-1]
    for name in ("1.webp", "2.jpg"):
        cv2.imwrite(str(tmp_path / name), picture)
    source, frames = read(tmp_path)
    assert {f.colour for f in frames} == {source.info.colour}
    first, second = (f.rgb(SIZE).astype(int) for f in frames)
    assert np.abs(first - second).mean() < 4


def test_images_of_several_sizes(tmp_path: Path) -> None:
    make_image(tmp_path / "1.png")
    make_image(tmp_path / "2.png", size=(48, 48))
    with pytest.raises(UnsupportedMediaError, match="48x48, the images before it are 96x64"):
        read(tmp_path)


def test_names_that_look_like_patterns(tmp_path: Path) -> None:
    """Brackets are no pattern, two stars are no other one, and an address is none at all."""
    for i in range(2):
        make_image(tmp_path / f"a[1]_{i}.png", i)
    for pattern in ("a[1]_%d.png", "a**1]_%01d.png"):
        assert len(read(tmp_path / pattern)[1]) == 2
    sink = open_sink(str(tmp_path / "a[1]_%d.png"))
    with pytest.raises(OutputExistsError):
        sink.open(info_of("rgb24"))
    with pytest.raises(InputError, match="refuses connections"):
        read("http://127.0.0.1:1/my%20clip.mp4")


def test_an_open_source_has_its_own_part() -> None:
    for options in (JobOptions(end=1), JobOptions(rate=Fraction(5)), JobOptions(salvage=True)):
        with pytest.raises(OptionError, match="give them there"):
            matte(SyntheticSource(), ["null:"], options)


def test_a_rate_of_what_has_its_own(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--rate is of folders"):
        read(make_video(tmp_path / "a.mp4"), rate=Fraction(10))


def test_a_bad_image_in_a_folder(tmp_path: Path) -> None:
    make_image(tmp_path / "1.png")
    (tmp_path / "2.png").write_text("no picture")
    with pytest.raises(DamagedMediaError, match=r"2\.png"):
        read(tmp_path)


def test_an_end_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="must lie after"):
        open_source("a.mp4", start=2, end=1)


def test_a_start_after_the_end_of_the_file(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4")
    assert read(path, start=9)[1] == []


def test_a_start_in_what_cannot_seek(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    class Stdin:
        buffer = io.BytesIO(y4m(20))

    monkeypatch.setattr("sys.stdin", Stdin)
    _, frames = read("-", start=0.4)
    assert [f.pts for f in frames] == list(range(10))


def test_a_named_pipe_is_opened_once(tmp_path: Path) -> None:
    """Opened once more for its sound it would wait for ever."""
    data = make_video(tmp_path / "a.mkv", sounds=[Sound()]).read_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    feeder = threading.Thread(target=pipe.write_bytes, args=(data,))
    feeder.start()
    source, frames = read(pipe)
    feeder.join()
    assert len(frames) == 10 and source.info.container is None
    assert source.info.notes == ("sound and the like left out: a pipe can be read only once",)


def test_standard_input_that_stops_in_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    class Stdin:
        buffer = io.BytesIO(y4m(5)[:-100])

    monkeypatch.setattr("sys.stdin", Stdin)
    _, frames = read("-")
    assert len(frames) == 4
