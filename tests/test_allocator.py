"""Pictures lie in pages of their own."""

import subprocess
import sys

import pytest

COUNT = """
import ctypes, numpy as np
from vmatte.allocator import keep_pictures_apart

class Info(ctypes.Structure):
    _fields_ = [(n, ctypes.c_size_t) for n in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks cost".split()]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Info

def mapped(size):
    before = mallinfo().hblks
    kept = np.empty(size, np.uint8)
    return mallinfo().hblks - before

# What glibc does by itself: a block freed raises the threshold above its size.
np.empty(8 << 20, np.uint8)
alone = mapped(3 << 20)
keep_pictures_apart(2 << 20)
# Larger than the gap that the last one left.
large, small = mapped(5 << 20), mapped(1 << 20)
keep_pictures_apart(96 * 64)
print(alone, large, small, mapped(448 * 252 * 16))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux's")
def test_pictures_have_pages_of_their_own_and_small_maps_have_none() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["0", "1", "0", "0"], done.stderr


HEAPS = """
import ctypes, threading
from vmatte.allocator import share_one_heap

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
if SHARED:
    share_one_heap()
found = set()
everybody = threading.Barrier(4)

def take():
    everybody.wait()
    # Heaps of threads begin at multiples of 64 MB.
    found.add(libc.malloc(4000) >> 26)
    everybody.wait()

threads = [threading.Thread(target=take) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux's")
def test_threads_share_one_heap() -> None:
    heaps = [
        int(subprocess.check_output([sys.executable, "-c", f"SHARED = {shared}\n{HEAPS}"]))
        for shared in (False, True)
    ]
    assert heaps[0] > heaps[1] == 1


HOLES = """
from pathlib import Path
import numpy as np
from vmatte.allocator import give_back, keep_pictures_apart

def resident():
    rows = Path("/proc/self/status").read_text().splitlines()
    return int(next(row for row in rows if row.startswith("RssAnon")).split()[1]) >> 10

keep_pictures_apart(8 << 20)
blocks = [np.ones(1 << 20, np.uint8) for _ in range(128)]
most = resident()
del blocks[:-1]  # The last holds the heap's end where it is.
left = resident()
give_back()
print(most - left > 64, most - resident() > 100)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux's")
def test_what_is_free_below_the_end_of_the_heap_goes_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOLES], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["False", "True"], done.stderr
