"""What every model family must do, on stand-ins for its weights and on real ones."""

import math
import pickle
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import av
import cv2
import graphs
import numpy as np
import pytest
from families import (
    FP32,
    REAL,
    RECURRENT,
    STANDINS,
    Build,
    Case,
    check,
    every,
    folder,
    make,
    picture,
    record,
    recurrent,
    working,
)
from numpy.typing import NDArray

from vmatte.matting import MatterOptions, build_matter
from vmatte.registry import ModelRecord
from vmatte.runtimes import RuntimeOptions

__all__ = ["folder", "make"]


@every
def test_any_size_and_shape_of_frame(case: Case, make: Build) -> None:
    matter = make(case)
    sizes = [(640, 360), (360, 641), (16, 16), (97, 33), (4000, 30), (18, 900), (1, 1)]
    for size in sizes[:1] if case.fixed else sizes:
        rgb = working(matter, size)
        matte, state = matter.step(rgb, matter.start(rgb.shape[1], rgb.shape[0]))
        check(matte, rgb)
        # A second step: the first one's state must fit the picture.
        check(matter.step(rgb, state)[0], rgb)
    if case.fixed:
        assert {matter.working_size(*size) for size in sizes} == {case.fixed}


@every
def test_a_share_of_the_working_size(case: Case, make: Build) -> None:
    """A live run takes less where it is too slow; only what has a fixed size does not follow."""
    matter = make(case)
    w, h = matter.working_size(1280, 720)
    assert matter.working_size(1280, 720, 1.0) == (w, h)
    small = matter.working_size(1280, 720, 0.5)
    if case.fixed:
        assert small == (w, h)
        return
    # Sides of MODNet and U²-Net are multiples of 32.
    slack = 32 if case.family in ("modnet", "u2net") else 1
    assert abs(small[0] - w / 2) <= slack and abs(small[1] - h / 2) <= slack
    rgb = picture(small)
    check(matter.step(rgb, matter.start(*small))[0], rgb)


@every
def test_constant_pictures_and_engine(case: Case, make: Build) -> None:
    matter = make(case)
    w, h = matter.working_size(128, 96)
    for level in (0, 255):
        rgb = np.full((h, w, 3), level, np.uint8)
        matte, _ = matter.step(rgb, matter.start(w, h))
        check(matte, rgb)
        if case.real:
            # Nobody is there; a matte stretched to its own range would say otherwise.
            assert matte.alpha.mean() < 0.3
        elif case.family not in RECURRENT:
            np.testing.assert_allclose(matte.alpha, level / 255, atol=0.004)
    engine = matter.engine
    assert (engine.model, engine.runtime, engine.provider) == (case.record, "onnxruntime", "cpu")
    assert engine.precision == ("fp16" if case.record.endswith("fp16") else "fp32")


@pytest.mark.parametrize("case", STANDINS[4:], ids=str)
def test_normalisation_layout_and_channel(case: Case, make: Build) -> None:
    """The stand-ins undo each family's normalisation: alpha must be the mean of RGB."""
    matter = make(case)
    rgb = np.zeros((*matter.working_size(9, 9)[::-1], 3), np.uint8)
    rgb[:, : rgb.shape[1] // 3] = (120, 120, 120)
    rgb[-5:] = (240, 240, 240)
    matte, _ = matter.step(rgb, None)
    # ImageNet's three means and deviations are one each in the stand-in.
    slack = 0.03 if case.family in ("u2net", "birefnet") else 2e-4
    np.testing.assert_allclose(matte.alpha, rgb.mean(2) / 255, atol=slack)


def test_channels_are_rgb(folder: Path) -> None:
    b = graphs.Builder()
    b.conv("x", np.array([[[[0.0]], [[0.0]], [[1.0]]]]), name="blue")
    b.nodes[-1].output[0] = "y"
    path = b.save(
        folder / "blue.onnx",
        [graphs.value("x", [1, 3, 192, 192])],
        [graphs.value("y", [1, 1, 192, 192])],
    )
    own = record("pphumanseg")
    params = {"size": [192, 192], "mean": [0.0, 0.0, 0.2], "std": [1.0, 1.0, 0.5]}
    wanted = ModelRecord(name="own", family=own.family, file="", sha256="", licence="",
                         params=params)  # fmt: skip
    matter = build_matter(wanted, path, MatterOptions(runtime=RuntimeOptions(**FP32)))
    rgb = np.full((192, 192, 3), (255, 255, 102), np.uint8)
    np.testing.assert_allclose(matter.step(rgb, None)[0].alpha, (0.4 - 0.2) / 0.5, atol=1e-5)


@every
def test_the_same_again_is_the_same(case: Case, make: Build) -> None:
    matter = make(case)
    rgb = working(matter, (320, 180))
    before = rgb.copy()
    start = matter.start(rgb.shape[1], rgb.shape[0])
    _, state = matter.step(rgb, start)
    kept = pickle.dumps(state)
    first, after = matter.step(rgb, state)
    again, after2 = matter.step(rgb, state)
    np.testing.assert_array_equal(first.alpha, again.alpha)
    assert pickle.dumps(after) == pickle.dumps(after2)
    # Neither the picture nor the state it was given may have changed.
    assert pickle.dumps(state) == kept
    np.testing.assert_array_equal(rgb, before)


@recurrent
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_states_are_values(case: Case, runtime: str, make: Build) -> None:
    """Two streams on one model do not mix; a state on disk goes on where it was; a reset resets."""
    matter = make(case, runtime=runtime)
    streams = [[working(matter, (192, 108), seed=n * k) for n in range(4)] for k in (1, -1)]
    h, w = streams[0][0].shape[:2]

    def alone(stream: list[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        state, found = matter.start(w, h), []
        for rgb in stream:
            matte, state = matter.step(rgb, state)
            found.append(matte.alpha)
        return found

    expected = [alone(s) for s in streams]
    states = [matter.start(w, h), matter.start(w, h)]
    for n in range(4):
        for k in (0, 1):
            matte, states[k] = matter.step(streams[k][n], pickle.loads(pickle.dumps(states[k])))
            np.testing.assert_array_equal(matte.alpha, expected[k][n])
    # It does have a memory, and a fresh start forgets it.
    matte, _ = matter.step(streams[0][3], matter.start(w, h))
    assert np.abs(matte.alpha - expected[0][3]).max() > 1e-4
    np.testing.assert_array_equal(alone(streams[0])[0], expected[0][0])


@recurrent
def test_shapes_of_the_state(case: Case, make: Build) -> None:
    matter = make(case)
    rgb = picture((75, 41))
    shapes: list[tuple[int, ...]]
    if case.family == "convgru":
        # Of the picture with its sides brought up to multiples of 16.
        shapes = [(1, c, 48 // s, 80 // s) for c, s in zip(graphs.CONVGRU, (4, 8, 16), strict=True)]
    else:
        channels = graphs.RESNET50 if "resnet" in case.record else graphs.MOBILENETV3
        shapes = [
            (1, c, math.ceil(41 / 2**k), math.ceil(75 / 2**k)) for k, c in enumerate(channels, 1)
        ]
    for state in (matter.start(75, 41), matter.step(rgb, matter.start(75, 41))[1]):
        for r, shape in zip(state, shapes, strict=True):
            assert r.shape == shape
            assert r.dtype == (np.float16 if case.record.endswith("fp16") else np.float32)
    assert not any(r.any() for r in matter.start(75, 41))


@every
def test_runtimes_agree(case: Case, make: Build) -> None:
    one, other = make(case), make(case, runtime="openvino")
    rgb = working(one, (320, 180))
    a, b = one.start(rgb.shape[1], rgb.shape[0]), other.start(rgb.shape[1], rgb.shape[0])
    # Half precision is computed in other orders and widths by the two.
    limit = 5e-3 if case.record.endswith("fp16") else 1e-3
    for _ in range(3):
        first, a = one.step(rgb, a)
        second, b = other.step(rgb, b)
        assert np.abs(first.alpha - second.alpha).max() <= limit


@pytest.mark.parametrize("case", REAL, ids=str)
def test_bf16_stays_near(case: Case, make: Build, shared: Callable[[str], Path]) -> None:
    """bf16 keeps 8 bits: a mean error under 1 % and rare pixels beyond 15 %."""
    from vmatte.runtimes.openvino import import_openvino

    if "BF16" not in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no bf16 units")
    exact, rough = make(case), make(case, runtime="openvino", precision="bf16")
    assert rough.engine.precision == "bf16"
    # A real person: a drawn one leaves networks in doubt, and doubt magnifies rounding.
    with av.open(str(shared("clips/hb_woman_plants_room.mp4"))) as clip:
        pictures = [f.to_ndarray(format="rgb24") for f in islice(clip.decode(video=0), 3)]
    h, w = pictures[0].shape[:2]
    size = exact.working_size(w, h)
    a, b = exact.start(*size), rough.start(*size)
    for large in pictures:
        rgb = cv2.resize(large, size, interpolation=cv2.INTER_AREA)
        first, a = exact.step(rgb, a)
        second, b = rough.step(rgb, b)
    assert first.alpha.max() > 0.9
    difference = np.abs(first.alpha - second.alpha)
    assert difference.mean() < 0.01 and (difference > 0.15).mean() < 0.01
