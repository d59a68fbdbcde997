"""Finding what to score.

A dataset is a folder of clips. A clip is a folder with ``alpha.mkv`` (or another suffix) and one or
more videos that share it, and, where it is known, ``foreground.mkv``, the subject's true colour. A
folder of stills holds ``image/NAME.png``, ``alpha/NAME.png`` and perhaps ``foreground/NAME.png``.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from vmatte.errors import InputError, InputNotFoundError
from vmatte.sources.images import SUFFIXES as IMAGE_SUFFIXES
from vmatte.sources.images import natural

VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".m4v", ".avi", ".y4m", ".ts", ".mpg", ".gif"}

_TRUTH = {"alpha", "foreground"}
"""Stems of files in a clip folder that are not videos to matte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One thing to score: a picture or video, its true matte and perhaps its true foreground."""

    name: str
    video: Path
    alpha: Path
    foreground: Path | None = None
    still: bool = False


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
    for path in (video, alpha):
        if not path.exists():
            raise InputNotFoundError(f"{path}: no such file or folder; check the path")
    still = video.suffix.lower() in IMAGE_SUFFIXES and not video.is_dir()
    return Clip(name=video.name, video=video, alpha=alpha, still=still)


def finished(pred: Path, true: Path) -> list[Clip]:
    """Pair finished mattes with true ones; the clips' ``video`` is the finished matte.

    Two files, two folders of frames, or, where ``true`` is a dataset, a folder ``pred`` with one
    matte for each of its clips: ``CLIP/VIDEO.*`` or ``STILLS/NAME.*``.
    """
    if not true.is_dir() or _files(true, IMAGE_SUFFIXES):
        return [pair(pred, true)]
    if not pred.is_dir():
        raise InputError(f"{pred}: expected a folder with a matte for each clip of {true}")
    return [replace(c, video=_finished_of(pred, c), foreground=None) for c in find_clips(true)]


def _clips_in(folder: Path) -> list[Clip]:
    """Return the clips of one clip folder or stills folder; empty where it is neither."""
    # Resolved, for the name of '.' is empty.
    group = folder.resolve().name
    if (folder / "image").is_dir() and (folder / "alpha").is_dir():
        return [
            Clip(
                name=f"{group}/{image.stem}",
                video=image,
                alpha=_one(
                    folder / "alpha", image.stem, IMAGE_SUFFIXES, f"the true matte of {image}"
                ),
                foreground=_maybe(folder / "foreground", image.stem, IMAGE_SUFFIXES),
                still=True,
            )
            for image in _files(folder / "image", IMAGE_SUFFIXES)
        ]
    videos = _files(folder, VIDEO_SUFFIXES)
    if not any(v.stem == "alpha" for v in videos):
        return []
    alpha = _one(folder, "alpha", VIDEO_SUFFIXES, "the true matte")
    foreground = _maybe(folder, "foreground", VIDEO_SUFFIXES)
    return [
        Clip(name=f"{group}/{video.stem}", video=video, alpha=alpha, foreground=foreground)
        for video in videos
        if video.stem not in _TRUTH
    ]


def _finished_of(pred: Path, clip: Clip) -> Path:
    folder, _, name = clip.name.rpartition("/")
    suffixes = IMAGE_SUFFIXES | VIDEO_SUFFIXES
    return _one(pred / folder, name, suffixes, f"the finished matte of {clip.name}")


def _one(folder: Path, stem: str, suffixes: Collection[str], what: str) -> Path:
    found = _maybe(folder, stem, suffixes)
    if found is None:
        raise InputNotFoundError(f"{folder / stem}.*: {what} is not there; check the folder")
    return found


def _maybe(folder: Path, stem: str, suffixes: Collection[str]) -> Path | None:
    found = [f for f in _files(folder, suffixes) if f.stem == stem]
    if len(found) > 1:
        names = ", ".join(f.name for f in found)
        raise InputError(f"{folder}: has several files for {stem}: {names}; keep one")
    return found[0] if found else None


def _files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [f for f in folder.iterdir() if f.suffix.lower() in suffixes and f.is_file()]
    return sorted(found, key=natural)
