"""A live run and its window: the run on a thread, the window on the caller's."""

import threading

from vmatte.live import LivePipeline, LiveStats
from vmatte.preview.player import Player
from vmatte.sinks.window import WindowSink

_ENDING = 40.0
"""Seconds that a run may take to end; it takes less by its own limits."""


def watch(pipeline: LivePipeline, window: WindowSink, player: Player) -> LiveStats:
    """Run ``pipeline`` while its window is open; return what was done.

    To be called on the main thread, the only one that may draw on macOS. ``player.output`` is to be
    among the outputs. Ends when the window is closed, or the run has ended. Raises what the run
    raises, OutputError where there is no screen.
    """
    results: list[LiveStats] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(pipeline.run())
        except BaseException as e:
            failures.append(e)
        finally:
            window.close()

    thread = threading.Thread(target=run, name="vmatte-live", daemon=True)
    thread.start()
    player.attach(pipeline)
    try:
        window.loop(player)
    finally:
        pipeline.stop()
        thread.join(_ENDING)
        player.close()
    if failures:
        raise failures[0]
    if not results:
        raise RuntimeError(f"the live run did not end within {_ENDING:g} s")
    return results[0]
