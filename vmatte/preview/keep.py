"""Pictures and recordings of what the window shows."""

import time
from pathlib import Path

from vmatte.composite import Subject
from vmatte.live import LivePipeline
from vmatte.output import Output
from vmatte.preview.look import Look
from vmatte.sinks import FileSink, ImagesSink


class Keeper:
    """Saves under names that are not taken yet. What it returns is for the user to read."""

    def __init__(self, look: Look, folder: Path) -> None:
        """Keep what ``look`` shows in ``folder``."""
        self._look, self._folder = look, folder
        self._output: Output | None = None

    @property
    def recording(self) -> bool:
        """Whether a recording is under way."""
        return self._output is not None

    def save(self) -> str:
        """Save the last frame's subject, with transparency. Raises OutputError."""
        if self._look.seen is None:
            return "there is no picture yet"
        info, seen = self._look.seen
        subject = Subject(transparent=True)
        path = self._path(".png")
        sink = ImagesSink(str(path))
        sink.open(subject.open(info))
        try:
            sink.write(subject.compose(*seen, None))
            sink.close()
        except BaseException:
            sink.abort()
            raise
        return f"saved {path}"

    def record(self, pipeline: LivePipeline) -> str:
        """Begin a recording of ``pipeline``, or end it. Raises OutputError."""
        if self._output is not None:
            output, self._output = self._output, None
            pipeline.remove_output(output)
            return f"recorded {output.sink.name}"
        output = Output(self._look.plain(), FileSink(str(self._path(".mp4")), sound=False))
        pipeline.add_output(output)
        self._output = output
        return f"recording to {output.sink.name}"

    def replace(self, pipeline: LivePipeline) -> None:
        """Record what is to be shown now, where a recording is under way."""
        if self._output is not None:
            pipeline.replace_compositor(self._output, self._look.plain())

    def _path(self, suffix: str) -> Path:
        stem = time.strftime("vmatte-%Y%m%d-%H%M%S")
        path = self._folder / f"{stem}{suffix}"
        count = 1
        while path.exists():
            count += 1
            path = self._folder / f"{stem}-{count}{suffix}"
        return path
