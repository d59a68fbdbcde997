"""Which tiles of a frame hold an edge of the matte, and which are all subject."""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vmatte.fullmatte import COLUMNS, TILE, Map, Region, Tiles


def find_tiles(low: Map, high: Map, size: tuple[int, int]) -> Tiles:
    """Return edges and solid: runs of tiles, given the least and greatest alpha near each pixel."""
    h, w = low.shape
    rows, columns = _reach(size[1], TILE, h), _reach(size[0], COLUMNS, w)
    is_solid = _count(low < 1, rows, columns) == 0
    is_edge = (_count(high > 0, rows, columns) > 0) & ~is_solid
    return tuple(runs(is_edge, size)), tuple(runs(is_solid, size))


def _reach(full: int, step: int, small: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return begins and ends of the pixels, of ``small``, that tiles of ``full`` are made from."""
    begin = np.arange(0, full, step)
    end = np.minimum(begin + step, full)
    first = np.floor((begin + 0.5) * (small / full) - 0.5)
    last = np.floor((end - 0.5) * (small / full) - 0.5) + 1
    ends = np.minimum(last, small - 1) + 1
    return np.maximum(first, 0).astype(int), ends.astype(int)


def _count(mask: NDArray[np.bool_], rows: Any, columns: Any) -> NDArray[np.integer[Any]]:
    """Return how many pixels of ``mask`` are set in each tile, given as ranges of both."""
    summed = cv2.integral(mask.view(np.uint8))
    bands = summed[rows[1]] - summed[rows[0]]
    counted: NDArray[np.integer[Any]] = bands[:, columns[1]] - bands[:, columns[0]]
    return counted


def runs(tiles: NDArray[np.bool_], size: tuple[int, int]) -> Iterator[Region]:
    """Yield tiles that are set, those side by side as one; ``size`` of the frame cuts the last."""
    width, height = size
    padded = np.pad(tiles, ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(padded, axis=1)
    starts, ends = np.argwhere(change == 1).tolist(), np.argwhere(change == -1).tolist()
    for (row, first), (_, last) in zip(starts, ends, strict=True):
        yield Region(
            row * TILE, min((row + 1) * TILE, height), first * COLUMNS, min(last * COLUMNS, width)
        )
