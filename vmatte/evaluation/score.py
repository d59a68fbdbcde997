"""Scoring clips frame by frame."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice, repeat, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vmatte.colour import FULL, LIMITED
from vmatte.composite import Subject
from vmatte.composite.hdr import srgb
from vmatte.errors import DamagedMediaError, InputError
from vmatte.evaluation.dataset import Clip
from vmatte.frames import Frame
from vmatte.matting.base import Engine, Matter, for_still
from vmatte.matting.delay import Matted, one_frame_delay
from vmatte.metrics import Alpha, Means, Scores, mean_of
from vmatte.refine import RefineOptions, refine
from vmatte.sources import FrameSource, open_source

RAW = RefineOptions(method="off", decontaminate=False, levels=(0.0, 1.0))
"""No refinement: the model's own matte, enlarged bilinearly."""

Progress = Callable[[Clip, int], None]
"""Called after every frame with the clip and the number of frames scored."""

_Colours = NDArray[np.float32]
_Predicted = tuple[Alpha, _Colours | None]
_Predict = Callable[[FrameSource], Iterable[_Predicted]]
_A = TypeVar("_A")
_B = TypeVar("_B")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipScore:
    """What one clip scored: means over its frames. seconds: all the time it took."""

    name: str
    still: bool
    frames: int
    seconds: float
    means: Means


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The scores of all clips; ``engine`` and ``refined`` are None for finished mattes."""

    clips: tuple[ClipScore, ...]
    engine: Engine | None = None
    refined: bool | None = None

    @property
    def means(self) -> dict[str, Means]:
        """Means over clips, each clip counting the same; videos and stills apart."""
        found = {}
        for kind, still in (("videos", False), ("stills", True)):
            group = [c.means for c in self.clips if c.still is still]
            if group:
                found[kind] = mean_of(group)
        return found


def evaluate(
    matter: Matter[Any],
    clips: Sequence[Clip],
    refinement: RefineOptions | None = None,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
    delay_one: bool = False,
) -> Evaluation:
    """Matte every clip from its first frame and score what a user gets, at full size.

    ``refinement`` is that of ``run`` by default; see RAW. ``limit`` scores only the first frames of
    each. ``delay_one``: see vmatte.matting.delay. Raises InputError where a clip and its true matte
    differ in size or number of frames, and InferenceError.
    """
    options = refinement or RefineOptions()
    scores = []
    for clip in clips:
        coloured = clip.foreground is not None

        def predict(source: FrameSource, coloured: bool = coloured) -> Iterator[_Predicted]:
            return _matte(matter, source, options, coloured, delay_one)

        scores.append(_score(clip, predict, limit, progress))
    refined = options.method != "off"
    return Evaluation(clips=tuple(scores), engine=matter.engine, refined=refined)


def compare(
    clips: Sequence[Clip], *, limit: int | None = None, progress: Progress | None = None
) -> Evaluation:
    """Score finished mattes, as ``finished`` pairs them."""

    def predict(source: FrameSource) -> Iterator[_Predicted]:
        return ((read_alpha(frame), None) for frame in source)

    return Evaluation(clips=tuple(_score(clip, predict, limit, progress) for clip in clips))


def read_alpha(frame: Frame) -> Alpha:
    """Return the matte that ``frame`` holds: [H, W] float32 in 0..1.

    The alpha plane where there is one, else the luma: by its tagged range, or untagged as FFmpeg
    writes it, full for gray and RGB and limited for YUV.
    """
    form = frame.format
    limited = False
    if form.alpha:
        plane = frame.planes[0][..., 3] if form.channels == 4 else frame.planes[3]
    elif form.rgb:
        # A matte is gray, so that any channel will do: green, plane 0 of planar formats.
        plane = frame.planes[0][..., 1] if form.channels > 1 else frame.planes[0]
    else:
        plane = frame.planes[0]
        limited = frame.colour.range == LIMITED or not (form.gray or frame.colour.range == FULL)
    values = plane.astype(np.float32)
    if limited:
        scale = float(1 << (form.depth - 8))
        values = (values - 16 * scale) / np.float32(219 * scale)
        np.clip(values, 0, 1, out=values)
        return values
    return values / np.float32((1 << form.depth) - 1)


def _matte(
    matter: Matter[Any],
    source: FrameSource,
    options: RefineOptions,
    coloured: bool,
    delay_one: bool,
) -> Iterator[_Predicted]:
    if not coloured:
        # Nothing will look at the colours.
        options = replace(options, decontaminate=False)
    subject = Subject(transparent=False)
    subject.open(source.info)
    if source.info.still:
        matter = for_still(matter)
    matted = _matted(matter, source)
    for frame, rgb, matte in one_frame_delay(matted) if delay_one else matted:
        full = refine(frame, rgb, matte, options)
        colours = _colours(subject.compose(frame, full, None)) if coloured else None
        yield full.values(), colours


def _matted(matter: Matter[Any], source: FrameSource) -> Iterator[Matted]:
    state: Any = None
    segment: int | None = None
    for frame in source:
        size = matter.working_size(frame.width, frame.height)
        if frame.segment != segment:
            state, segment = matter.start(*size), frame.segment
        rgb = srgb(frame, size, matter.engine.scaling)
        matte, state = matter.step(rgb, state)
        yield frame, rgb, matte


def _colours(frame: Frame) -> _Colours:
    """Return [H, W, 3] float32 RGB in 0..1."""
    return frame.rgb((frame.width, frame.height)).astype(np.float32) / np.float32(255)


def _score(
    clip: Clip, predict: _Predict, limit: int | None, progress: Progress | None
) -> ClipScore:
    scores = Scores()
    begun = time.perf_counter()
    with ExitStack() as stack:
        sources: list[tuple[Path, FrameSource]] = []

        def opened(path: Path) -> FrameSource:
            source = open_source(str(path))
            stack.callback(source.close)
            sources.append((path, source))
            return source

        video = opened(clip.video)
        alphas = map(read_alpha, opened(clip.alpha))
        truth: Iterable[tuple[Alpha, _Colours | None]] = zip(alphas, repeat(None), strict=False)
        if clip.foreground:
            colours = map(_colours, opened(clip.foreground))
            truth = _together(alphas, colours, (clip.alpha, clip.foreground))
        # True mattes first: at their end not one frame more is given to the network than needed.
        pairs = _together(truth, predict(video), (clip.alpha, clip.video))
        for (true, true_colours), (pred, pred_colours) in islice(pairs, limit):
            if pred.shape != true.shape:
                raise InputError(
                    f"{clip.video}: is {pred.shape[1]}x{pred.shape[0]}, its true matte "
                    f"{true.shape[1]}x{true.shape[0]}; scale one to the other first"
                )
            scores.add(pred, true, foreground=pred_colours, true_foreground=true_colours)
            if progress:
                progress(clip, scores.frames)
        for path, source in sources:
            _whole(path, source)
    if not scores.frames:
        raise InputError(f"{clip.video}: holds no frames; expected at least one")
    return ClipScore(
        name=clip.name,
        still=clip.still,
        frames=scores.frames,
        seconds=time.perf_counter() - begun,
        means=scores.means(),
    )


def _together(
    first: Iterable[_A], second: Iterable[_B], names: tuple[Path, Path]
) -> Iterator[tuple[_A, _B]]:
    """Yield pairs. Raises InputError, which ``zip`` does not word, where one side ends early."""
    for done, (a, b) in enumerate(zip_longest(first, second)):
        if a is None or b is None:
            short, long = names if a is None else names[::-1]
            raise InputError(
                f"{short}: has {done} frames, but {long} has more; each frame needs its own truth"
            )
        yield a, b


def _whole(path: Path, source: FrameSource) -> None:
    if source.skipped:
        raise DamagedMediaError(
            f"{path}: {source.skipped} of its frames are damaged, so that frames and true mattes "
            "do not match any more; repair it first"
        )
