"""A video of trimaps, or a folder of them: one for each frame."""

from pathlib import Path

import cv2

from vmatte.errors import InputError
from vmatte.sources import open_source
from vmatte.sources.images import SUFFIXES
from vmatte.steer.known import Trimap, trimap_of


def holds_many(path: Path) -> bool:
    """Return whether ``path`` is a video or a folder, and not one image."""
    return path.is_dir() or (path.exists() and path.suffix.lower() not in {*SUFFIXES, ".pgm"})


class Trimaps:
    """Trimaps in step with a video. Holds its place: one for each run."""

    def __init__(self, path: Path, width: int, height: int) -> None:
        """Open the trimaps of frames of width x height. Raises InputError."""
        self._name, self._count = str(path), 0
        self._source = open_source(self._name)
        found = self._source.info.size
        if found != (width, height):
            self.close()
            raise InputError(
                f"{path}: is {found[0]}x{found[1]}, but the frame is {width}x{height}; give "
                "trimaps of the frame's size"
            )
        self._frames = iter(self._source)

    def next(self) -> Trimap:
        """Return the next frame's. Raises InputError where there are too few."""
        frame = next(self._frames, None)
        if frame is None:
            raise InputError(
                f"{self._name}: ends after {self._count} trimaps, but the video goes on; give one "
                "for each frame, or one image, for the first frame, which is carried along"
            )
        self._count += 1
        rgb = frame.rgb((frame.width, frame.height))
        return trimap_of(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Free the file."""
        self._source.close()
