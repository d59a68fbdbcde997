"""What is compared on: pictures, videos and folders of them, with their true mattes."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from vmatte.errors import InputError, InputNotFoundError
from vmatte.evaluation import Clip, find_clips
from vmatte.evaluation.dataset import VIDEO_SUFFIXES
from vmatte.frames import Frame, StreamInfo
from vmatte.images.cut import read_bytes
from vmatte.images.picture import READABLE, read_picture
from vmatte.sources import FrameSource, open_source
from vmatte.sources.images import SUFFIXES as IMAGE_SUFFIXES
from vmatte.sources.images import natural

_STILL = READABLE - VIDEO_SUFFIXES
_ALL = READABLE | IMAGE_SUFFIXES | VIDEO_SUFFIXES


class PictureSource:
    """One picture, read as 'vmatte image' reads it, as a video. See FrameSource."""

    skipped = 0

    def __init__(self, path: Path) -> None:
        """Read it. Raises InputError and its subclasses."""
        self._frame = read_picture(read_bytes(path), str(path)).frame
        self.info = StreamInfo(
            width=self._frame.width,
            height=self._frame.height,
            format=self._frame.format,
            colour=self._frame.colour,
            time_base=Fraction(1, 25),
            frames=1,
            still=True,
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield it."""
        yield self._frame

    def close(self) -> None:
        """Nothing is held."""


def open_input(path: Path) -> FrameSource:
    """Open a picture or a video. Raises InputError and its subclasses."""
    if path.suffix.lower() in _STILL and path.is_file():
        return PictureSource(path)
    return open_source(str(path))


def find_inputs(inputs: Sequence[str], truth: Path | None) -> list[tuple[Path, Path | None, str]]:
    """Return (picture or video, its true matte, name) for each input.

    A dataset (as of evaluate) brings its own true mattes; of others ``truth`` holds one of the same
    stem. Raises InputNotFoundError, InputError.
    """
    if truth is not None and not truth.is_dir():
        raise InputNotFoundError(f"{truth}: no such folder; --truth needs one with true mattes")
    found: list[tuple[Path, Path | None, str]] = []
    for name in inputs:
        path = Path(name)
        if not path.exists():
            raise InputNotFoundError(f"{name}: no such file or folder; check the path")
        if not path.is_dir():
            found.append((path, _truth_of(path, truth), path.name))
            continue
        files = sorted((p for p in path.iterdir() if p.suffix.lower() in _ALL), key=natural)
        if files and not any(p.stem == "alpha" for p in files):
            found += [(p, _truth_of(p, truth), p.name) for p in files]
            continue
        if not any(p.is_dir() for p in path.iterdir()) and not files:
            raise InputError(f"{name}: a folder without pictures and videos")
        clips: list[Clip] = find_clips(path)
        found += [(c.video, c.alpha, c.name) for c in clips]
    return found


def _truth_of(path: Path, truth: Path | None) -> Path | None:
    if truth is None:
        return None
    fitting = [p for p in truth.iterdir() if p.stem == path.stem]
    if len(fitting) != 1:
        raise InputError(f"{truth}: has {len(fitting)} files called {path.stem}.*; expected one")
    return fitting[0]
