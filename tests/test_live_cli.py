"""vmatte live as a user runs it: outputs, reports, signals."""

import json
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction
from importlib import util

import av
import cv2
import numpy as np
import pytest
from live_sources import until
from user import TINY, Call, User, call, user

from vmatte.cli.report import Stop

__all__ = ["call", "user"]

posix = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX signals")

SOURCE = "synthetic:160x96@30"


def _hears() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Running:
    """vmatte live in a process of its own, with its lines of JSON."""

    def __init__(self, user: User, *words: str) -> None:
        command = ("live", *words, "--json", *TINY)
        # Tests that run under nohup must not hand its deafness on.
        own = {"preexec_fn": _hears} if hasattr(signal, "SIGHUP") else {}
        self.process = user.start(*command, bufsize=0, **own)

    def until(self, **wanted: object) -> dict[str, object]:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            event: dict[str, object] = json.loads(line)
            if all(event[k] == v for k, v in wanted.items()):
                return event
        raise AssertionError(f"it ended before {wanted}")

    def stop(self, number: int = signal.SIGINT) -> tuple[int, float, dict[str, object]]:
        """Return exit code, seconds until the end, and the summary."""
        begin = time.monotonic()
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=20)
        seconds = time.monotonic() - begin
        assert b"Traceback" not in err, err.decode()
        return self.process.returncode, seconds, json.loads(err.splitlines()[-1])

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", 0)])
def test_a_signal_ends_it_with_a_whole_recording(user: User, number: int) -> None:
    run = Running(user, SOURCE, "-o", "rec.mp4", "-o", "null:", "-o", "alpha=matte.mkv")
    try:
        run.until(event="status", state="live")
        time.sleep(1)
        code, seconds, summary = run.stop(number)
    finally:
        run.kill()
    # A second, and what an interpreter on a busy machine needs to end.
    assert code == 130 and seconds < 10
    assert summary["event"] == "summary" and summary["interrupted"] is True
    assert user.made() == {"rec.mp4", "matte.mkv"}
    sent, slates = summary["sent"], summary["slates"]
    assert isinstance(sent, dict) and isinstance(slates, int)
    with av.open(str(user.here / "rec.mp4")) as file:
        stream = file.streams.video[0]
        assert stream.time_base == Fraction(1, 90000)
        times = [float(f.time) for f in file.decode(video=0)]  # type: ignore[arg-type]
    assert len(times) == sent["rec.mp4"] + slates
    assert np.all(np.diff(times) > 0) and 0.8 < times[-1] < 20
    assert {"frames", "model"} - set(summary) == {"frames", "model"}  # Live has its own words.
    assert summary["engine"]["model"] == "tiny"  # type: ignore[index]


@posix
def test_what_is_certain_holds_live(user: User) -> None:
    cv2.imwrite(str(user.here / "s.png"), np.full((96, 160), 128, np.uint8))
    boxes = ("--keep", "0,0,0.25,1", "--drop", "120,0,40,96", "--scribbles", "s.png")
    run = Running(user, SOURCE, "-o", "alpha=matte.mkv", *boxes, "--refine", "off")
    try:
        run.until(event="status", state="live")
        run.stop()
    finally:
        run.kill()
    with av.open(str(user.here / "matte.mkv")) as file:
        *_, last = file.decode(video=0)
    # Exact, but for what the video's encoder makes of it.
    alpha = last.to_ndarray(format="gray")
    assert alpha[:, :40].min() > 235 and alpha[:, 120:].max() < 20
    assert alpha[:, 50:110].std() > 5


@posix
def test_what_it_says(user: User) -> None:
    command = ("live", SOURCE, "-o", "null:", "--target-fps", "25", *TINY)
    with user.start(*command, bufsize=0) as process:
        assert process.stderr is not None
        text = ""
        for line in process.stderr:
            text += line.decode()
            if line.startswith(b"live "):
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    text += err.decode()
    assert f"source   {SOURCE}, 160x96 at 30 fps" in text
    assert "runs     tiny on onnxruntime, provider cpu, precision fp32, on 192x192" in text
    assert "note     tiny has a fixed picture size" in text
    assert re.search(r"^live +after", text, re.M)
    assert re.search(r"^sent +\d+ to null: in", text, re.M)
    assert re.search(r"^trouble +\d+ stalls, \d+ losses, \d+ reconnects, 0 errors", text, re.M)
    assert text.splitlines()[-1].startswith("interrupted")


@posix
def test_quiet_says_nothing(user: User) -> None:
    command = ("live", SOURCE, "-o", "rec.mp4", "--quiet", *TINY)
    with user.start(*command) as process:
        until(lambda: any(".part" in n for n in user.left()), 20)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, b"", b"")


@posix
def test_an_impatient_user_has_the_recording_all_the_same(user: User) -> None:
    # An encoder that has much left to do at the end.
    source, slow = "synthetic:640x360@30", ("--codec", "h264", "--encoder-preset", "slower")
    run = Running(user, source, "-o", "rec.mp4", *slow)
    try:
        run.until(event="status", state="live")
        run.until(event="status", state="live")
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        code, _, summary = run.stop()
    finally:
        run.kill()
    assert code == 130 and summary["event"] == "summary"
    assert user.made() == {"rec.mp4"}


def test_what_does_not_end_in_time_is_broken_off() -> None:
    class Hanging:
        stops = 0

        def stop(self) -> None:
            self.stops += 1

    hanging, stop = Hanging(), Stop(0.2)
    stop.attach(hanging)
    stop.now()
    stop.now()
    time.sleep(0.25)
    with pytest.raises(KeyboardInterrupt):
        stop.now()
    assert hanging.stops == 1


_LOADING = """
import sys, threading
import numpy as np, openvino as ov
from openvino import opset13 as op
x = op.parameter([1, 3, 512, 512], np.float32)
model = ov.Model([op.relu(x)], [x])
core, begun = ov.Core(), threading.Event()
def work():
    while True:
        begun.set()
        core.compile_model(model, "CPU")
threading.Thread(target=work, name="vmatte-infer", daemon=True).start()
begun.wait()
from vmatte.cli import main
sys.argv = ["vmatte", "presets", "list"]
main()
"""


def test_a_model_that_still_loads_at_the_end(user: User) -> None:
    """Its thread is in the runtime's C++ then; Python ending it there aborts the process."""
    if util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")
    command = [sys.executable, "-c", _LOADING]
    done = subprocess.run(command, env=user.environment, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


@posix
def test_a_signal_while_the_source_is_awaited(user: User) -> None:
    """A server that takes the connection and says nothing."""
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = f"rtsp://me:secret@127.0.0.1:{listening.getsockname()[1]}/x"
        listening.settimeout(30)
        with user.start("live", address, "-o", "null:", *TINY) as process:
            taken, _ = listening.accept()
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            try:
                _, err = process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            finally:
                taken.close()
    assert process.returncode in (1, 130)
    assert b"secret" not in err and b"Traceback" not in err


@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        (["nowhere.mp4", "-o", "null:"], "InputNotFoundError", "nowhere.mp4"),
        ([SOURCE, "-o", "null:", "--background", "mauve"], "InputError", "mauve"),
        ([SOURCE, "-o", "null:", "--slate", "no.png"], "InputNotFoundError", "slate"),
        ([SOURCE, "-o", "null:", "--target-fps", "0"], "OptionError", "target rate"),
        ([SOURCE, "-o", "null:", "--scale", "3"], "OptionError", "scale"),
        ([SOURCE, "-o", "null:", "--timeout", "0"], "OptionError", "time-out"),
        ([SOURCE, "-o", "no/folder/x.mp4"], "WriteError", "folder"),
        ([SOURCE, "-o", "pic.jpg"], "UnsupportedOutputError", "use pic.mp4"),
        ([SOURCE, "-o", "clip.mp4"], "OutputExistsError", "--overwrite"),
        (["clip.mp4", "-o", "clip.mp4", "--overwrite"], "OptionError", "is the input"),
        ([SOURCE, "-o", "x.mp4", "-o", "window:", "-o", "window:b"], "OptionError", "windows"),
        ([SOURCE, "-o", "null:", "--keep", "150,0,50,9"], "OptionError", "frame is 160x96"),
        ([SOURCE, "-o", "null:", "--plate", "no.png"], "InputNotFoundError", "no.png"),
        ([SOURCE, "-o", "null:", "--refine", "closed-form"], "OptionError", "for stills"),
        ([SOURCE, "-o", "null:", "--model", "none"], "UnknownModelError", "none"),
    ],
    ids=lambda v: "_".join(v) if isinstance(v, list) else "",
)
def test_what_cannot_be_done(
    call: Call, user: User, words: list[str], kind: str, says: str
) -> None:
    model = () if "--model" in words else TINY
    code, out, err = call("live", *words, *model)
    assert (code, out) == (1, "")
    assert err.startswith(f"{kind}:") and says in err
    assert len(err.splitlines()) == 1
    assert user.made() == set()


@pytest.mark.parametrize("words", [["preview", "no.mp4"], ["live", "no.mp4", "-o", "window:"]])
def test_the_input_is_looked_at_before_the_screen(
    call: Call, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    code, _, err = call(*words, *TINY)
    assert code == 1 and err.startswith("InputNotFoundError: no.mp4")
    words[1] = SOURCE
    code, _, err = call(*words, *TINY)
    assert code == 1 and err.startswith("OutputError:") and "DISPLAY" in err
