"""Ctrl-C and SIGTERM: the first leaves a whole file, the second nothing."""

import contextlib
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
from media import decode, make_video, y4m
from user import TINY, User, user

__all__ = ["user"]

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX signals")

SLOW = ("--codec", "h264", "--encoder-preset", "veryslow")


class Feed:
    """Frames on standard input for as long as vmatte takes them, or until held."""

    def __init__(self, process: "subprocess.Popen[bytes]", size: tuple[int, int]) -> None:
        self._process = process
        self._held = threading.Event()
        data = y4m(2, size)
        header, _, rest = data.partition(b"\n")
        self._header, self._frame = header + b"\n", rest[: len(rest) // 2]
        self._thread = threading.Thread(target=self._feed)
        self._thread.start()

    def _feed(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(self._header)
            while not self._held.is_set():
                self._process.stdin.write(self._frame)
                self._process.stdin.flush()

    def hold(self) -> None:
        """Send no more, but keep the pipe open."""
        self._held.set()
        self._thread.join(10)


class Run:
    """vmatte at work on standard input, its lines of JSON, and signals to it."""

    def __init__(self, user: User, *words: str, size: tuple[int, int] = (96, 64)) -> None:
        command = ("run", "-", "-o", "out.mp4", "--json", *TINY, *words)
        self.process = user.start(*command, stdin=subprocess.PIPE, bufsize=0)
        self.feed = Feed(self.process, size)

    def wait_for_frames(self, count: int) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            event = json.loads(line)
            if event["event"] == "progress" and event["frames"] >= count:
                return
        raise AssertionError("it ended before")

    def end(self, seconds: float = 20) -> tuple[int, list[str]]:
        assert self.process.stderr is not None
        try:
            code = self.process.wait(seconds)
        finally:
            self.process.kill()
            self.feed.hold()
        text = self.process.stderr.read().decode()
        assert "Traceback" not in text and "Fatal" not in text, text
        return code, text.splitlines()

    def close(self) -> None:
        self.process.kill()
        self.feed.hold()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self.process.wait(10)


@contextlib.contextmanager
def running(user: User, *words: str, size: tuple[int, int] = (96, 64)) -> Iterator[Run]:
    run = Run(user, *words, size=size)
    try:
        yield run
    finally:
        run.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_finishes_the_file(user: User, number: int) -> None:
    with running(user, "-o", "alpha=a.mkv") as run:
        run.wait_for_frames(20)
        run.process.send_signal(number)
        code, lines = run.end()
    assert code == 130
    # Frames of the encoder's lookahead are in the files too: nothing that was done is lost.
    summary = json.loads(lines[-1])
    assert summary["event"] == "summary" and summary["interrupted"] is True
    assert user.made() == {"out.mp4", "a.mkv"}
    for name in ("out.mp4", "a.mkv"):
        assert len(decode(user.here / name)) == summary["frames"] >= 20


def test_it_is_said_without_json(user: User) -> None:
    clip = make_video(user.here / "long.mp4", times=range(3000), options={"g": "300"})
    words = ("run", clip.name, "-o", "out.mp4", *TINY)
    with user.start(*words) as process:
        deadline = time.monotonic() + 20
        while not any(".part" in n for n in user.left()) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    if b"frames" in err:
        assert b"playable" in err.splitlines()[-1]
        assert user.made() - {"long.mp4"} == {"out.mp4"}


def test_a_read_that_hangs_does_not_hold_it(user: User) -> None:
    """Standard input stays open, and silent: the file is finished all the same."""
    with running(user) as run:
        run.wait_for_frames(20)
        run.feed.hold()
        time.sleep(0.3)
        begin = time.monotonic()
        run.process.send_signal(signal.SIGINT)
        code, lines = run.end()
        assert time.monotonic() - begin < 8
    assert code == 130
    assert user.made() == {"out.mp4"}
    assert len(decode(user.here / "out.mp4")) == json.loads(lines[-1])["frames"]


def test_the_second_stops_at_once_and_leaves_nothing(user: User) -> None:
    """Slow to encode: after the first, much is still to be written."""
    with running(user, *SLOW, "--refine=off", size=(1280, 720)) as run:
        run.wait_for_frames(2)
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        run.process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        code, lines = run.end()
        assert time.monotonic() - begin < 8
    assert code == 130
    assert user.made() == set()
    assert not any('"summary"' in line for line in lines)


@pytest.mark.parametrize("sent", [b"", b"YUV4MPEG2 W96 H64 F25:1\n"])
def test_while_the_input_is_awaited(user: User, sent: bytes) -> None:
    """Nothing is running yet that could be finished."""
    command = ("run", "-", "-o", "out.mp4", *TINY)
    with user.start(*command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(sent)
        process.stdin.flush()
        time.sleep(1.2)
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(8)
        finally:
            process.kill()
        assert process.stderr is not None
        err = process.stderr.read()
    assert code == 130 and err.strip() == b""
    assert user.made() == set()


def test_two_at_any_moment_leave_nothing_broken(user: User) -> None:
    """Wherever the interrupts fall: no leftover, no traceback, and a file only if it is whole."""
    for delay in (0.3, 0.6, 0.8, 1.0):
        with user.start("run", "clip.mp4", "-o", "out.mp4", "--overwrite", *TINY) as process:
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
        assert process.returncode in (0, 130, -signal.SIGINT), err
        # Before our first line runs, Python itself says that it was interrupted.
        assert b"Traceback" not in err or delay < 0.5, err.decode()
        made = user.made()
        assert made <= {"out.mp4"}
        if made:
            assert len(decode(user.here / "out.mp4")) > 0
            (user.here / "out.mp4").unlink()
