"""Scoring a model, or finished mattes, against true mattes.

A dataset is a folder of clips. A clip is a folder with ``alpha.mkv`` (or another suffix) and one or
more videos that share it; a folder of stills holds ``image/NAME.png`` and ``alpha/NAME.png``.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from vmatte.errors import DamagedMediaError, InputError, InputNotFoundError
from vmatte.frames import FULL, LIMITED, Frame
from vmatte.matting.base import Engine, Matter
from vmatte.metrics import Alpha, Means, Scores, mean_of
from vmatte.refine import RefineOptions, refine
from vmatte.sources import FrameSource, open_source
from vmatte.sources.images import SUFFIXES as IMAGE_SUFFIXES
from vmatte.sources.images import natural

VIDEO_SUFFIXES = frozenset(
    [".mp4", ".mov", ".mkv", ".webm", ".m4v", ".avi", ".y4m", ".ts", ".mpg", ".gif"]
)

RAW = RefineOptions(guided=False, decontaminate=False, levels=(0.0, 1.0))
"""No refinement: the model's own matte, enlarged bilinearly."""

Progress = Callable[["Clip", int], None]
"""Called after every frame with the clip and the number of frames scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One thing to score: a picture or video and its true matte."""

    name: str
    video: Path
    alpha: Path
    still: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipScore:
    """What one clip scored: means over its frames."""

    name: str
    still: bool
    frames: int
    seconds: float
    means: Means


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The scores of all clips; ``engine`` is None for finished mattes."""

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


def find_clips(dataset: Path) -> list[Clip]:
    """Return the clips of ``dataset``: a clip folder, a stills folder, or a folder of these.

    Raises InputNotFoundError and InputError.
    """
    if not dataset.exists():
        raise InputNotFoundError(f"{dataset}: no such folder; check the path")
    if not dataset.is_dir():
        raise InputError(
            f"{dataset}: is a file, expected a dataset folder; "
            "give its true matte with --true to score one file"
        )
    clips = _clips_in(dataset)
    if not clips:
        folders = sorted((f for f in dataset.iterdir() if f.is_dir()), key=natural)
        clips = [clip for folder in folders for clip in _clips_in(folder)]
    if not clips:
        raise InputError(
            f"{dataset}: holds no clips; expected folders with alpha.mkv and a video, "
            "or with image/NAME.png and alpha/NAME.png"
        )
    return clips


def pair(video: Path, alpha: Path) -> Clip:
    """Return ``video`` (or picture, or folder of frames) and its true matte as a clip."""
    still = video.suffix.lower() in IMAGE_SUFFIXES and not video.is_dir()
    return Clip(name=video.name, video=video, alpha=alpha, still=still)


def finished(pred: Path, true: Path) -> list[Clip]:
    """Pair finished mattes with true ones; the clips' ``video`` is the finished matte.

    Two files, two folders of frames, or, where ``true`` is a dataset, a folder ``pred`` with one
    matte for each of its clips: ``CLIP/VIDEO.*`` or ``STILLS/NAME.*``.
    """
    for path in (pred, true):
        if not path.exists():
            raise InputNotFoundError(f"{path}: no such file or folder; check the path")
    if not true.is_dir() or _files(true, IMAGE_SUFFIXES):
        return [pair(pred, true)]
    return [replace(clip, video=_finished_of(pred, clip)) for clip in find_clips(true)]


def evaluate(
    matter: Matter[Any],
    clips: Sequence[Clip],
    refinement: RefineOptions | None = None,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
) -> tuple[ClipScore, ...]:
    """Matte every clip from its first frame and score the mattes at full size.

    ``refinement`` is that of ``run`` by default; see RAW. ``limit`` scores only the first frames of
    each. Raises InputError where a clip and its true matte differ in size or number of frames, and
    InferenceError.
    """
    # The scores see no colour, so that work on it would be lost.
    options = replace(refinement or RefineOptions(), decontaminate=False)

    def mattes(source: FrameSource) -> Iterator[Alpha]:
        state: Any = None
        segment: int | None = None
        for frame in source:
            size = matter.working_size(frame.width, frame.height)
            if frame.segment != segment:
                state, segment = matter.start(*size), frame.segment
            rgb = frame.rgb(size)
            matte, state = matter.step(rgb, state)
            yield refine(frame, rgb, matte, options).values()

    return tuple(_score(clip, mattes, limit, progress) for clip in clips)


def compare(
    clips: Sequence[Clip], *, limit: int | None = None, progress: Progress | None = None
) -> tuple[ClipScore, ...]:
    """Score finished mattes, as ``finished`` pairs them."""

    def mattes(source: FrameSource) -> Iterator[Alpha]:
        return map(read_alpha, source)

    return tuple(_score(clip, mattes, limit, progress) for clip in clips)


def read_alpha(frame: Frame) -> Alpha:
    """Return the matte that ``frame`` holds: [H, W] float32 in 0..1.

    The alpha plane where there is one, else the luma: by its tagged range, or untagged as FFmpeg
    writes it, full for gray and RGB and limited for YUV.
    """
    form = frame.format
    top = float((1 << form.depth) - 1)
    if form.alpha:
        plane = frame.planes[0][..., 3] if form.channels == 4 else frame.planes[3]
        limited = False
    elif form.rgb:
        # A matte is gray, so that any channel will do: green, plane 0 of planar formats.
        plane = frame.planes[0][..., 1] if form.channels > 1 else frame.planes[0]
        limited = False
    else:
        plane = frame.planes[0]
        limited = frame.colour.range == LIMITED or not (form.gray or frame.colour.range == FULL)
    values = plane.astype(np.float32)
    if limited:
        scale = float(1 << (form.depth - 8))
        values = (values - 16 * scale) / np.float32(219 * scale)
        np.clip(values, 0, 1, out=values)
        return values
    return values / np.float32(top)


def _score(
    clip: Clip,
    mattes: Callable[[FrameSource], Iterable[Alpha]],
    limit: int | None,
    progress: Progress | None,
) -> ClipScore:
    scores = Scores()
    begun = time.perf_counter()
    source = open_source(str(clip.video))
    try:
        truth = open_source(str(clip.alpha))
        try:
            for pred, true in _together(clip, mattes(source), map(read_alpha, truth), limit):
                if pred.shape != true.shape:
                    raise InputError(
                        f"{clip.video}: is {pred.shape[1]}x{pred.shape[0]}, its true matte "
                        f"{true.shape[1]}x{true.shape[0]}; scale one to the other first"
                    )
                scores.add(pred, true)
                if progress:
                    progress(clip, scores.frames)
            _whole(clip.video, source)
            _whole(clip.alpha, truth)
        finally:
            truth.close()
    finally:
        source.close()
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
    clip: Clip, pred: Iterable[Alpha], true: Iterable[Alpha], limit: int | None
) -> Iterator[tuple[Alpha, Alpha]]:
    """Yield pairs of mattes. Raises InputError where one side ends before the other."""
    # True mattes first: at their end no frame more than one is given to the network.
    pairs = zip_longest(true, pred)
    for done, (g, p) in enumerate(islice(pairs, limit)):
        if p is None or g is None:
            short, long = (clip.video, clip.alpha) if p is None else (clip.alpha, clip.video)
            raise InputError(
                f"{short}: has {done} frames, but {long} has more; "
                "each frame needs its own true matte"
            )
        yield p, g


def _whole(path: Path, source: FrameSource) -> None:
    if source.skipped:
        raise DamagedMediaError(
            f"{path}: {source.skipped} of its frames are damaged, so that frames and true mattes "
            "do not match any more; repair it first"
        )


def _clips_in(folder: Path) -> list[Clip]:
    """Return the clips of one clip folder or stills folder; empty where it is neither."""
    if (folder / "image").is_dir() and (folder / "alpha").is_dir():
        stills = []
        for image in _files(folder / "image", IMAGE_SUFFIXES):
            alpha = _one(folder / "alpha", image.stem, IMAGE_SUFFIXES, f"the true matte of {image}")
            name = f"{folder.name}/{image.stem}"
            stills.append(Clip(name=name, video=image, alpha=alpha, still=True))
        return stills
    videos = _files(folder, VIDEO_SUFFIXES)
    if not any(v.stem == "alpha" for v in videos):
        return []
    alpha = _one(folder, "alpha", VIDEO_SUFFIXES, "the true matte")
    return [
        Clip(name=f"{folder.name}/{video.stem}", video=video, alpha=alpha)
        for video in videos
        if video.stem != "alpha"
    ]


def _finished_of(pred: Path, clip: Clip) -> Path:
    folder, _, name = clip.name.rpartition("/")
    suffixes = IMAGE_SUFFIXES | VIDEO_SUFFIXES
    return _one(pred / folder, name, suffixes, f"the finished matte of {clip.name}")


def _one(folder: Path, stem: str, suffixes: Collection[str], what: str) -> Path:
    found = [f for f in _files(folder, suffixes) if f.stem == stem]
    if not found:
        raise InputNotFoundError(f"{folder / stem}.*: {what} is not there; check the folder")
    if len(found) > 1:
        names = ", ".join(f.name for f in found)
        raise InputError(f"{folder}: has several files for {what}: {names}; keep one")
    return found[0]


def _files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [f for f in folder.iterdir() if f.suffix.lower() in suffixes and f.is_file()]
    return sorted(found, key=natural)
