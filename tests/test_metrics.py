"""The scores, against values worked out by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from vmatte import metrics
from vmatte.errors import InputError
from vmatte.metrics import LABELS, Means, Scores, mean_of


def matte(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def disc(size: int = 48, x: float = 20, y: float = 24, r: float = 12) -> NDArray[np.float32]:
    yy, xx = np.mgrid[:size, :size]
    return np.clip(r - np.hypot(xx - x, yy - y) + 0.5, 0, 1).astype(np.float32)


ALPHA_SCORES = [metrics.mad, metrics.mse, metrics.grad, metrics.conn]


def test_mad_and_mse_by_hand() -> None:
    pred = matte([0, 0.5], [1, 0.25])
    true = matte([0, 1.0], [1, 0.0])
    # |d| = 0, .5, 0, .25: mean .1875.  d^2 = 0, .25, 0, .0625: mean .078125.
    assert metrics.mad(pred, true) == pytest.approx(187.5)
    assert metrics.mse(pred, true) == pytest.approx(78.125)


def test_grad_of_a_step_by_hand() -> None:
    # A vertical step against nothing. With s(k) = exp(-k^2 / 3.92) for k = 0..4:
    #   1, .77483, .36044, .10067, .01688; sum over -4..4 = 3.50564; sum of squares = 2.4814
    # and k * s(k): 0, .77483, .72088, .30202, .06752; sum of squares over -4..4 = 2.4316.
    # Constant along the columns, so each column's derivative is the sum of the taps k * s(k) that
    # fall on ones (1.86525, 1.09042, .36954, .06752 from the edge outwards, the same on both
    # sides) times 3.50564 / sqrt(2.4814 * 2.4316) = 1.42716.
    # One row: 2 * (1.86525^2 + 1.09042^2 + .36954^2 + .06752^2) * 1.42716^2 = 19.591.
    true = np.zeros((10, 20), np.float32)
    true[:, 10:] = 1
    pred = np.zeros_like(true)
    assert metrics.grad(pred, true) == pytest.approx(10 * 19.591 / 1000, rel=1e-4)
    # The same along the other axis.
    assert metrics.grad(pred.T.copy(), true.T.copy()) == pytest.approx(0.19591, rel=1e-4)


def test_grad_does_not_see_contrast() -> None:
    # As published, each matte is stretched to 0..1 first.
    true = disc()
    assert metrics.grad(0.25 + 0.5 * true, true) == pytest.approx(0, abs=1e-6)


def test_conn_counts_what_is_cut_off() -> None:
    true = matte([1, 1, 1, 1, 1, 1, 1])
    pred = matte([1, 1, 1, 0, 1, 1, 0])
    # Largest area of both, at every threshold: pixels 0..2, so l = 1 there and 0 elsewhere.
    # d_true = 0 0 0 1 1 1 1, d_pred = 0 0 0 0 1 1 0: they differ by 1 at pixels 3 and 6.
    assert metrics.conn(pred, true) == pytest.approx(2 / 1000)


def test_conn_threshold_of_015() -> None:
    true = matte([1, 1, 1, 1])
    # l = .9 at pixel 0 (both reach .9, not 1), 1 elsewhere: d_true = .1 is below .15, no error.
    assert metrics.conn(matte([0.95, 1, 1, 1]), true) == 0
    # l = .6: d_true = .4 counts, d_pred = 0.
    assert metrics.conn(matte([0.6, 1, 1, 1]), true) == pytest.approx(0.4 / 1000)
    # l = .6: d_true = .4 counts, d_pred = .05 is below .15 and counts as 0.
    assert metrics.conn(matte([0.65, 1, 1, 1]), true) == pytest.approx(0.4 / 1000)


def test_conn_joins_by_sides_only() -> None:
    true = matte([1, 1, 0], [1, 1, 0], [0, 0, 1])
    # The corner pixel touches only diagonally, so l = 0 there: d_true = 1, d_pred = .5.
    pred = matte([1, 1, 0], [1, 1, 0], [0, 0, 0.5])
    assert metrics.conn(pred, true) == pytest.approx(0.5 / 1000)


def test_conn_of_8_bit_levels() -> None:
    # 51/255 is .2, 153/255 is .6: each must reach its own threshold.
    levels = np.arange(0, 256, 51, dtype=np.uint8).astype(np.float32)[None] / 255
    wide = np.repeat(levels, 3, axis=1)
    assert metrics.conn(wide, np.ones_like(wide)) == pytest.approx(
        3 * sum(v for v in (1.0, 0.8, 0.6, 0.4, 0.2)) / 1000, rel=1e-5
    )


def test_dtssd_by_hand() -> None:
    before = true_before = matte([0, 0])
    # Changes of prediction (.5, 0) less those of the truth (.1, .2): (.4, -.2), mean square .1.
    got = metrics.dtssd(matte([0.5, 0]), before, matte([0.1, 0.2]), true_before)
    assert got == pytest.approx(100 * 0.1**0.5)


def test_dtssd_does_not_see_a_constant_error() -> None:
    a, b = disc(x=20), disc(x=24)
    error = np.float32(0.25)
    assert metrics.dtssd(a * (1 - error), a, a * (1 - error), a) == 0
    still = metrics.dtssd(0.5 * disc(), 0.5 * disc(), disc(), disc())
    assert still == 0
    assert metrics.dtssd(a, a, b, a) > 0


def test_iou_by_hand() -> None:
    # Exactly .5 is inside, .49 is not: 2 of 3.
    assert metrics.iou(matte([0.5, 0.49, 1, 0]), matte([1, 1, 1, 0])) == pytest.approx(2 / 3)
    assert metrics.iou(matte([0, 0.4]), matte([0, 0.4])) == 1
    assert metrics.iou(matte([0, 0]), matte([0, 1])) == 0


def test_foreground_error_counts_where_the_truth_is() -> None:
    alpha = matte([0, 0.25, 1])
    true = np.zeros((1, 3, 3), np.float32)
    pred = np.zeros_like(true)
    pred[0, 0] = 1  # outside the true foreground: does not count
    pred[0, 1] = [0.5, 0, 0]
    # One of six channel values is off by .5: .25 / 6.
    assert metrics.foreground_error(pred, true, alpha) == pytest.approx(1000 * 0.25 / 6)
    assert metrics.foreground_error(pred, true, np.zeros_like(alpha)) is None


@pytest.mark.parametrize("score", ALPHA_SCORES)
def test_a_perfect_matte_has_no_error(score) -> None:
    assert score(disc(), disc()) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("score", ALPHA_SCORES)
def test_scores_do_not_see_mirroring(score) -> None:
    true, pred = disc(), disc(x=26, r=10)
    assert score(pred, true) > 0
    flipped = score(pred[:, ::-1].copy(), true[:, ::-1].copy())
    assert flipped == pytest.approx(score(pred, true), rel=1e-4)
    assert score(pred.T.copy(), true.T.copy()) == pytest.approx(score(pred, true), rel=1e-4)


@pytest.mark.parametrize("score", [*ALPHA_SCORES, metrics.iou])
def test_scores_are_symmetric(score) -> None:
    true, pred = disc(), disc(x=26, r=10)
    assert score(pred, true) == pytest.approx(score(true, pred))


@pytest.mark.parametrize("score", [*ALPHA_SCORES, metrics.iou])
def test_bad_arrays_are_refused(score) -> None:
    good = disc()
    with pytest.raises(InputError, match="predicted matte is 47x48, the true one 48x48"):
        score(good[:, 1:].copy(), good)
    with pytest.raises(InputError, match=r"shape \(48, 48, 1\), expected \[H, W\]"):
        score(good[..., None], good)
    with pytest.raises(InputError, match="float64, expected float32"):
        score(good.astype(np.float64), good)
    with pytest.raises(InputError, match=r"0\.\.255, expected 0\.\.1"):
        score(good * 255, good)
    with pytest.raises(InputError, match=r"expected 0\.\.1"):
        score(np.full_like(good, np.nan), good)
    with pytest.raises(InputError, match="expected"):
        score(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32))


def test_foreground_of_another_size_is_refused() -> None:
    colour = np.zeros((2, 3, 3), np.float32)
    with pytest.raises(InputError, match="alpha is 2x2, but the foreground is 3x2"):
        metrics.foreground_error(colour, colour, np.zeros((2, 2), np.float32))
    with pytest.raises(InputError, match=r"expected \[H, W, 3\]"):
        metrics.foreground_error(colour[..., :1], colour, np.zeros((2, 3), np.float32))


def test_a_clip_is_the_mean_of_its_frames() -> None:
    scores = Scores()
    true = matte([1, 1])
    pred = np.empty((1, 2), np.float32)
    for values in ([1, 1], [0.5, 1], [0.5, 0]):
        pred[...] = values  # the caller's array is filled again: the past must be kept apart
        scores.add(pred, true)
    got = scores.means()
    assert scores.frames == 3
    # MAD of the frames 0, .25, .75; dtSSD of the two changes: sqrt(.25 / 2), sqrt(1 / 2).
    assert got.mad == pytest.approx(1000 / 3)
    assert got.dtssd == pytest.approx(100 * (0.125**0.5 + 0.5**0.5) / 2)
    # IoU 1, 1 (.5 is inside), 1/2.
    assert got.iou == pytest.approx(2.5 / 3)
    assert got.foreground is None


def test_one_frame_has_no_flicker_score() -> None:
    scores = Scores()
    scores.add(disc(), disc())
    assert scores.means().dtssd is None
    with pytest.raises(InputError, match="no frame"):
        Scores().means()


def test_foreground_scores_skip_frames_without_one() -> None:
    scores = Scores()
    colour = np.zeros((1, 1, 3), np.float32)
    for alpha in (0.0, 1.0):
        true = np.full((1, 1), alpha, np.float32)
        scores.add(true, true, foreground=colour + 0.5, true_foreground=colour)
    assert scores.means().foreground == pytest.approx(250)


def test_a_changed_size_within_a_clip_is_refused() -> None:
    scores = Scores()
    scores.add(disc(48), disc(48))
    with pytest.raises(InputError, match="40x40"):
        scores.add(disc(40), disc(40))


def test_clips_count_alike_and_gaps_are_left_out() -> None:
    a = Means(mad=1, mse=2, grad=3, conn=4, dtssd=5, iou=0.5)
    b = Means(mad=3, mse=4, grad=5, conn=6, dtssd=None, iou=1.0)
    got = mean_of([a, b])
    assert got == Means(mad=2, mse=3, grad=4, conn=5, dtssd=5, iou=0.75)
    assert mean_of([b]).dtssd is None
    with pytest.raises(InputError, match="no clip"):
        mean_of([])


def test_every_score_has_a_label() -> None:
    a = Means(mad=1, mse=2, grad=3, conn=4, dtssd=5, iou=0.5)
    assert list(a.as_dict()) == list(LABELS)
