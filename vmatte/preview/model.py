"""Another model, and another size of its picture, while a run goes on."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from vmatte.live import LivePipeline
from vmatte.matting import Matter, MatterOptions, load_matter
from vmatte.registry import find_model, load_registry
from vmatte.steer import SteerOptions, load_steered

_SCALES = (1.0, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
"""Shares of the model's usual picture size that are gone through."""

_TRIED = 1.0
"""Seconds until a change of the model's picture must have shown, or it cannot be changed."""


class Models:
    """Goes through models, and closes those that it has loaded."""

    def __init__(
        self, names: Sequence[str] | None, matter: MatterOptions, steer: SteerOptions
    ) -> None:
        """Go through ``names``, None for the models on this machine."""
        self._names, self._steer = names, steer
        # Ratio and classes are of the first model, and mean nothing to others.
        self._matter = MatterOptions(
            runtime=matter.runtime,
            stabilise=matter.stabilise,
            accept_licence=matter.accept_licence,
        )
        self._owned: Matter[Any] | None = None

    def next(self, pipeline: LivePipeline, say: Callable[[str], None]) -> None:
        """Load the model after the present one. Raises what loading it raises."""
        engine = pipeline.snapshot().engine
        names = list(self._names or _models_here())
        now = engine.model if engine else None
        if not [n for n in names if n != now]:
            say("no other model is on this machine: vmatte models list")
            return
        name = names[(names.index(now) + 1) % len(names)] if now in names else names[0]
        say(f"loading {name} ...")
        matter = load_steered(
            lambda: load_matter(name, self._matter), self._steer, pipeline.feed.info.size
        )
        try:
            before = pipeline.replace_matter(matter)
        except BaseException:
            matter.close()
            raise
        self._owned = matter
        if before is not None:
            before.close()
        say(name)

    def close(self) -> None:
        """Free the last one."""
        if self._owned is not None:
            self._owned.close()
            self._owned = None


def scale(pipeline: LivePipeline, by: int, *, paused: bool) -> str:
    """Make the model's picture smaller by a step, or larger by -1; return what came of it."""
    nearest = min(range(len(_SCALES)), key=lambda i: abs(_SCALES[i] - pipeline.scale))
    index = min(len(_SCALES) - 1, max(0, nearest + by))
    before = pipeline.snapshot()
    pipeline.scale = _SCALES[index]
    until = time.monotonic() + _TRIED
    while pipeline.snapshot().working == before.working and time.monotonic() < until:
        time.sleep(0.02)
    if _SCALES[index] == _SCALES[nearest]:
        return f"the model's picture is {_SCALES[index]:.0%} of its usual size already"
    if pipeline.snapshot().working == before.working and not paused:
        pipeline.scale = _SCALES[nearest]
        model = before.engine.model if before.engine else "the model"
        return f"{model}: its picture has a fixed size"
    return f"the model's picture: {_SCALES[index]:.0%} of its usual size"


def _models_here() -> list[str]:
    registry = load_registry()
    return [n for n in registry.names() if find_model(registry.get(n)) is not None]
