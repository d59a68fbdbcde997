"""OpenCV works in the calling thread while a pipeline is at work."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

_lock = threading.Lock()
_runs = 0
_before = 0


@contextmanager
def one_thread() -> Iterator[None]:
    """Take OpenCV's threads away, in the whole process, until the last that asked has left.

    Decoder, network, refinement and encoder fill the cores already. OpenCV's threads would wait for
    work, spinning, and where the machine is busy their caller waits for them in turn.
    """
    global _runs, _before
    with _lock:
        _runs += 1
        if _runs == 1:
            _before = cv2.getNumThreads()
            cv2.setNumThreads(1)
    try:
        yield
    finally:
        with _lock:
            _runs -= 1
            if not _runs:
                cv2.setNumThreads(_before)
