"""What the C library's allocator must know of pictures."""

import ctypes
import sys

_TRIM, _MMAP, _ARENAS = -1, -3, -8
"""M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX of glibc's malloc.h."""

_LARGEST = 32 << 20
"""Bytes: glibc takes no larger M_MMAP_THRESHOLD. Twice as much may lie free, as by default."""

_MAPS = 1_900_000
"""Bytes. Refinement's maps, made anew for every frame, are smaller (four float32 channels of
448x252: 1.8 MB): pages of their own, new each time, would take a quarter of its time at 720p."""


def keep_pictures_apart(pixels: int) -> None:
    """Give each block as large as a picture's plane pages of its own; on glibc only, else nothing.

    pixels: of the picture; small ones are not kept apart, see _MAPS.

    By itself glibc stops doing so for pictures as soon as one has been freed. They then lie among
    what small things the threads hold, ever fewer fit into the gaps, and memory grows by a picture
    now and then (benchmarks/memory.py). Holds for the whole process.
    """
    # Setting the one also ends the other's growth; small blocks are not to be given back.
    _set((_MMAP, min(max(pixels, _MAPS), _LARGEST)), (_TRIM, 2 * _LARGEST))


def share_one_heap() -> None:
    """Let threads that begin from now on take their memory from one heap; on glibc only.

    By itself glibc gives threads heaps of their own. Where threads come and go for hours, as those
    of a live run that loses its source, each new one may take another, which then grows to what a
    thread needs, and stays. Holds for the whole process; heaps that are there already stay in use,
    so ask before a model is loaded.
    """
    _set((_ARENAS, 1))


def give_back() -> None:
    """Return what the heap has free to the system; on glibc only. Takes a millisecond or two.

    What happens to be in use at once differs from moment to moment, and a heap keeps the most that
    there ever was: over hours that creeps upwards, although nothing is held any longer.
    """
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _set(*options: tuple[int, int]) -> None:
    mallopt = getattr(_libc(), "mallopt", None)
    if mallopt is not None:
        for name, value in options:
            mallopt(name, value)


def _libc() -> ctypes.CDLL | None:
    """Return the C library; musl's, for one, knows none of this."""
    return ctypes.CDLL(None) if sys.platform == "linux" else None
