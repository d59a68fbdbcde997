"""vmatte batch on a cluster that is there already, between places that are no disk of anybody's."""

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clusters import Bucket, free_port, need, ray_head, s3_store, web_server, workers_below
from media import Sound, make_video, packets_of, times_of
from user import TINY, User, user

from vmatte.cluster.engine import room

__all__ = ["user"]

PATIENCE = 240
QUICK = (*TINY, "--encoder-preset", "ultrafast")


@dataclass
class Cluster:
    """A cluster, and a user who may join it. pid: of its head."""

    address: str
    pid: int
    user: User

    def ended(self) -> bool:
        """Tell whether no worker is left; one may take a moment to end."""
        end = time.monotonic() + 20
        while (left := workers_below(self.pid)) and time.monotonic() < end:
            time.sleep(0.1)
        return not left

    def words(self, *words: str) -> list[str]:
        ray = ("--address", self.address, "--workers", "2", "--cpus", "1")
        return ["batch", *words, *ray, *QUICK, "--json"]

    def batch(self, *words: str) -> tuple[int, list[dict[str, Any]]]:
        """Run a batch to its end; return its exit code and what it said of the files."""
        with self.user.start(*self.words(*words)) as process:
            _, err = process.communicate(timeout=PATIENCE)
        assert b"Traceback" not in err, err.decode()
        return process.returncode, events(err)


def events(err: bytes) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in err.decode().splitlines() if line[:1] == "{"]
    return [e for e in found if e["event"] == "file"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    need("ray", "moto", "s3fs", "flask")
    user = User(tmp_path_factory.mktemp("user"))
    with s3_store() as keys:
        user.environment |= keys
        with ray_head(user.environment) as (address, pid, join):
            user.environment |= join
            yield Cluster(address, pid, user)


def test_between_s3_killed_and_restarted(cluster: Cluster) -> None:
    here, store = cluster.user.here, Bucket(cluster.user.environment, "shop")
    local = here / "local"
    local.mkdir()
    frames = {"deep/long.mp4": 75, **{f"clip{i}.mp4": 6 + i for i in range(4)}}
    for name, count in frames.items():
        sounds = [Sound(seconds=count / 25)]
        clip = make_video(here / Path(name).name, times=range(count), sounds=sounds,
                          options={"g": "25"})  # fmt: skip
        store.put(f"in/{name}", clip.read_bytes())
    for name in ("clip1.mp4", "long.mp4"):
        code, _, err = cluster.user.run("run", name, "-o", f"local/{name}", *QUICK)
        assert code == 0, err

    words = ("s3://shop/in", "-o", "s3://shop/out", "--split", "1")
    with cluster.user.start(*cluster.words(*words)) as process:
        assert process.stderr is not None
        seen = [json.loads(process.stderr.readline()) for _ in range(2)]
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
    assert all(e["state"] == "done" for e in seen), seen
    assert cluster.ended()
    before = store.made("out/")
    whole = {k for k in before if not k.startswith("out/.vmatte/")}
    assert {e["outputs"][0].removeprefix("s3://shop/") for e in seen} <= whole
    time.sleep(1.1)  # S3 tells whole seconds

    code, told = cluster.batch(*words)
    assert code == 0 and len(told) == 5, told
    skipped = {e["outputs"][0].removeprefix("s3://shop/") for e in told if e["state"] == "skipped"}
    assert skipped == whole and {e["state"] for e in told} <= {"done", "skipped"}
    after = store.made("out/")
    assert {k for k in after if not k.startswith("out/.vmatte/")} == {f"out/{n}" for n in frames}
    assert all(after[k] == before[k] for k in whole), "something was made twice"
    assert not [k for k in after if "/parts/" in k or "/work/" in k]
    for name, count in frames.items():
        path = here / "back.mp4"
        path.write_bytes(store.get(f"out/{name}"))
        assert len(times_of(path)) == count, name
    assert store.get("out/clip1.mp4") == (local / "clip1.mp4").read_bytes()
    path.write_bytes(store.get("out/deep/long.mp4"))
    assert times_of(path) == times_of(local / "long.mp4")
    assert packets_of(path, "audio") == packets_of(local / "long.mp4", "audio")
    (long,) = [e for e in told if e["input"].endswith("long.mp4")]
    assert long["state"] == "skipped" or long["parts"] == 3
    assert cluster.ended()


def test_from_a_web_server_to_a_folder(cluster: Cluster) -> None:
    here = cluster.user.here
    web = here / "web"
    (web / "deep").mkdir(parents=True)
    for i, name in enumerate(("a.mp4", "b.mp4", "deep/c.mp4")):
        make_video(web / name, times=range(5 + i))
    code, _, err = cluster.user.run("run", "web/deep/c.mp4", "-o", "c.mp4", *QUICK)
    assert code == 0, err
    with web_server(web) as url:
        # A relative name: the workers' own folder is another.
        code, told = cluster.batch(f"{url}/", "-o", "fetched")
        assert code == 0 and [e["state"] for e in told] == ["done"] * 3, told
        assert (here / "fetched/deep/c.mp4").read_bytes() == (here / "c.mp4").read_bytes()
        changed = make_video(web / "b.mp4", times=range(9))
        os.utime(changed, (2e9, 2e9))
        code, told = cluster.batch(f"{url}/", "-o", "fetched")
        states = {Path(e["input"]).name: e["state"] for e in told}
        assert states == {"a.mp4": "skipped", "b.mp4": "done", "c.mp4": "skipped"}
        assert len(times_of(here / "fetched/b.mp4")) == 9
        code, told = cluster.batch(f"{url}/a.mp4", "-o", f"{url}/out")
        assert code == 1 and "WriteError" in told[0]["error"], told


def test_watching_a_folder(cluster: Cluster) -> None:
    here = cluster.user.here
    inbox, done = here / "inbox", here / "watched"
    inbox.mkdir()
    make_video(inbox / "first.mp4")
    ready = make_video(here / "second.mp4", times=range(12)).read_bytes()
    log = here / "watch.log"
    with (
        log.open("wb") as out,
        cluster.user.start(
            *cluster.words("inbox", "-o", "watched", "--watch"), stderr=out
        ) as process,
    ):

        def wait_until(what: str) -> None:
            end = time.monotonic() + PATIENCE
            while not (done / what).exists():
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.05)

        wait_until("first.mp4")
        # A slow copy; what is there of it could not be read.
        with (inbox / "second.mp4").open("wb") as file:
            for i in range(0, len(ready), len(ready) // 6 + 1):
                file.write(ready[i : i + len(ready) // 6 + 1])
                file.flush()
                time.sleep(0.4)
        wait_until("second.mp4")
        (inbox / "third.mp4.tmp").write_bytes(ready)
        time.sleep(2.5)
        (inbox / "third.mp4.tmp").rename(inbox / "third.mp4")
        wait_until("third.mp4")
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    text = log.read_bytes()
    assert b"Traceback" not in text and process.returncode == 0, text.decode()
    told = events(text)
    assert [(Path(e["input"]).name, e["state"], e["frames"]) for e in told] == [
        ("first.mp4", "done", 10),
        ("second.mp4", "done", 12),
        ("third.mp4", "done", 12),
    ]
    assert not list(done.rglob("work")) and not list(done.rglob("*.part*"))
    assert cluster.ended()


@pytest.mark.parametrize(
    ("cpus", "gpus", "workers"),
    [(2.0, 0.0, 4), (1.0, 0.25, 8), (1.0, 0.1, 8), (0.5, 0.2, 10), (16.0, 0.0, 1), (1.0, 2.0, 1)],
)
def test_as_many_workers_as_there_is_room_for(cpus: float, gpus: float, workers: int) -> None:
    assert room({"CPU": 8.0, "GPU": 2.0}, cpus, gpus) == workers


def test_a_cluster_that_is_not_there(user: User) -> None:
    need("ray")
    for address, words in (
        (f"127.0.0.1:{free_port()}", "nobody answers"),
        (f"ray://127.0.0.1:{free_port()}", "nobody answers"),
        ("head", "expected HOST:PORT"),
    ):
        code, _, err = user.run("batch", "clip.mp4", "-o", "out", "--address", address, *TINY)
        assert code == 1 and "EngineError" in err and words in err, err
    assert not (user.here / "out" / "clip.mp4").exists()
