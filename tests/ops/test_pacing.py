"""When events are due."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.pacing import OwnClock, Pacing, Steady, Unpaced

TIMES = st.lists(st.integers(0, 10**9), min_size=1, max_size=30).map(sorted)


@given(TIMES, st.floats(0.001, 1e6), st.integers(0, 29))
def test_an_event_is_due_at_its_time_and_not_before(times: list[int], speed: float, at: int) -> None:
    """Just after `due_s` an event is due; well before it nothing but older events is."""
    position = at % len(times)
    pacing = OwnClock(np.array(times), speed)
    due_s = pacing.due_s(position)

    assert pacing.num_due(due_s * (1 + 1e-9) + 1e-9) > position
    assert due_s == 0 or pacing.num_due(due_s * 0.999999) <= sum(time < times[position] for time in times)


@given(st.floats(0.01, 1e6), st.integers(0, 10**6))
def test_a_steady_rate_keeps_its_own_times(per_s: float, position: int) -> None:
    """Between the times of two events exactly the first of them is due."""
    pacing = Steady(per_s)
    between_s = (pacing.due_s(position) + pacing.due_s(position + 1)) / 2

    assert pacing.num_due(between_s) == position + 1


def test_own_clock_runs_speed_times_faster() -> None:
    """At speed 60 an hour of events takes a minute; events of one instant go together."""
    pacing = OwnClock(np.array([0, 0, 1_800_000, 3_600_000]), 60.0)

    assert [pacing.num_due(seconds) for seconds in (0, 29.9, 30, 60)] == [2, 2, 3, 4]
    assert pacing.due_s(3) == 60


def test_steady_ignores_the_events_times() -> None:
    """At 100 per second the 101st event is due after a second."""
    assert (Steady(100).num_due(1.0), Steady(100).due_s(100)) == (101, 1.0)


def test_unpaced_is_due_at_once() -> None:
    """Nothing waits."""
    assert (Unpaced(7).num_due(0), Unpaced(7).due_s(6)) == (7, 0)


@pytest.mark.parametrize("pacing", [OwnClock(np.array([5, 6]), 1.0), Steady(1.0)])
def test_nothing_is_due_before_the_start(pacing: Pacing) -> None:
    """Before its start a replay has nothing to send."""
    assert pacing.num_due(-1) == 0
