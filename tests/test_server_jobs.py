"""/api/jobs: to the end, cancelled, killed, refused."""

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from media import Sound, decode, ffprobe, make_video, packets_of
from serving import SMALL, Server, client_of, expect_no_litter, running, wait_for

from vmatte import JobOptions, matte


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_video(path, times=range(12), sounds=[Sound(seconds=0.4)])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("serve"), *SMALL) as server:
        yield server
        expect_no_litter(server.folder)


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Any]:
    with server.client() as client:
        yield client


def post(client: Any, path: Path, **fields: str) -> Any:
    with path.open("rb") as file:
        return client.post("/api/jobs", files={"file": (path.name, file)}, data=fields)


def pictures(path: Path) -> list[str]:
    return [hashlib.sha256(f.to_ndarray().tobytes()).hexdigest() for f in decode(path)]


def wait_for_frames(client: Any, id: str, count: int) -> None:
    """Wait until a job is in the middle of its work."""
    end = time.monotonic() + 60
    while (job := client.get(f"/api/jobs/{id}").json()).get("progress", {}).get(
        "frames", 0
    ) < count:
        assert job["state"] in ("queued", "running") and time.monotonic() < end, job
        time.sleep(0.02)


def test_a_job_makes_what_vmatte_run_makes(client: Any, clip: Path, tmp_path: Path) -> None:
    response = post(client, clip, outputs="mp4,alpha", background="blur")
    assert response.status_code == 202, response.text
    id = response.json()["id"]
    assert response.headers["location"] == f"/api/jobs/{id}"
    job = wait_for(client, id, "done")
    assert [r["kind"] for r in job["results"]] == ["mp4", "alpha"]
    assert job["stats"]["frames"] == 12 and job["name"] == "clip.mp4"
    expected = tmp_path / "expected.mp4"
    matte(str(clip), [str(expected)], JobOptions(background="blur"))
    response = client.get(job["results"][0]["url"])
    assert 'filename="clip-cutout.mp4"' in response.headers["content-disposition"]
    got = tmp_path / "got.mp4"
    got.write_bytes(response.content)
    assert len(response.content) == job["results"][0]["bytes"]
    assert pictures(got) == pictures(expected)
    assert packets_of(got, "audio") == packets_of(clip, "audio")
    again = post(client, clip, outputs="mp4,alpha", background="blur").json()
    assert again["state"] == "done" and again["id"] != id, "equal work is not done twice"
    assert client.get(again["results"][0]["url"]).content == response.content
    # One of the two may go without the other.
    assert client.delete(f"/api/jobs/{id}").status_code == 204
    assert client.get(f"/api/jobs/{id}").status_code == 404
    assert client.get(again["results"][0]["url"]).status_code == 200


def test_transparent_results(client: Any, clip: Path, tmp_path: Path) -> None:
    job = post(client, clip, background="transparent", outputs="webm,prores").json()
    job = wait_for(client, job["id"], "done")
    for result, codec in zip(job["results"], ("vp9", "prores"), strict=True):
        path = tmp_path / result["kind"]
        path.write_bytes(client.get(result["url"]).content)
        stream = ffprobe(path)["streams"][0]
        assert stream["codec_name"] == codec
        decoder = {"vp9": "libvpx-vp9"}.get(codec)
        assert decode(path, decoder)[0].format.name.startswith("yuva")


def test_prores_over_a_background(client: Any, clip: Path, tmp_path: Path) -> None:
    id = post(client, clip, background="#102030", outputs="mp4,prores").json()["id"]
    results = wait_for(client, id, "done")["results"]
    seen = {}
    for result in results:
        path = tmp_path / result["kind"]
        path.write_bytes(client.get(result["url"]).content)
        stream = ffprobe(path)["streams"][0]
        seen[result["kind"]] = (stream["codec_name"], stream["pix_fmt"][:7])
    assert seen == {"mp4": ("h264", "yuv420p"), "prores": ("prores", "yuv444p")}


def test_jobs_share_a_process_and_its_model(client: Any, clip: Path, server: Server) -> None:
    assert server.process is not None
    tasks = Path(f"/proc/{server.process.pid}/task")

    def workers() -> set[int]:
        found = [p for t in tasks.iterdir() for p in (t / "children").read_text().split()]
        return {int(p) for p in found if b"worker" in Path(f"/proc/{p}/cmdline").read_bytes()}

    def run(data: bytes, colour: str) -> dict[str, Any]:
        files = {"file": ("a.mp4", data)}
        id = client.post("/api/jobs", files=files, data={"background": colour}).json()["id"]
        return dict(wait_for(client, id, "done", "failed"))

    data = clip.read_bytes()
    first = run(data, "red")
    (one,) = workers()
    assert run(data, "blue")["stats"]["model"] == first["stats"]["model"]
    assert workers() == {one}
    left = [str(f.readlink()) for f in Path(f"/proc/{one}/fd").iterdir()]
    assert not [f for f in left if "/jobs/" in f], left
    at = data.index(b"mdat") + 4
    job = run(data[:at] + bytes(3000) + data[at + 3000 :], "red")
    assert job["state"] == "failed", job
    assert run(data, "black")["state"] == "done"
    assert one not in workers()


def test_progress_comes_as_events(client: Any, tmp_path: Path) -> None:
    long = make_video(tmp_path / "long.mp4", times=range(400))
    id = post(client, long).json()["id"]
    seen = []
    with client.stream("GET", f"/api/jobs/{id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: ")))
    assert seen[-1]["state"] == "done" and seen[-1]["results"]
    counts = [s["progress"]["frames"] for s in seen if s["state"] == "running"]
    assert counts == sorted(counts) and max(counts) > 0
    running = [s["progress"] for s in seen if s["state"] == "running" and s["progress"]["fps"]]
    assert running and running[-1]["total"] == 400 and running[-1]["left"] is not None


def test_ranges(client: Any, clip: Path) -> None:
    job = wait_for(client, post(client, clip).json()["id"], "done")
    url = f"/api/jobs/{job['id']}/result"
    whole = client.get(url).content
    part = client.get(url, headers={"Range": "bytes=100-299"})
    assert part.status_code == 206 and part.content == whole[100:300]
    assert part.headers["content-range"] == f"bytes 100-299/{len(whole)}"
    end = client.get(url, headers={"Range": "bytes=-50"})
    assert end.content == whole[-50:]
    beyond = client.get(url, headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416
    assert client.get(f"{url}/alpha").status_code == 404
    assert client.get(f"{url}/..%2f..%2finput").status_code == 404


@pytest.mark.parametrize(
    ("fields", "status", "word"),
    [
        ({"background": "transparent", "outputs": "mp4"}, 422, "webm"),
        ({"outputs": "exe"}, 422, "mp4"),
        ({"model": "nobody"}, 404, "nobody"),
        ({"background": "../../etc/passwd"}, 422, "background"),
        ({"speed": "1"}, 422, "speed"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(
    client: Any, clip: Path, fields: dict[str, str], status: int, word: str
) -> None:
    before = len(client.get("/api/jobs").json()["jobs"])
    response = post(client, clip, **fields)
    assert response.status_code == status and word in response.json()["detail"]
    assert len(client.get("/api/jobs").json()["jobs"]) == before


def test_a_file_that_breaks_off_fails_with_its_reason(client: Any, tmp_path: Path) -> None:
    path = make_video(tmp_path / "cut.mp4", times=range(60), file_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    job = wait_for(client, post(client, path).json()["id"], "failed")
    assert job["error"]["status"] == 422 and "cut.mp4" in job["error"]["detail"]
    assert "/" not in job["error"]["detail"].replace("input/output", "")


def test_limits(tmp_path: Path, clip: Path) -> None:
    with client_of(tmp_path / "a", duration=0.2, queue=1) as client:
        response = post(client, clip)
        assert (response.status_code, response.json()["type"]) == (413, "urn:vmatte:too-long")
    with client_of(tmp_path / "b", video_pixels=1000) as client:
        assert post(client, clip).status_code == 413
    with client_of(tmp_path / "c", video_bytes=1000) as client:
        assert post(client, clip).status_code == 413
    with client_of(tmp_path / "d", queue=0) as client:
        response = post(client, clip)
        assert response.status_code == 429 and int(response.headers["retry-after"]) > 0
    with client_of(tmp_path / "e", quota=1) as client:
        assert post(client, clip).status_code == 507
    with client_of(tmp_path / "f", job_seconds=0.05) as client:
        job = wait_for(client, post(client, clip).json()["id"], "failed")
        assert job["error"]["status"] == 408
        assert [p for p in (tmp_path / "f" / "jobs").rglob("*") if p.is_file()] == []


def test_finished_jobs_go_after_a_while(tmp_path: Path, clip: Path) -> None:
    with client_of(tmp_path, keep=0.5) as client:
        id = post(client, clip).json()["id"]
        end = time.monotonic() + 30
        while client.get(f"/api/jobs/{id}").status_code == 200:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert list((tmp_path / "jobs").iterdir()) == []


def test_cancel(tmp_path: Path) -> None:
    long = make_video(tmp_path / "long.mp4", times=range(3000), size=(320, 240))
    folder = tmp_path / "serve"
    with client_of(folder, duration=1000) as client:
        first, second = (post(client, long, background=b).json()["id"] for b in ("green", "blur"))
        wait_for_frames(client, first, 1)
        for id in (second, first):
            assert client.delete(f"/api/jobs/{id}").json()["state"] == "cancelled"
        assert [p for p in (folder / "jobs").rglob("*") if p.is_file()] == []
        assert client.get(f"/api/jobs/{first}/result").status_code == 409
        assert client.get("/healthz").json()["running"] == 0


def test_killed_in_mid_job_the_result_is_that_of_an_undisturbed_run(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", times=range(400))
    short = make_video(tmp_path / "short.mp4", times=range(3))
    server = Server(tmp_path / "serve").start()
    with server.client() as client:
        id = post(client, clip, outputs="mp4,alpha").json()["id"]
        waiting = post(client, short, background="red").json()["id"]
        wait_for_frames(client, id, 5)
    server.kill()
    assert not list((tmp_path / "serve" / "jobs" / id).glob("out")), "half a result has a name"
    server.start()
    try:
        with server.client() as client:
            job = wait_for(client, id, "done")
            got = [client.get(r["url"]).content for r in job["results"]]
            wait_for(client, waiting, "done")
    finally:
        server.stop()
    expected = [tmp_path / "expected.mp4", tmp_path / "alpha.mp4"]
    matte(str(clip), [str(expected[0]), f"alpha={expected[1]}"])
    for data, path in zip(got, expected, strict=True):
        (tmp_path / "got.mp4").write_bytes(data)
        assert pictures(tmp_path / "got.mp4") == pictures(path)
    assert not list((tmp_path / "serve" / "jobs" / id).glob("part-*"))


def test_a_worker_that_dies_takes_nothing_along(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What runs instead of the worker ends as a crashing decoder does.
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nread order\necho 'Segmentation fault' >&2\nkill -11 $$\n")
    fake.chmod(0o755)
    with client_of(tmp_path / "serve") as client:
        monkeypatch.setattr("vmatte.server.process.sys.executable", str(fake))
        job = wait_for(client, post(client, clip).json()["id"], "failed")
        assert job["error"]["type"] == "urn:vmatte:crashed"
        monkeypatch.undo()
        wait_for(client, post(client, clip).json()["id"], "done")


def test_one_folder_one_service(tmp_path: Path) -> None:
    with client_of(tmp_path), pytest.raises(AssertionError, match="another vmatte serve"):
        Server(tmp_path).start()
