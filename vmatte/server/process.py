"""A process that runs jobs, one after another, so that they share its loaded model.

A process of its own: a decoder that crashes takes nothing else along.
"""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any


class Process:
    """``python -m vmatte.server.worker``. idle_since: when its last job ended."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Take a process that was started; see ``start``."""
        self._process = process
        self.idle_since = time.monotonic()

    @classmethod
    async def start(cls) -> "Process":
        """Start one; it loads a model with its first job."""
        return cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "vmatte.server.worker"),
                stdin=PIPE,
                stdout=PIPE,
                # The terminal's Ctrl-C is ours; we end the worker.
                start_new_session=os.name == "posix",
            )
        )

    @property
    def alive(self) -> bool:
        """Whether it can take a job."""
        return self._process.returncode is None

    async def events(self, order: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """Have it run a job, and yield what it tells; stops where the process does."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        # Left open: its end tells the worker that we are gone.
        process.stdin.write(json.dumps(order).encode() + b"\n")
        with suppress(ConnectionError):
            await process.stdin.drain()
        async for line in process.stdout:
            yield json.loads(line)

    async def end(self) -> int:
        """End it at once, whatever it does; return its exit code."""
        with suppress(ProcessLookupError):
            self._process.kill()
        code = await self._process.wait()
        # Else its pipes stay open until the garbage is collected.
        self._process._transport.close()  # type: ignore[attr-defined]
        return code
