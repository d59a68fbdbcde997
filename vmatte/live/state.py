"""Which state a live run is in."""

from vmatte.live.feed import Feed
from vmatte.live.stages import Stages
from vmatte.live.stats import LiveState

_HANGS = 1.0
"""Seconds without a composite after which the model counts as stalled, unless it is that slow."""


def state_of(stages: Stages, feed: Feed, now: float) -> LiveState:
    """Return the state at ``now``, of time.monotonic. See docs/live.md."""
    if stages.idle:
        return "idle"
    if stages.paused:
        return "paused"
    if stages.inference is None:
        return "starting"
    source = feed.state
    if source in ("lost", "released", "closed"):
        return "lost"
    if source == "stalled":
        return "stalled"
    if stages.failing:
        return "error"
    if not stages.composed_at:
        return "starting"
    if feed.stands:
        return "live"
    silence = now - stages.composed_at
    return "stalled" if silence > max(_HANGS, 3 * stages.busy) else "live"
