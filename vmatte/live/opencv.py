"""OpenCV works in the calling thread while a live run is at work.

Its pictures here are small: threads of its own save nothing, and where the machine is busy the
caller waits for them, which doubles the longest times.
"""

import threading

import cv2

_lock = threading.Lock()
_runs = 0
_before = 0


def begun() -> None:
    """Take its threads away, in the whole process."""
    global _runs, _before
    with _lock:
        _runs += 1
        if _runs == 1:
            _before = cv2.getNumThreads()
            cv2.setNumThreads(1)


def ended() -> None:
    """Give them back where no other run is at work."""
    global _runs
    with _lock:
        _runs -= 1
        if not _runs:
            cv2.setNumThreads(_before)
