"""A camera that does as told, in place of what OpenCV opens."""

import time

import numpy as np

Script = list[object]


class Fake:
    """A camera that does what its script says; each step is a picture's size or something amiss."""

    backend = "V4L2"
    pixel_format = "MJPG"

    def __init__(self, script: Script, size: tuple[int, int] = (96, 64), rate: float = 30) -> None:
        self.script, self.size, self.rate = iter(script), size, rate
        self.count = 0
        self.released = self.reading = False

    def wait(self, seconds: float) -> bool:
        step = self.step = next(self.script, "silent")
        if step == "silent":
            time.sleep(seconds)
        return step != "silent"

    def read(self) -> np.ndarray | None:
        self.reading = True
        assert not self.released
        try:
            step = self.step
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                time.sleep(step)
                step = self.size
            if step == "nothing":
                return None
            self.count += 1
            width, height, *channels = step  # type: ignore[misc]
            return np.full((height, width, *(channels or (3,))), 20 * self.count % 256, np.uint8)
        finally:
            self.reading = False

    def release(self) -> None:
        assert not self.reading, "released while it was read"
        self.released = True
