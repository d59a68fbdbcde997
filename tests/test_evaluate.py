"""Scoring models and finished mattes against true mattes, on clips made here."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from discs import MASKS, SIZE, BrightIsSubject, colour, disc, make_dataset, write

from vmatte.colour import FULL, LIMITED, Colour
from vmatte.errors import DamagedMediaError, InputError, InputNotFoundError
from vmatte.evaluation import (
    RAW,
    Clip,
    compare,
    evaluate,
    find_clips,
    finished,
    pair,
    read_alpha,
    score,
)
from vmatte.frames import Frame, from_array, new_picture, plane_views


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "data")


def test_clips_are_found_in_natural_order(dataset: Path) -> None:
    clips = find_clips(dataset)
    assert [c.name for c in clips] == ["photos/2", "photos/10", "walk/moving", "walk/still"]
    assert [c.still for c in clips] == [True, True, False, False]
    assert clips[2].alpha == dataset / "walk/alpha.mkv"
    assert [c.name for c in find_clips(dataset / "walk")] == ["walk/moving", "walk/still"]


def test_a_folder_without_clips_is_an_error(dataset: Path) -> None:
    with pytest.raises(InputNotFoundError, match="no such folder"):
        find_clips(dataset / "nothing")
    with pytest.raises(InputError, match="--true"):
        find_clips(dataset / "walk/moving.mkv")
    (dataset / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no clips; expected folders with alpha\.mkv"):
        find_clips(dataset / "empty")


def test_missing_and_doubtful_true_mattes_are_errors(dataset: Path) -> None:
    (dataset / "photos/alpha/2.png").rename(dataset / "photos/alpha/3.png")
    with pytest.raises(InputNotFoundError, match="true matte of"):
        find_clips(dataset)
    write(dataset / "walk/alpha.avi", MASKS)
    with pytest.raises(InputError, match=r"several files .*alpha\.avi, alpha\.mkv; keep one"):
        find_clips(dataset / "walk")


def test_a_model_is_scored_at_full_size(dataset: Path) -> None:
    matter = BrightIsSubject()
    seen: list[tuple[str, int]] = []
    scores = evaluate(
        matter, find_clips(dataset), progress=lambda c, n: seen.append((c.name, n))
    ).clips
    assert [s.frames for s in scores] == [1, 1, 3, 3]
    # Each clip begins with a fresh state.
    assert matter.starts == 4
    assert ("walk/moving", 3) in seen
    # Half-size pixels blur the rim and nothing else.
    moving = scores[2].means
    assert 0 < moving.mad < 30
    assert moving.iou > 0.9
    assert moving.dtssd is not None
    assert scores[0].means.dtssd is None
    assert scores[2].means.mad == scores[3].means.mad


def test_refinement_follows_the_edges(dataset: Path) -> None:
    clips = find_clips(dataset)
    refined = evaluate(BrightIsSubject(), clips)
    raw = evaluate(BrightIsSubject(), clips, RAW)
    assert (refined.refined, raw.refined) == (True, False)
    for a, b in zip(refined.clips, raw.clips, strict=True):
        assert a.means.mad < b.means.mad


def test_means_keep_videos_and_stills_apart(dataset: Path) -> None:
    result = evaluate(BrightIsSubject(), find_clips(dataset))
    assert result.engine == BrightIsSubject.engine
    scores, means = result.clips, result.means
    assert list(means) == ["videos", "stills"]
    assert means["stills"].mad == pytest.approx((scores[0].means.mad + scores[1].means.mad) / 2)
    assert means["videos"].mad == pytest.approx(scores[2].means.mad)
    assert means["stills"].dtssd is None


def test_limit_takes_the_first_frames(dataset: Path) -> None:
    clips = find_clips(dataset / "walk")
    assert [s.frames for s in evaluate(BrightIsSubject(), clips, limit=2).clips] == [2, 2]


def test_state_starts_anew_with_a_segment(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = score.open_source

    class Broken:
        """A source whose last frame comes after a gap."""

        skipped = 0

        def __init__(self, name: str) -> None:
            self.inner = whole(name)
            self.info = self.inner.info

        def __iter__(self):
            for i, f in enumerate(self.inner):
                yield Frame(f.picture, f.pts, f.time_base, f.colour, segment=i // 2)

        def close(self) -> None:
            self.inner.close()

    monkeypatch.setattr(score, "open_source", Broken)
    matter = BrightIsSubject()
    evaluate(matter, find_clips(dataset / "walk")[:1])
    assert matter.starts == 2


@pytest.mark.parametrize("frames", [2, 4])
def test_frame_counts_must_agree(dataset: Path, frames: int) -> None:
    write(dataset / "walk/alpha.mkv", (MASKS * 2)[:frames])
    clips = find_clips(dataset / "walk")
    short, long = ("alpha", "moving") if frames == 2 else ("moving", "alpha")
    with pytest.raises(InputError, match=rf"{short}\.mkv: has {min(frames, 3)} frames.*{long}"):
        evaluate(BrightIsSubject(), clips)
    # Within the limit they agree.
    assert evaluate(BrightIsSubject(), clips, limit=2).clips[0].frames == 2


def test_sizes_must_agree(dataset: Path) -> None:
    write(dataset / "walk/alpha.mkv", [disc(20, (60, 48))] * 3)
    with pytest.raises(InputError, match="64x48, its true matte 60x48"):
        evaluate(BrightIsSubject(), find_clips(dataset / "walk"))


def test_damaged_frames_are_refused(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = score.open_source

    def damaged(name: str):
        source = whole(name)
        source.skipped = 1
        return source

    monkeypatch.setattr(score, "open_source", damaged)
    with pytest.raises(DamagedMediaError, match="1 of its frames are damaged"):
        evaluate(BrightIsSubject(), find_clips(dataset / "walk"))


def test_finished_mattes_of_two_files(tmp_path: Path) -> None:
    true = write(tmp_path / "true.mkv", MASKS)
    pred = write(tmp_path / "pred.mkv", [MASKS[0], MASKS[0], MASKS[2]])
    (got,) = compare(finished(pred, true)).clips
    # One of three frames is off, by the pixels in which the discs differ.
    wrong = np.mean(MASKS[0] != MASKS[1])
    assert got.means.mad == pytest.approx(1000 * wrong / 3, rel=1e-5)
    assert got.frames == 3
    assert compare(finished(true, true)).clips[0].means.mad == 0


def test_finished_mattes_of_two_folders(tmp_path: Path) -> None:
    for i, mask in enumerate(MASKS, 8):
        write(tmp_path / f"true/{i}.png", [mask])
        write(tmp_path / f"pred/{i:06d}.png", [colour(mask)])
    (got,) = compare(finished(tmp_path / "pred", tmp_path / "true")).clips
    # 8, 9, 10: a natural order, and flicker is measured.
    assert (got.frames, got.means.mad, got.means.dtssd) == (3, 0, 0)


def test_finished_mattes_of_a_dataset(dataset: Path, tmp_path: Path) -> None:
    pred = tmp_path / "pred"
    write(pred / "walk/moving.mkv", MASKS)
    write(pred / "walk/still.mkv", [m * 0 for m in MASKS])
    write(pred / "photos/2.png", [disc(20)])
    with pytest.raises(InputNotFoundError, match="the finished matte of photos/10"):
        finished(pred, dataset)
    write(pred / "photos/10.png", [disc(30)])
    scores = compare(finished(pred, dataset)).clips
    assert [(s.name, s.still) for s in scores][:1] == [("photos/2", True)]
    assert [s.means.iou for s in scores] == [1, 1, 1, 0]


def test_finished_mattes_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="no such file or folder"):
        finished(tmp_path / "a.mkv", tmp_path / "b.mkv")


def test_a_pair_by_hand(dataset: Path) -> None:
    clip = pair(dataset / "photos/image/2.png", dataset / "photos/alpha/2.png")
    assert (clip.name, clip.still) == ("2.png", True)
    assert evaluate(BrightIsSubject(), [clip]).clips[0].means.iou > 0.9
    assert not pair(dataset / "walk", dataset / "walk/alpha.mkv").still
    missing = Clip(name="x", video=dataset / "no.mp4", alpha=dataset / "no.mkv")
    with pytest.raises(InputNotFoundError):
        evaluate(BrightIsSubject(), [missing])


def test_a_known_foreground_is_scored(dataset: Path) -> None:
    # The subject is white; on black its rim, at half alpha, looks gray.
    white = np.full((*SIZE[::-1], 3), 255, np.uint8)
    write(dataset / "walk/foreground.mkv", [white] * 3)
    clips = find_clips(dataset / "walk")
    assert [c.name for c in clips] == ["walk/moving", "walk/still"]
    cleaned = evaluate(BrightIsSubject(), clips).clips[0].means.foreground
    kept = evaluate(BrightIsSubject(), clips, RAW).clips[0].means.foreground
    assert cleaned is not None
    assert kept is not None
    assert 0 <= cleaned <= kept < 250
    write(dataset / "walk/foreground.mkv", [white] * 2)
    with pytest.raises(InputError, match=r"foreground\.mkv: has 2 frames"):
        evaluate(BrightIsSubject(), clips)


def yuv(luma: int, range: int, format: str = "yuv420p") -> Frame:
    picture = new_picture(16, 16, format)
    for plane in plane_views(picture):
        plane[...] = 7
    plane_views(picture)[0][...] = luma
    return Frame(picture, 0, Fraction(1, 25), Colour(range=range))


def test_mattes_are_read_by_their_range() -> None:
    def value(frame: Frame) -> float:
        alpha = read_alpha(frame)
        assert alpha.dtype == np.float32
        assert alpha.shape == (16, 16)
        assert alpha.min() == alpha.max()
        return float(alpha[0, 0])

    assert value(yuv(235, LIMITED)) == 1
    assert value(yuv(16, 0)) == 0
    assert value(yuv(5, 0)) == 0
    assert value(yuv(51, FULL)) == pytest.approx(0.2)
    # Limited range, 10 bits: 64..940.
    assert value(yuv(502, LIMITED, "yuv420p10le")) == pytest.approx(0.5)
    assert value(yuv(51, 0, "gray")) == pytest.approx(0.2)
    assert value(yuv(16, LIMITED, "gray")) == 0
    # An alpha plane wins, and knows no limited range.
    with_alpha = yuv(235, LIMITED, "yuva420p")
    plane_views(with_alpha.picture)[3][...] = 51
    assert value(with_alpha) == pytest.approx(0.2)
    rgba = np.zeros((16, 16, 4), np.uint8)
    rgba[..., 3] = 51
    assert value(from_array(rgba, "rgba")) == pytest.approx(0.2)
    assert value(from_array(rgba[..., 1:], "rgb24")) == 0
