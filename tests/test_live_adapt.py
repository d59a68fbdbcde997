"""Holding a rate, with simulated times: steps, hysteresis, no swinging to and fro."""

import itertools
from collections.abc import Callable

import pytest

from vmatte.live.adapt import LADDER, Adapter


def simulate(
    adapter: Adapter,
    cost: Callable[[float], float],
    seconds: float,
    rate: float = 30,
    begin: float = 0.0,
) -> list[tuple[float, float]]:
    """Run a machine that takes cost(now) seconds a frame at full size; return (time, share)s."""
    now, found = begin, [(begin, adapter.share)]
    while now < begin + seconds:
        spent = cost(now) * adapter.share**2
        now += max(spent, 1 / rate)
        if adapter.update(now, spent):
            found.append((now, adapter.share))
    return found


def test_a_fast_machine_keeps_the_full_size() -> None:
    assert simulate(Adapter(30), lambda _: 0.025, 60) == [(0.0, 1.0)]


@pytest.mark.parametrize(("cost", "share"), [(0.040, 0.85), (0.060, 0.7), (0.085, 0.6), (0.2, 0.5)])
def test_a_slow_machine_steps_down_until_it_holds(cost: float, share: float) -> None:
    found = simulate(Adapter(30), lambda _: cost, 120)
    assert found[-1][1] == share
    shares = [s for _, s in found]
    assert shares == list(LADDER[: len(shares)])
    # A decision a second.
    assert found[-1][0] < 1.5 * len(found)


def test_one_slow_frame_is_nothing() -> None:
    count = itertools.count()
    adapter = Adapter(30)
    assert len(simulate(adapter, lambda _: 0.2 if next(count) % 60 == 59 else 0.02, 60)) == 1


def test_it_steps_up_again_when_there_is_room() -> None:
    found = simulate(Adapter(30), lambda now: 0.06 if now < 20 else 0.01, 60)
    assert [s for _, s in found] == [1.0, 0.85, 0.7, 0.85, 1.0]
    up = found[3][0]
    assert 20 <= up <= 26


def test_room_must_be_enough_for_the_next_step() -> None:
    """At 85 % of the budget there is none: 0.7 stays."""
    found = simulate(Adapter(30), lambda _: 0.055, 300)
    assert found[-1][1] == 0.7 and len(found) == 3


def test_it_does_not_swing() -> None:
    """A machine that is slower than its times foretell: tries become rare."""
    adapter = Adapter(30)
    now, changes = 0.0, []
    while now < 600:
        # Small pictures look cheap, the larger one is not.
        spent = {1.0: 0.05, 0.85: 0.015}.get(adapter.share, 0.01)
        now += max(spent, 1 / 30)
        if adapter.update(now, spent):
            changes.append(now)
    gaps = [round(b - a) for a, b in itertools.pairwise(changes[1::2])]
    assert gaps == sorted(gaps) and gaps[-1] > 100
    assert len(changes) < 20


def test_another_model_begins_anew() -> None:
    adapter = Adapter(30)
    simulate(adapter, lambda _: 0.2, 20)
    adapter.reset()
    assert adapter.share == 1.0
