"""Silences and the session gap they suggest, in worlds whose gap is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.datasets.building import TableBuilder
from ops.datasets.table import EventTable
from ops.gaps import DAY_MS, DEFAULT_GAP_MS, MINUTE_MS, gaps_ms, percentiles, session_lengths, suggest
from ops.simulate import MAX_PAUSE_MS, MIN_ABSENCE_MS, simulate
from stream.sessions import closes

TOUCHES = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60)), max_size=40)


def table(touches: list[tuple[str, int]]) -> EventTable:
    builder = TableBuilder()
    builder.add([user for user, _ in touches], ["x"] * len(touches), [ts for _, ts in touches], "click")
    return builder.build()


@given(TOUCHES, st.integers(1, 20), st.integers(1, 5))
def test_sessions_are_those_of_the_stream(
    touches: list[tuple[str, int]], gap_ms: int, max_events: int
) -> None:
    """Counting in columns gives what the worker's rule gives event by event."""
    events = table(touches)
    lengths: list[int] = []
    for user in "ab":
        num, last_ms = 0, 0
        for event in events:
            if event.user == user:
                if closes(num, last_ms, event.ts, gap_ms, max_events):
                    lengths.append(num)
                    num = 0
                num, last_ms = num + 1, event.ts
        lengths += [num] if num else []

    assert sorted(session_lengths(events, gap_ms, max_events)) == sorted(lengths)


def test_silences_are_within_a_user() -> None:
    """Events of others do not interrupt a silence, and none runs from one user to the next."""
    assert sorted(gaps_ms(table([("a", 0), ("b", 5), ("a", 7), ("b", 6), ("c", 9)]))) == [1, 7]


def test_the_gap_of_a_simulated_world_is_found() -> None:
    """The suggestion lies between the longest pause and the shortest absence."""
    suggestion = suggest(gaps_ms(simulate(1, users=300, events=20_000).dataset.events))

    assert MAX_PAUSE_MS <= suggestion.gap_ms <= MIN_ABSENCE_MS
    assert "between pauses and absences" in suggestion.reason


@pytest.mark.parametrize("valley_minutes", [10, 30, 120])
def test_the_valley_is_found_wherever_it_is(valley_minutes: int) -> None:
    """Two hills, far below and far above the gap: it is found within a factor of two."""
    rng = np.random.default_rng(0)
    centre = valley_minutes * MINUTE_MS
    hills = [rng.lognormal(np.log(centre * factor), 0.8, size=5000) for factor in (1 / 16, 16)]
    found = suggest(np.concatenate(hills).astype(np.int64)).gap_ms

    assert centre / 2 <= found <= centre * 2


def test_without_a_valley_the_usual_gap_stands() -> None:
    """One hill in the middle of everything suggests nothing."""
    one_hill = np.random.default_rng(0).lognormal(np.log(60 * MINUTE_MS), 2.0, size=5000).astype(np.int64)

    assert suggest(one_hill).gap_ms == DEFAULT_GAP_MS
    assert "too few" in suggest(one_hill[:50]).reason


def test_days_are_recognised() -> None:
    """Times without hours make days of sessions."""
    suggestion = suggest(np.random.default_rng(0).integers(0, 50, size=1000) * DAY_MS)

    assert 0 < suggestion.gap_ms < DAY_MS
    assert "resolution of a day" in suggestion.reason


def test_percentiles_are_values_that_occur() -> None:
    """Lower interpolation; no numbers, no percentiles."""
    assert percentiles(np.array([1, 2, 3, 4]), (50, 99)) == {"p50": 2, "p99": 3}
    assert percentiles(np.array([], dtype=np.int64)) == {}
