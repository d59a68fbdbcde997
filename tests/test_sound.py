"""Sound, subtitles, chapters and metadata go with the picture, in step with it."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media import Sound, ffprobe, make_video, packets_of, times_of
from test_fidelity import to_file

LENGTH = 0.8


def shifts(before: Path, after: Path, index: int = 0) -> list[float]:
    """How far each sound packet has moved against the picture's first frame, in seconds."""
    a, b = packets_of(before, "audio", index), packets_of(after, "audio", index)
    origin = times_of(after)[0] - times_of(before)[0]
    return [float(y[0] - x[0] - origin) for x, y in zip(a, b, strict=True)]


def pcm(path: Path, index: int = 0) -> tuple[float, np.ndarray]:  # type: ignore[type-arg]
    """(time of the first sample, mono samples at 48 kHz)."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[index]
        resampler = av.AudioResampler("flt", "mono", 48000)
        parts = []
        begin: float | None = None
        for frame in container.decode(stream):
            begin = float(frame.time) if begin is None else begin  # type: ignore[arg-type]
            parts += [f.to_ndarray()[0] for f in resampler.resample(frame)]
        parts += [f.to_ndarray()[0] for f in resampler.resample(None)]
    assert begin is not None
    return begin, np.concatenate(parts)


COPIED = [
    ("mp4", "aac", "mp4"),
    ("mp4", "aac", "mov"),
    ("mp4", "aac", "mkv"),
    ("mkv", "aac", "mp4"),
    ("mov", "pcm_s16le", "mov"),
    ("mkv", "libopus", "webm"),
    ("mkv", "libopus", "mp4"),
    ("mkv", "flac", "mkv"),
    ("mkv", "flac", "mp4"),
    ("mp4", "libmp3lame", "mp4"),
    ("mp4", "libmp3lame", "mkv"),
    ("mkv", "ac3", "mp4"),
    ("mov", "pcm_s16le", "mkv"),
    ("mkv", "pcm_s16le", "mp4"),
]


@pytest.mark.parametrize(("into", "codec", "out"), COPIED, ids=["-".join(c) for c in COPIED])
def test_sound_is_copied_byte_for_byte(into: str, codec: str, out: str, tmp_path: Path) -> None:
    rate = 48000 if codec == "libopus" else 44100
    source = make_video(
        tmp_path / f"in.{into}", times=range(20), sounds=[Sound(codec=codec, rate=rate)]
    )
    stats = to_file(source, tmp_path / f"out.{out}")
    given, got = packets_of(source, "audio"), packets_of(tmp_path / f"out.{out}", "audio")
    assert [p for _, p in got] == [p for _, p in given]
    assert len(given) > 5 or codec == "pcm_s16le"
    worst = max(map(abs, shifts(source, tmp_path / f"out.{out}")))
    assert worst <= (1e-4 if into in ("mp4", "mov") and out in ("mp4", "mov") else 0.0011)
    assert not any("sound" in n for n in stats.notes)
    begin, samples = pcm(source)
    begin_after, after = pcm(tmp_path / f"out.{out}")
    assert begin_after == pytest.approx(begin, abs=0.0011)
    assert abs(len(after) - len(samples)) <= 2048


@pytest.mark.parametrize("out", ["mp4", "mkv"])
def test_several_tracks_keep_their_languages(out: str, tmp_path: Path) -> None:
    tracks = [
        Sound(language="eng"),
        Sound(language="deu", hertz=880),
        Sound(codec="ac3", language="swe", hertz=220),
    ]
    source = make_video(tmp_path / "in.mp4", times=range(20), sounds=tracks)
    to_file(source, tmp_path / f"out.{out}")
    for index, track in enumerate(tracks):
        given = packets_of(source, "audio", index)
        got = packets_of(tmp_path / f"out.{out}", "audio", index)
        assert [p for _, p in got] == [p for _, p in given], track
    streams = ffprobe(tmp_path / f"out.{out}")["streams"]
    sounds = [s for s in streams if s["codec_type"] == "audio"]
    assert [s["tags"]["language"] for s in sounds] == ["eng", "deu", "swe"]
    before = [s for s in ffprobe(source)["streams"] if s["codec_type"] == "audio"]
    assert [s["disposition"]["default"] for s in sounds] == [
        s["disposition"]["default"] for s in before
    ]


@pytest.mark.parametrize("offset", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("out", ["mp4", "mkv"])
def test_sound_that_begins_later_or_earlier(offset: float, out: str, tmp_path: Path) -> None:
    """The distance between sound and picture stays, also where the file begins late."""
    source = make_video(
        tmp_path / "in.mp4", times=range(25, 45), sounds=[Sound(start=offset, seconds=1)]
    )
    to_file(source, tmp_path / f"out.{out}")
    worst = max(map(abs, shifts(source, tmp_path / f"out.{out}")))
    assert worst <= (1e-4 if out == "mp4" else 0.0011)


@pytest.mark.parametrize(
    ("into", "codec", "out", "encoded"),
    [
        ("mp4", "aac", "webm", "opus"),
        ("mkv", "flac", "mov", "aac"),
        ("mp4", "libmp3lame", "webm", "opus"),
    ],
)
def test_sound_is_encoded_where_it_cannot_be_copied(
    into: str, codec: str, out: str, encoded: str, tmp_path: Path
) -> None:
    source = make_video(
        tmp_path / f"in.{into}",
        times=range(25),
        sounds=[Sound(codec=codec, seconds=1, language="eng")],
    )
    stats = to_file(source, tmp_path / f"out.{out}")
    (stream,) = [
        s for s in ffprobe(tmp_path / f"out.{out}")["streams"] if s["codec_type"] == "audio"
    ]
    assert stream["codec_name"] == encoded
    assert stream["tags"]["language"] == "eng"
    assert any("sound re-encoded from" in n for n in stats.notes)
    begin, samples = pcm(source)
    begin_after, after = pcm(tmp_path / f"out.{out}")
    end, end_after = begin + len(samples) / 48000, begin_after + len(after) / 48000
    assert end_after == pytest.approx(end, abs=0.024)
    # The tone must lie where it lay: compare the phase of 440 Hz in the middle.
    at = round((0.5 - begin) * 48000), round((0.5 - begin_after) * 48000)
    wave = np.exp(-2j * np.pi * 440 * np.arange(4800) / 48000)
    one, two = (np.dot(x[i : i + 4800], wave) for x, i in ((samples, at[0]), (after, at[1])))
    assert abs(two) == pytest.approx(abs(one), rel=0.1)
    assert abs(np.angle(two / one)) / (2 * np.pi * 440) <= 0.0008


@pytest.mark.parametrize("out", ["mp4", "mkv", "webm"])
def test_start_and_end_cut_sound_and_picture_alike(out: str, tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "in.mp4",
        times=range(100),
        options={"g": "12", "bf": "2"},
        sounds=[Sound(seconds=4)],
    )
    path = tmp_path / f"out.{out}"
    to_file(source, path, start=1.0, end=3.0)
    picture = times_of(path)
    assert (len(picture), picture[0]) == (50, 0)
    begin, samples = pcm(path)
    packet = 1024 / 44100
    assert 0 <= begin <= packet + 0.001
    assert begin + len(samples) / 48000 == pytest.approx(2.0, abs=packet + 0.025)
    # Phase against the source one second later.
    begin_before, before = pcm(source)
    wave = np.exp(-2j * np.pi * 440 * np.arange(4800) / 48000)
    i, j = round((1.5 - begin_before) * 48000), round((0.5 - begin) * 48000)
    turn = np.angle(np.dot(samples[j : j + 4800], wave) / np.dot(before[i : i + 4800], wave))
    assert abs(turn) / (2 * np.pi * 440) <= 0.0008


@pytest.mark.parametrize(
    ("sound", "out", "rate", "channels"),
    [
        (Sound(codec="ac3", rate=48000, layout="5.1(side)"), "webm", 48000, 6),
        (Sound(codec="flac", rate=192000, layout="stereo"), "mov", 96000, 2),
        (Sound(codec="flac", rate=22050), "webm", 48000, 1),
    ],
    ids=["layout", "too-high", "too-low"],
)
def test_sound_of_a_kind_that_the_encoder_lacks(
    sound: Sound, out: str, rate: int, channels: int, tmp_path: Path
) -> None:
    source = make_video(tmp_path / "in.mkv", times=range(20), sounds=[sound])
    to_file(source, tmp_path / f"out.{out}")
    (stream,) = [
        s for s in ffprobe(tmp_path / f"out.{out}")["streams"] if s["codec_type"] == "audio"
    ]
    assert (int(stream["sample_rate"]), stream["channels"]) == (rate, channels)


def test_chapters_and_metadata(tmp_path: Path) -> None:
    chapters = [(0.0, 0.4, "One"), (0.4, 1.0, "Two"), (1.0, 1.6, "Three")]
    source = make_video(
        tmp_path / "in.mp4",
        times=range(40),
        chapters=chapters,
        metadata={"title": "A title", "artist": "Somebody", "comment": "Said"},
        sounds=[Sound()],
    )
    for out in ("a.mp4", "a.mkv", "a.mov"):
        to_file(source, tmp_path / out)
        found = ffprobe(tmp_path / out)
        got = [
            (float(c["start_time"]), float(c["end_time"]), c["tags"]["title"])
            for c in found["chapters"]
        ]
        for (begin, end, title), wanted in zip(got, chapters, strict=True):
            assert (begin, end) == pytest.approx(wanted[:2], abs=0.001)
            assert title == wanted[2]
        tags = {k.lower(): v for k, v in found["format"]["tags"].items()}
        assert (tags["title"], tags["artist"]) == ("A title", "Somebody"), out
        assert tags["comment"] == "Said"
    to_file(source, tmp_path / "cut.mkv", start=0.5, end=1.2)
    got = [
        (float(c["start_time"]), float(c["end_time"]), c["tags"]["title"])
        for c in ffprobe(tmp_path / "cut.mkv")["chapters"]
    ]
    assert got == [(0.0, 0.5, "Two"), (0.5, 0.7, "Three")]


WORDS = [(0.1, 0.3, "Hello"), (0.4, 0.7, "World"), (0.9, 1.2, "End")]


@pytest.mark.parametrize(("into", "out"), [("mkv", "mkv"), ("mp4", "mp4"), ("mp4", "mov")])
def test_subtitles_are_copied(into: str, out: str, tmp_path: Path) -> None:
    source = make_video(tmp_path / f"in.{into}", times=range(40), subtitles=WORDS)
    to_file(source, tmp_path / f"out.{out}")
    given, got = (
        [
            (float(p["pts_time"]), float(p["duration_time"]), p["size"])
            for p in ffprobe(path, "-show_packets", "-select_streams", "s")["packets"]
            if p["size"] != "2"  # QuickTime text has empty packets for pauses.
        ]
        for path in (source, tmp_path / f"out.{out}")
    )
    assert len(got) == 3
    for one, two in zip(got, given, strict=True):
        assert one[:2] == pytest.approx(two[:2], abs=0.001)
        assert one[2] == two[2]
    words = [p for _, p in packets_of(tmp_path / f"out.{out}", "subtitle")]
    assert [p for p in words if p != b"\0\0"] == [
        p for _, p in packets_of(source, "subtitle") if p != b"\0\0"
    ]
    assert words.count(b"\0\0") <= 4
    if into == "mkv":
        _, stream = ffprobe(tmp_path / "out.mkv")["streams"]
        assert stream["tags"]["language"] == "swe"


def test_subtitles_are_cut_too(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mkv", times=range(40), subtitles=WORDS)
    to_file(source, tmp_path / "out.mkv", start=0.4, end=0.8)
    got = packets_of(tmp_path / "out.mkv", "subtitle")
    assert [(t, p) for t, p in got] == [(Fraction(0), b"World")]


@pytest.mark.parametrize(("into", "out"), [("mkv", "mp4"), ("mp4", "mkv"), ("mkv", "webm")])
def test_subtitles_that_do_not_fit_are_noted(into: str, out: str, tmp_path: Path) -> None:
    source = make_video(tmp_path / f"in.{into}", times=range(10), subtitles=WORDS)
    stats = to_file(source, tmp_path / f"out.{out}")
    assert any("subtitle" in n and "left out" in n for n in stats.notes), stats.notes


def test_without_sound(tmp_path: Path) -> None:
    from test_fidelity import run

    from vmatte.sinks import open_sink

    source = make_video(tmp_path / "in.mp4", sounds=[Sound()])
    run(source, [(open_sink(str(tmp_path / "out.mp4"), sound=False), "green")])
    assert [s["codec_type"] for s in ffprobe(tmp_path / "out.mp4")["streams"]] == ["video"]


def test_the_sound_of_a_long_silence_before_the_picture(tmp_path: Path) -> None:
    """A picture that ends before its sound: all of the sound stays."""
    source = make_video(tmp_path / "in.mp4", times=range(10), sounds=[Sound(seconds=3)])
    to_file(source, tmp_path / "out.mp4")
    assert len(packets_of(tmp_path / "out.mp4", "audio")) == len(packets_of(source, "audio"))


def test_damaged_sound_is_left_out_and_noted(tmp_path: Path) -> None:
    clean = make_video(tmp_path / "a.mkv", times=range(25), sounds=[Sound(codec="ac3", seconds=1)])
    with av.open(str(clean)) as source, av.open(str(tmp_path / "in.mkv"), "w") as output:
        copies = [output.add_stream_from_template(s) for s in source.streams]
        for count, packet in enumerate(p for p in source.demux() if p.size):
            copied = packet
            if packet.stream_index == 1 and count % 8 == 7:
                copied = av.Packet(b"\0" * packet.size)
                copied.pts, copied.dts = packet.pts, packet.dts
                copied.time_base = packet.time_base
            copied.stream = copies[packet.stream_index]
            output.mux(copied)
    stats = to_file(tmp_path / "in.mkv", tmp_path / "out.webm")
    assert stats.frames == 25
    assert any("damaged packets of sound left out" in n for n in stats.notes), stats.notes
    begin, samples = pcm(tmp_path / "out.webm")
    assert begin + len(samples) / 48000 == pytest.approx(1.0, abs=0.06)
