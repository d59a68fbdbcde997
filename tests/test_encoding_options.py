"""What --codec, --crf, --encoder-preset, --pix-fmt and --bitrate do, and say when they cannot."""

from pathlib import Path

import pytest
from media import times_of
from test_encoding import SHORT, encoded
from writing import info_of, write

from vmatte.errors import OptionError, OutputError, UnsupportedOutputError, WriteError
from vmatte.sinks import Encoding, open_sink


def test_quality_and_bitrate_reach_the_encoder(tmp_path: Path) -> None:
    large = info_of("yuv420p", (320, 240))
    for codec in ("h264", "hevc", "av1", "vp9"):
        name = "{}.webm" if codec == "vp9" else "{}.mp4"
        sizes = [
            encoded(tmp_path, name.format(f"{codec}{crf}"), large, codec, crf=crf).stat().st_size
            for crf in (8, 50)
        ]
        assert sizes[0] > sizes[1] * 1.15, (codec, sizes)
    low, high = (
        encoded(tmp_path, f"{rate}.mp4", info_of("yuv420p", (320, 240)), "h264", bitrate=rate)
        for rate in (20_000, 4_000_000)
    )
    assert high.stat().st_size > low.stat().st_size * 1.5


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.mp4", {"codec": "ffv1"}, r"\.mp4 cannot hold ffv1; use \.mkv"),
        ("a.webm", {"codec": "h264"}, r"\.webm cannot hold h264; use \.mp4"),
        ("a.mp4", {"pix_fmt": "nonsense"}, "cannot encode nonsense; expected one of yuv420p"),
        ("a.mp4", {"preset": "nonsense"}, "preset 'nonsense'; expected one of ultrafast, "),
        ("a.mp4", {"codec": "av1", "preset": "nonsense"}, "preset 'nonsense'"),
        ("a.mp4", {"codec": "hevc", "preset": "nonsense"}, "preset 'nonsense'"),
        ("a.webm", {"preset": "nonsense"}, "preset 'nonsense'"),
        ("a.mp4", {"crf": 60}, "h264 takes 0 to 51; give another --crf"),
        ("a.webm", {"crf": 64}, "vp9 takes 0 to 63"),
    ],
)
def test_options_that_cannot_be(
    name: str, options: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises((UnsupportedOutputError, OptionError), match=words) as caught:
        open_sink(str(tmp_path / name), Encoding(**options)).open(info_of("yuv420p"))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_options_that_a_codec_lacks_are_noted(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "a.mkv"), Encoding(codec="ffv1", crf=3, preset="fast"))
    write(sink, info_of("yuv420p"), SHORT)
    assert sink.notes == ["ffv1 has no preset: ignored", "ffv1 has no crf: ignored"]


def test_a_pixel_format_that_would_lose_what_was_asked_for(tmp_path: Path) -> None:
    for name, info, says in (
        ("a.webm", info_of("yuva420p"), "no transparency"),
        ("a.mp4", info_of("yuv444p", (97, 63)), "even sides"),
    ):
        sink = open_sink(str(tmp_path / name), Encoding(pix_fmt="yuv420p"))
        with pytest.raises(UnsupportedOutputError, match=says):
            sink.open(info)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("codec", ["h264_nvenc", "hevc_nvenc", "av1_nvenc"])
def test_hardware_encodes_or_is_missed_by_name(codec: str, tmp_path: Path) -> None:
    """Where the card is, a file; elsewhere an error, and never another encoder's file."""
    info, path = info_of("yuv420p", (320, 240)), tmp_path / "a.mp4"
    sink = open_sink(str(path), Encoding(codec=codec))
    try:
        write(sink, info, SHORT)
    except WriteError as e:
        sink.abort()
        assert f"{codec} could not be opened: it needs an NVIDIA card and its driver" in str(e)
        assert list(tmp_path.iterdir()) == []
    else:
        assert len(times_of(path)) == len(SHORT)


@pytest.mark.parametrize(
    "options", [{"codec": "nope"}, {"crf": -1}, {"crf": 101}, {"crf": 20, "bitrate": 5000}]
)
def test_impossible_encodings(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Encoding(**options)  # type: ignore[arg-type]


def test_nothing_on_standard_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Encoders' own chatter would break --json."""
    for codec, name in (("h264", "a.mp4"), ("hevc", "b.mp4"), ("av1", "c.mp4"), ("vp9", "d.webm")):
        assert times_of(encoded(tmp_path, name, info_of("yuv420p"), codec))
    assert capfd.readouterr() == ("", "")
    assert issubclass(UnsupportedOutputError, OutputError)
