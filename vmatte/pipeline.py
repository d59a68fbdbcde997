"""From a source through a matter to outputs: reader, inference, composition workers, writers."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vmatte.allocator import give_back, keep_pictures_apart
from vmatte.composite import Advanced, Composite
from vmatte.composite.hdr import srgb
from vmatte.concurrency import Channel, StoppedError
from vmatte.errors import InputError, OptionError
from vmatte.frames import Frame, StreamInfo
from vmatte.matting import Matte, Matter
from vmatte.matting.delay import Matted, one_frame_delay
from vmatte.opencv import one_thread
from vmatte.output import Output
from vmatte.refine import RefineOptions, refine
from vmatte.sources import FrameSource
from vmatte.stats import Clock, RunStats, peak_memory
from vmatte.steer.keyoptions import NO_SCREEN

if TYPE_CHECKING:
    from vmatte.device import DeviceComposer

DEPTH = 4
"""Frames that may wait between two stages: enough to smooth out, too few to fill memory."""


GRACE = 2.0
"""Seconds that a read under way may still take once nobody wants its result."""


Progress = Callable[[int, StreamInfo], None]
"""Called after each frame with the count so far and what is known of the source."""


_READER, _WRITER = "vmatte-reader", "vmatte-writer-{}"


_TIDY = 250
"""Frames between two times that free memory goes back to the system."""


_Item = tuple[Frame, NDArray[np.uint8]]


_UNSEEN = np.empty((0, 0, 3), np.uint8)
"""In place of what the model sees: the device scales for itself."""


_Job = Future[list[Frame]]


class Pipeline:
    """Mattes one source into several outputs. Use once.

    Every matte is composited onto the very frame it was computed from. Nothing is dropped.
    """

    def __init__(
        self,
        source: FrameSource,
        matter: Matter[Any],
        outputs: Sequence[Output],
        *,
        options: RefineOptions | None = None,
        progress: Progress | None = None,
        workers: int | None = None,
        delay_one: bool = False,
        device: "DeviceComposer | None" = None,
    ) -> None:
        """Take a source, a loaded model, and outputs that are open already.

        workers: threads that compose; by default the cores, at most 4. delay_one: see
        vmatte.matting.delay. device: composes in place of model, refinement and compositors; the
        one output is a Composite then. Raises OptionError where there is no output.
        """
        if not outputs:
            raise OptionError("a pipeline without an output has nothing to do; give one or more")
        self._source, self._matter, self._outputs = source, matter, list(outputs)
        self._options = options or RefineOptions()
        if not any(o.compositor.coloured for o in outputs):
            self._options = replace(self._options, decontaminate=False)
        self._progress = progress
        self._delay_one, self._device = delay_one, device
        self._workers = workers or min(4, os.cpu_count() or 1)
        self._stop = threading.Event()
        self._clock = Clock()
        self._screenless = 0
        self._items: Channel[_Item] = Channel(DEPTH)
        self._lanes: list[Channel[_Job]] = [Channel(DEPTH) for _ in self._outputs]
        self._failures: list[BaseException] = []
        self._stuck: set[str] = set()

    def stop(self) -> None:
        """End soon, with whole files of what was done.

        May be called from any thread, and from a signal handler.
        """
        self._stop.set()
        # Inference may be waiting for a frame that is long in coming.
        self._items.close()

    def run(self) -> RunStats:
        """Process the whole source; return what was done.

        Raises what any part raises; outputs are then aborted. Closes the source, not the matter.
        """
        begin = time.perf_counter()
        try:
            # A picture has the cores for itself: a closed-form matte takes a fifth longer with one.
            with nullcontext() if self._source.info.still else one_thread():
                frames = self._run()
        except BaseException:
            # Last first: what two made between them, such as a folder, the first one removes.
            for i, output in reversed([*enumerate(self._outputs)]):
                # A writer that hangs in a write still uses its sink.
                if _WRITER.format(i) not in self._stuck:
                    output.abort()
            raise
        finally:
            # Nor may a decoder be freed while a read in it has not come back.
            if _READER not in self._stuck:
                self._source.close()
        info = self._source.info
        notes = [*info.notes]
        for output in self._outputs:
            notes += [f"{output.sink.name}: {n}" for n in getattr(output.sink, "notes", [])]
        if self._screenless:
            where = f"in {self._screenless} of {frames} frames"
            notes.append(f"{NO_SCREEN} {where}: there the model's matte stands alone")
        return RunStats(
            frames=frames,
            dropped=0,
            skipped=self._source.skipped,
            seconds=time.perf_counter() - begin,
            stages=dict(self._clock.stages),
            engine=self._matter.engine,
            peak_memory=peak_memory(),
            interrupted=self._stop.is_set(),
            notes=tuple(notes),
            composed="host" if self._device is None else "device",
        )

    def _run(self) -> int:
        info = self._source.info
        # No picture takes less than a byte a pixel.
        keep_pictures_apart(info.width * info.height)
        # Daemons: a read that never comes back must not keep the process alive.
        reader = threading.Thread(target=self._read, name=_READER, daemon=True)
        writers = [
            threading.Thread(target=self._write, args=(i,), name=_WRITER.format(i), daemon=True)
            for i in range(len(self._outputs))
        ]
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="vmatte-compose")
        frames = 0
        try:
            for thread in (reader, *writers):
                thread.start()
            frames = self._infer(pool)
            for lane in self._lanes:
                lane.close()
        except StoppedError:
            pass
        except BaseException:
            self._give_up()
            raise
        finally:
            self._items.stop()
            try:
                self._join(reader, writers)
            finally:
                pool.shutdown(cancel_futures=True)
        if self._failures:
            raise self._failures[0]
        if not frames:
            if self._stop.is_set():
                raise KeyboardInterrupt
            begin = f"at {info.start} s or after" if info.start else ""
            end = f"before {info.end} s" if info.end else ""
            part = " and ".join(filter(None, (begin, end))) or "at all"
            raise InputError(f"the input has no frame {part}; see: vmatte probe --count INPUT")
        for output in self._outputs:
            with self._clock.measure("encode"):
                output.close(early=self._stop.is_set())
        return frames

    def _give_up(self) -> None:
        """Let every thread end after what it is at."""
        self._items.stop()
        for lane in self._lanes:
            lane.stop()

    def _join(self, reader: threading.Thread, writers: list[threading.Thread]) -> None:
        """Wait for the threads; remember those that hang.

        Writers finish what they were given, unless interrupted: sinks must not be aborted while
        they are in use, so the interrupt is raised when all have ended.
        """
        interrupt: KeyboardInterrupt | None = None
        limit: float | None = None
        for thread in [*writers, reader]:
            if thread is reader and limit is None:
                limit = time.monotonic() + GRACE
            while thread.is_alive():
                left = None if limit is None else limit - time.monotonic()
                if left is not None and left <= 0:
                    self._stuck.add(thread.name)
                    break
                try:
                    thread.join(left)
                except KeyboardInterrupt as e:
                    interrupt, limit = e, time.monotonic() + GRACE
                    self._give_up()
        if interrupt is not None:
            raise interrupt

    def _read(self) -> None:
        """Decode and scale, ahead of inference."""
        items, matter = self._items, self._matter
        try:
            frames = iter(self._source)
            while True:
                with self._clock.measure("decode"):
                    frame = next(frames, None)
                if frame is None:
                    break
                if self._device is not None:
                    items.put((frame, _UNSEEN))
                    continue
                with self._clock.measure("scale"):
                    size = matter.working_size(frame.width, frame.height)
                    rgb = srgb(frame, size, matter.engine.scaling)
                items.put((frame, rgb))
            items.close()
        except StoppedError:
            pass
        except BaseException as e:
            items.close(e)

    def _matted(self) -> Iterator[Matted]:
        """Yield frames with their mattes."""
        state: Any = None
        key: tuple[int, tuple[int, ...]] | None = None
        for frame, rgb in self._items:
            if self._stop.is_set():
                break
            if key != (frame.segment, rgb.shape):
                key = (frame.segment, rgb.shape)
                state = self._matter.start(rgb.shape[1], rgb.shape[0])
            with self._clock.measure("infer"):
                matte, state = self._matter.step(rgb, state)
            yield frame, rgb, matte

    def _infer(self, pool: ThreadPoolExecutor) -> int:
        count = 0
        for job in self._on_host(pool) if self._device is None else self._on_device(self._device):
            for lane in self._lanes:
                lane.put(job)
            count += 1
            if count % _TIDY == 0:
                give_back()
            if self._progress is not None:
                self._progress(count, self._source.info)
        return count

    def _on_host(self, pool: ThreadPoolExecutor) -> Iterator[_Job]:
        """Yield composed frames to come; they are composed beside the network."""
        matted = self._matted()
        for frame, rgb, matte in one_frame_delay(matted) if self._delay_one else matted:
            with self._clock.measure("background"):
                advanced = [o.compositor.advance(frame) for o in self._outputs]
            yield pool.submit(self._compose, frame, rgb, matte, advanced)

    def _on_device(self, device: "DeviceComposer") -> Iterator[_Job]:
        """Yield composed frames."""
        (output,) = self._outputs
        assert isinstance(output.compositor, Composite)
        for frame, _ in self._items:
            if self._stop.is_set():
                break
            with self._clock.measure("background"):
                behind = output.compositor.behind(frame)
            job: _Job = Future()
            with self._clock.measure("infer"):
                job.set_result([device.compose(frame, behind)])
            yield job

    def _compose(
        self, frame: Frame, rgb: NDArray[np.uint8], matte: Matte, advanced: list[Advanced]
    ) -> list[Frame]:
        with self._clock.measure("refine"):
            full = refine(frame, rgb, matte, self._options)
        if not full.screen:
            with self._clock.lock:
                self._screenless += 1
        with self._clock.measure("composite"):
            return [
                o.compositor.compose(frame, full, a)
                for o, a in zip(self._outputs, advanced, strict=True)
            ]

    def _write(self, index: int) -> None:
        sink = self._outputs[index].sink
        try:
            for job in self._lanes[index]:
                frame = job.result()[index]
                with self._clock.measure("encode"):
                    sink.write(frame)
        except BaseException as e:
            self._failures.append(e)
            self._give_up()
