"""A video in parts, joined again: frame for frame and packet for packet what it would be whole."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from media import SPARSE, Sound, decode, make_video, packets_of, times_of

from vmatte import JobOptions, matte
from vmatte.cluster.join import decoding_times
from vmatte.cluster.part import Part, plan
from vmatte.cluster.tasks import Task, find, is_done, prepare
from vmatte.cluster.worker import Worker
from vmatte.errors import OutputExistsError, VmatteError, WriteError
from vmatte.matting import MatterOptions, load_matter
from vmatte.runtimes import RuntimeOptions
from vmatte.sinks import Encoding

ORT = MatterOptions(runtime=RuntimeOptions(runtime="onnxruntime", threads=1))
QUICK = JobOptions(matter=ORT, encoding=Encoding(preset="ultrafast"))


def long_video(path: Path, count: int = 90, **more: object) -> Path:
    """A video with few key frames, B-frames, and sound that begins late and outlasts it."""
    return make_video(
        path,
        times=range(count),
        sounds=[Sound(seconds=count / 25 + 0.3, start=0.1, language="swe")],
        chapters=[(0.0, 1.0, "one"), (1.0, 3.0, "two")],
        metadata={"title": "a long one"},
        options={"preset": "medium", "g": "30", "crf": "20"},
        **more,  # type: ignore[arg-type]
    )


def divided(
    folder: Path, clip: Path, job: JobOptions, seconds: float, format: str = "mp4"
) -> tuple[Path, int]:
    """Matte ``clip`` in parts, as workers do, last part first; return the result and how many."""
    setup, files = prepare(str(clip), [str(folder)], job, format=f".{format}", overwrite=False)
    worker = Worker(setup)
    (task,) = find(setup, files)
    found = worker.divide(task, seconds)
    for piece in reversed(found["pieces"]):
        told = worker.part(task, piece)
        assert told == {"frames": piece.frames}, told
    told = worker.join(task, found["pieces"])
    assert "error" not in told, told
    assert is_done(setup, task)
    assert [p.name for p in folder.iterdir() if p.name != ".vmatte"] == [f"{clip.stem}.{format}"]
    worker.close()
    assert not list((folder / ".vmatte" / "work").iterdir())
    assert not list((folder / ".vmatte" / "parts").iterdir())
    return folder / f"{clip.stem}.{format}", len(found["pieces"])


def luma(path: Path) -> np.ndarray:
    return np.stack([f.to_ndarray(format="gray") for f in decode(path)]).astype(np.float32)


@pytest.mark.parametrize("format", ["mp4", "mkv", "mov"])
def test_joined_parts_are_as_the_whole(tmp_path: Path, format: str) -> None:
    clip = long_video(tmp_path / "clip.mp4", 60)
    whole = tmp_path / f"whole.{format}"
    matte(str(clip), [str(whole)], QUICK)
    parts, count = divided(tmp_path / "out", clip, QUICK, 0.8, format)
    assert count == 3
    assert times_of(parts) == times_of(whole)
    assert packets_of(parts, "audio") == packets_of(whole, "audio")
    with av.open(str(parts)) as a, av.open(str(whole)) as b:
        assert a.chapters() == b.chapters()
        assert a.metadata["title"] == b.metadata["title"] == "a long one"
        assert a.streams.audio[0].metadata == b.streams.audio[0].metadata
        assert a.streams.video[0].time_base == b.streams.video[0].time_base
        assert a.duration == b.duration
    assert np.abs(luma(parts) - luma(whole)).mean() < 1.0


@pytest.mark.parametrize("times", [SPARSE, [100 + t for t in range(20)]], ids=["vfr", "offset"])
def test_times_are_exact(tmp_path: Path, times: list[int]) -> None:
    clip = make_video(tmp_path / "clip.mp4", times=times, time_base=Fraction(1, 30))
    parts, count = divided(tmp_path / "out", clip, JobOptions(matter=ORT), 0.2)
    assert count > 1
    assert times_of(parts) == [Fraction(t, 30) for t in times]


def test_start_and_end(tmp_path: Path) -> None:
    clip = long_video(tmp_path / "clip.mp4")
    job = replace(QUICK, start=0.5, end=3.0)
    matte(str(clip), [str(tmp_path / "whole.mp4")], job)
    parts, count = divided(tmp_path / "out", clip, job, 1.0)
    assert count > 1
    assert times_of(parts) == times_of(tmp_path / "whole.mp4")
    assert packets_of(parts, "audio") == packets_of(tmp_path / "whole.mp4", "audio")


def test_transparency_survives_the_join(tmp_path: Path) -> None:
    clip = long_video(tmp_path / "clip.mp4", 30)
    job = replace(QUICK, background="transparent", encoding=Encoding())
    parts, _ = divided(tmp_path / "out", clip, job, 0.5, "webm")
    pictures = decode(parts, "libvpx-vp9")
    assert len(pictures) == 30
    assert {p.format.name for p in pictures} == {"yuva420p"}


def test_a_video_behind_goes_on_over_the_cut(tmp_path: Path) -> None:
    clip = long_video(tmp_path / "clip.mp4", 50)
    behind = make_video(tmp_path / "behind.mp4", times=range(7))
    job = replace(QUICK, background=str(behind), encoding=Encoding(codec="ffv1"))
    matte(str(clip), [str(tmp_path / "whole.mkv")], job)
    parts, _ = divided(tmp_path / "out", clip, job, 0.7, "mkv")
    assert np.abs(luma(parts) - luma(tmp_path / "whole.mkv")).max() <= 2


def test_a_part_sees_what_lies_before_it(tmp_path: Path) -> None:
    clip, job = long_video(tmp_path / "clip.mp4"), QUICK
    matter = load_matter(None, ORT)
    try:
        states = {}
        for warmup in (0, 40):
            pieces = plan(str(clip), job, 1.8, warmup)
            assert not isinstance(pieces, str) and len(pieces) == 2
            assert pieces[1].first > pieces[1].window.begin or not warmup
            part = Part(str(clip), job, pieces[1], matter)
            frames = list(part)
            part.close()
            assert len(frames) == pieces[1].frames
            assert frames[0].pts == pieces[1].first
            states[warmup] = part.matter.start(96, 64)
        empty = matter.start(96, 64)
        assert all(np.array_equal(a, b) for a, b in zip(states[0], empty, strict=True))
        assert not all(np.array_equal(a, b) for a, b in zip(states[40], empty, strict=True))
    finally:
        matter.close()


def test_what_cannot_be_divided_says_why(tmp_path: Path) -> None:
    clip = long_video(tmp_path / "clip.mp4", 30)
    trimap = JobOptions(steer=replace(JobOptions().steer, trimap=tmp_path / "t.png"))
    assert "trimap" in str(plan(str(clip), trimap, 0.5, 0))
    assert len(plan(str(clip), JobOptions(), 60, 0)) == 1


@pytest.mark.parametrize("pts", [[0, 30, 10, 20, 40], [5, 6, 9], [0, 1, 50, 20, 10, 30, 100, 90]])
def test_decoding_times_grow_and_are_never_late(pts: list[int]) -> None:
    dts = decoding_times(pts)
    assert all(a < b for a, b in pairwise(dts))
    assert all(d <= p for d, p in zip(dts, pts, strict=True))
    assert dts == pts if pts == sorted(pts) else dts[0] < pts[0]


def test_a_lost_part_is_told(tmp_path: Path) -> None:
    clip = long_video(tmp_path / "clip.mp4", 30)
    setup, files = prepare(
        str(clip), [str(tmp_path / "out")], QUICK, format=".mp4", overwrite=False
    )
    worker = Worker(setup)
    (task,) = find(setup, files)
    pieces = worker.divide(task, 0.5)["pieces"]
    for piece in pieces[1:]:
        worker.part(task, piece)
    worker.close()
    assert "NotFound" in worker.join(task, pieces)["error"]
    assert not (tmp_path / "out" / "clip.mp4").exists()


def test_records(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    clip = make_video(tmp_path / "in" / "clip.mp4")
    out = tmp_path / "out"

    def task(job: JobOptions = QUICK) -> tuple[Worker, Task, bool]:
        setup, _ = prepare(str(tmp_path / "in"), [str(out)], job, format=None, overwrite=False)
        (found,) = find(setup)
        return Worker(setup), found, is_done(setup, found)

    worker, first, done = task()
    assert not done
    assert "error" not in worker.whole(first)
    worker.close()
    assert task()[2]
    assert not task(replace(QUICK, background="red"))[2]  # other options
    faster = replace(ORT, runtime=RuntimeOptions(runtime="onnxruntime", threads=2))
    assert task(replace(QUICK, matter=faster))[2]  # the same result
    (out / "clip.mp4").rename(tmp_path / "elsewhere.mp4")
    assert not task()[2]  # gone
    (out / "clip.mp4").write_bytes(b"a note of the user's")
    with pytest.raises(OutputExistsError, match="did not make it"):
        task()
    (out / "clip.mp4").unlink()
    make_video(clip, times=range(12))
    worker, second, done = task()
    assert second.key != first.key and not done  # another input


def test_a_kill_between_record_and_name_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_video(tmp_path / "clip.mp4")
    setup, files = prepare(str(clip), [str(tmp_path / "out")], QUICK, format=None, overwrite=False)
    (task,) = find(setup, files)

    worker = Worker(setup)

    def killed(*_: object) -> None:
        raise VmatteError("killed")

    with monkeypatch.context() as m:
        m.setattr(type(setup.targets[0].place), "put", killed)
        assert "killed" in worker.whole(task)["error"]
    assert not is_done(setup, task)
    assert "error" not in worker.whole(task)
    assert is_done(setup, task)
    worker.close()


def test_join_refuses_parts_of_another_kind(tmp_path: Path) -> None:
    from vmatte.cluster.join import join
    from vmatte.sources import FileSource

    a = make_video(tmp_path / "a.mp4", times=range(5))
    b = make_video(tmp_path / "b.mp4", times=range(5, 10), size=(64, 64))
    source = FileSource(str(a))
    source.close()
    with pytest.raises(WriteError, match=r"extradata|width"):
        join([a, b], tmp_path / "c.mp4", source.info, 10)


def test_machines_need_no_shared_disk(tmp_path: Path) -> None:
    """The same on a file system that is no disk: inputs are brought here, results sent."""
    import fsspec

    memory = fsspec.filesystem("memory")
    clip = long_video(tmp_path / "clip.mp4", 30)
    memory.put_file(str(clip), "/cluster/in/deep/clip.mp4")
    try:
        setup, files = prepare(
            "memory://cluster/in", ["memory://cluster/out"], QUICK, format=None, overwrite=False
        )
        worker = Worker(setup)
        (task,) = find(setup, files)
        assert task.source == "deep/clip.mp4" and not is_done(setup, task)
        pieces = worker.divide(task, 0.5)["pieces"]
        assert len(pieces) == 2
        for piece in pieces:
            assert worker.part(task, piece) == {"frames": piece.frames}
        assert "error" not in worker.join(task, pieces)
        worker.close()
        assert is_done(setup, task)
        result = tmp_path / "result.mp4"
        memory.get_file("/cluster/out/deep/clip.mp4", str(result))
        assert times_of(result) == times_of(clip)
        sound = [payload for _, payload in packets_of(clip, "audio")]
        assert [payload for _, payload in packets_of(result, "audio")] == sound
        left = [n for n in memory.find("/cluster/out") if "/parts/" in n]
        assert not left
    finally:
        memory.rm("/cluster", recursive=True)
