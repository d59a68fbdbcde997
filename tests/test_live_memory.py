"""What a live run does for the memory of its process."""

import subprocess
import sys

import pytest

from vmatte.live import memory
from vmatte.live.memory import Memory

HELD = """
import numpy as np
from pathlib import Path
from vmatte.live.memory import Memory

def resident():
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in x)
    return int(line.split()[1]) >> 10

memory = Memory(1280 * 720, 0.0)
blocks = [np.ones(1 << 20, np.uint8) for _ in range(60)]
full = resident()
kept = blocks[-1]  # Lies at the top, so that the heap does not shrink by itself.
del blocks
free = resident()
memory.tend(59.0)
waiting = resident()
memory.tend(60.0)
print(full - free, full - waiting, full - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux's")
def test_free_memory_is_given_back_once_a_minute() -> None:
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # In MiB. At first it is kept, for the next frame.
    free, waiting, given_back = map(int, done.stdout.split())
    assert free <= 2 and waiting <= 2 and given_back >= 55


def test_each_minute_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    apart: list[int] = []
    monkeypatch.setattr(memory, "give_back", lambda: given.append(now))
    monkeypatch.setattr(memory, "keep_pictures_apart", apart.append)
    kept = Memory(1920 * 1080 * 4, 100.0)
    Memory(1280 * 720, 100.0)
    # Refinement's maps lie in the heap whatever the picture's size.
    assert apart == [1920 * 1080 * 4, 2 << 20]
    for now in (100.0, 130.0, 159.9, 160.1, 170.0, 220.0, 220.2, 500.0):
        kept.tend(now)
    assert given == [160.1, 220.2, 500.0]
