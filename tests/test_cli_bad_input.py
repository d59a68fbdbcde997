"""What cannot be done is told in one line, with exit code 1 (2 for usage), and leaves nothing."""

import contextlib
import os
import resource
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
from media import Sound, make_image, make_video, truncate
from user import TINY, Call, User, call, user

__all__ = ["call", "user"]


def text(d: Path) -> str:
    (d / "in.mp4").write_text("this is no film\n" * 50)
    return "in.mp4"


def empty(d: Path) -> str:
    (d / "in.mp4").touch()
    return "in.mp4"


def folder(d: Path) -> str:
    (d / "in.mp4").mkdir()
    return "in.mp4"


def cut_short(d: Path) -> str:
    make_video(d / "in.mp4", file_options={"movflags": "faststart"})
    return truncate(d / "in.mp4", 0.6).name


def no_index(d: Path) -> str:
    return truncate(make_video(d / "in.mp4"), 0.5).name


def no_frames(d: Path) -> str:
    return make_video(d / "in.mkv", times=[]).name


def sound_only(d: Path) -> str:
    video = make_video(d / "v.mp4", sounds=[Sound()])
    with av.open(str(video)) as source, av.open(str(d / "in.m4a"), "w", format="mp4") as output:
        stream = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return "in.m4a"


def one_pixel(d: Path) -> str:
    return make_video(d / "in.mkv", codec="ffv1", format="gray", size=(1, 1), tags=None).name


def absurd(d: Path) -> str:
    """A PNG that says it is 60000 x 60000."""
    data = bytearray(make_image(d / "in.png").read_bytes())
    data[16:24] = struct.pack(">II", 60000, 60000)
    (d / "in.png").write_bytes(data)
    return "in.png"


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda d: "none.mp4", "InputNotFoundError"),
        (lambda d: "", "InputError"),
        (folder, "InputError"),
        (text, ("DamagedMediaError", "UnsupportedMediaError")),
        (empty, "DamagedMediaError"),
        (cut_short, "DamagedMediaError"),
        (no_index, "DamagedMediaError"),
        (no_frames, ("UnsupportedMediaError", "DamagedMediaError", "InputError")),
        (sound_only, "UnsupportedMediaError"),
        (one_pixel, "UnsupportedMediaError"),
        (absurd, ("UnsupportedMediaError", "DamagedMediaError", "InputError")),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_bad_inputs(
    make: Callable[[Path], str], kind: str | tuple[str, ...], call: Call, user: User
) -> None:
    name = make(user.here)
    before = user.left()
    for words in (("-o", "out.mp4"), ("-o", "p/%d.png", "-o", "alpha=a.mkv")):
        code, out, err = call("run", name, *words, *TINY)
        told(code, out, err, kind)
        assert name in err
        assert user.left() == before
    code, out, err = call("probe", name, "--count")
    told(code, out, err, kind)


def told(code: int, out: str, err: str, kind: str | tuple[str, ...]) -> None:
    assert (code, out) == (1, ""), err
    assert len(err.splitlines()) == 1, err
    kind = (kind,) if isinstance(kind, str) else kind
    assert err.partition(":")[0] in kind, err


A, B = ("run", "clip.mp4"), ("-o", "out.mp4")


@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        ((*A, *B, "--model", "rmv"), "UnknownModelError", "rvm"),
        ((*A, *B, "--model", "tiny", "--provider", "warp"), "EngineError", "warp"),
        ((*A, *B, "--model", "tiny", "--require-provider"), "EngineError", "accelerator"),
        ((*A, *B, *TINY, "--downsample-ratio", "0.5"), "OptionError", "recurrent models"),
        ((*A, *B, *TINY, "--downsample-ratio", "2"), "OptionError", "ratio"),
        ((*A, *B, *TINY, "--threads", "5000"), "OptionError", "threads"),
        ((*A, *B, *TINY, "--background", "none.png"), "InputError", "none.png"),
        ((*A, *B, *TINY, "--background", "#12345"), "InputError", "#12345"),
        ((*A, *B, *TINY, "--background", "notes.txt"), "*", "notes.txt"),
        ((*A, *B, *TINY, "--background", "blur:x"), "OptionError", "'x'"),
        ((*A, *B, *TINY, "--background", "blur:0"), "OptionError", "blur radius"),
        ((*A, *B, *TINY, "--background", "transparent"), "UnsupportedOutputError", ".webm"),
        ((*A, "-o", "out.jpg", *TINY, "--background", "transparent"), "*", ".png"),
        ((*A, "-o", "no/such/out.mp4", *TINY), "WriteError", "no/such"),
        ((*A, "-o", "clip.mp4/out.mp4", *TINY), "WriteError", "clip.mp4"),
        ((*A, "-o", ".", *TINY), "*", "."),
        ((*A, "-o", "folder.mp4", *TINY), "WriteError", "directory"),
        ((*A, "-o", "clip.mp4", "--overwrite", *TINY), "OptionError", "input"),
        ((*A, "-o", "alpha=./clip.mp4", "--overwrite", *TINY), "OptionError", "input"),
        ((*A, "-o", "link.mp4", "--overwrite", *TINY), "OptionError", "input"),
        ((*A, "-o", "hard.mp4", "--overwrite", *TINY), "OptionError", "input"),
        ((*A, *B, "-o", "alpha=./out.mp4", *TINY), "OptionError", "twice"),
        ((*A, "-o", "-", "-o", "alpha=-", *TINY), "OptionError", "twice"),
        (("run", "images", "-o", "images/%d.png", "--overwrite", *TINY), "OptionError", "images"),
        (("run", "images/%d.png", "-o", "images/o%d.png", *TINY), "OptionError", "images"),
        ((*A, *B, "--background", "back.png", "-o", "back.png", *TINY), "OptionError", "back.png"),
        ((*A, "-o", "alpha=", *TINY), "OptionError", "alpha="),
        ((*A, "-o", "out.avi", *TINY), "UnsupportedOutputError", ".avi"),
        ((*A, "-o", "out", *TINY), "UnsupportedOutputError", "suffix"),
        ((*A, "-o", "out.webm", "--codec", "h264", *TINY), "UnsupportedOutputError", "webm"),
        ((*A, *B, "--pix-fmt", "yuv9", *TINY), "UnsupportedOutputError", "yuv9"),
        ((*A, *B, "--crf", "99", *TINY), "*", "crf"),
        ((*A, *B, "--crf", "9", "--bitrate", "1M", *TINY), "OptionError", "bitrate"),
        ((*A, *B, "--encoder-preset", "warp", *TINY), "*", "out.mp4"),
        ((*A, *B, "--start", "5", "--end", "4", *TINY), "OptionError", "end"),
        ((*A, *B, "--start", "500", *TINY), "*", "500"),
        ((*A, "-o", "one.png", *TINY), "WriteError", "%06d"),
        ((*A, *B, "--threshold", "1.5", *TINY), "OptionError", "threshold"),
        ((*A, *B, "--feather", "-1", *TINY), "OptionError", "feather"),
        ((*A, *B, "--grow", "nan", *TINY), "OptionError", "grow"),
        (("run", "a" * 300, *B, *TINY), "InputError", "aaa: cannot be read"),
        ((*A, "-o", "b" * 300 + ".mp4", *TINY), "WriteError", "bbb.mp4: cannot be written"),
        ((*A, *B, "--background", "c" * 300, *TINY), "InputError", "ccc: cannot be read"),
        ((*A, *B, "--feather", "nan", *TINY), "OptionError", "feather"),
        ((*A, *B, "--levels", "0.9,0.1", *TINY), "OptionError", "levels"),
    ],
    ids=lambda v: "_".join(v[-2:]) if isinstance(v, tuple) else "",
)
def test_bad_options(words: tuple[str, ...], kind: str, says: str, call: Call, user: User) -> None:
    here = user.here
    (here / "notes.txt").write_text("not a picture\n")
    (here / "folder.mp4").mkdir()
    (here / "images").mkdir()
    make_image(here / "images/1.png")
    make_image(here / "back.png")
    (here / "link.mp4").symlink_to("clip.mp4")
    os.link(user.clip, here / "hard.mp4")
    before = {n: (here / n).read_bytes() for n in user.left() if (here / n).is_file()}
    names = user.left()
    code, out, err = call(*words)
    told(code, out, err, err.partition(":")[0] if kind == "*" else kind)
    assert err.partition(":")[0].endswith("Error") and says in err
    assert user.left() == names
    assert {n: (here / n).read_bytes() for n in before} == before


def test_usage(call: Call, user: User) -> None:
    for words in (
        ("--codec", "mpeg9"),
        ("--fit", "squeeze"),
        ("--precision", "fp8"),
        ("--start", "nan"),
        ("--end", "inf"),
        ("--bitrate", "inf"),
    ):
        code, out, err = call(*A, *B, *TINY, *words)
        assert (code, out) == (2, "") and words[1] in err
    assert user.made() == set()


def test_a_folder_that_may_not_be_written(call: Call, user: User) -> None:
    shut = user.here / "shut"
    shut.mkdir()
    shut.chmod(0o500)
    # Root may write everywhere but into the kernel's own files.
    folder = "/proc" if os.access(shut, os.W_OK) else "shut"
    told(*call(*A, "-o", f"{folder}/out.mp4", *TINY), "WriteError")
    told(*call(*A, "-o", f"{folder}/%d.png", *TINY), "WriteError")


@contextlib.contextmanager
def full_disk(path: Path) -> Iterator[bool]:
    """Make ``path`` a disk of one megabyte; yield False where that is not allowed."""
    path.mkdir()
    options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    mounted = False
    with contextlib.suppress(FileNotFoundError):
        mounted = subprocess.run(["mount", *options], capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("name", ["out.mkv", "%04d.png"])
def test_a_full_disk(name: str, user: User) -> None:
    """Where no disk can be made, a limit on the size of files stands in for it."""
    # Noise does not compress.
    noise = Path(user.here / "noise.mkv")
    with av.open(str(noise), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "gray"
        for n in range(40):
            frame = av.VideoFrame(320, 240, "gray")
            frame.planes[0].update(os.urandom(frame.planes[0].buffer_size))
            frame.pts = n
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    disk = user.home / "disk"
    with full_disk(disk) as mounted:
        if not mounted and "%" in name:
            return  # many small files need a real disk to fill
        limit = (
            None if mounted else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2)
        )
        words = ("run", "noise.mkv", "-o", f"{disk}/{name}", "-o", "second.mp4", "--codec", "ffv1")
        words = tuple(w for w in words if name == "out.mkv" or w not in ("--codec", "ffv1"))
        words = tuple(w.replace("second.mp4", "second.mkv") for w in words)
        code, out, err = user.run(*words, "--background", "noise.mkv", *TINY, preexec_fn=limit)
        assert list(disk.iterdir()) == []
    told(code, out.decode(), err, "WriteError")
    assert str(disk) in err and ("full" in err or "large" in err)
    assert user.made() == {"noise.mkv"}


def test_secrets_are_not_told(call: Call) -> None:
    code, _, err = call("probe", "http://user:secret@127.0.0.1:9/clip.mp4")
    assert code == 1 and "secret" not in err and "***@" in err
