"""The session rule and fingerprints of sequences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.sessions import EMPTY, closes, extend, fingerprint_of, joined

EVENTS = st.lists(st.tuples(st.text(max_size=8), st.integers(0, 2**45)), max_size=40)


def test_the_first_event_closes_nothing() -> None:
    """An empty open session takes any event."""
    assert not closes(0, -1, 10**12, gap_ms=1000, max_events=2)


def test_a_gap_closes_only_when_it_is_longer_than_g() -> None:
    """A gap of exactly g still belongs to the session; one millisecond more does not."""
    assert not closes(1, 0, 1000, gap_ms=1000, max_events=32)
    assert closes(1, 0, 1001, gap_ms=1000, max_events=32)


def test_a_full_session_closes_whatever_the_time() -> None:
    """The event after S_max starts a new session, a late one too."""
    assert closes(32, 5000, 5000, gap_ms=1000, max_events=32)
    assert closes(32, 5000, 0, gap_ms=1000, max_events=32)


def test_a_late_event_does_not_close_by_time() -> None:
    """However late, it joins the open session."""
    assert not closes(3, 10**12, 0, gap_ms=1, max_events=32)


@given(EVENTS, EVENTS)
def test_joining_two_sequences_is_extending_the_first(
    first: list[tuple[str, int]], second: list[tuple[str, int]]
) -> None:
    """Fingerprints of sessions compose exactly to the fingerprint of all their events."""
    composed = joined(fingerprint_of(first), fingerprint_of(second), len(second))

    assert composed == fingerprint_of([*first, *second])


@given(EVENTS.filter(lambda events: len(set(events)) > 1))
def test_order_matters(events: list[tuple[str, int]]) -> None:
    """Another order of different events has another fingerprint."""
    turned = [*events[1:], events[0]]
    if turned != events:
        assert fingerprint_of(turned) != fingerprint_of(events)


def test_extending_changes_even_an_empty_fingerprint() -> None:
    """One event is not none."""
    assert extend(EMPTY, "a", 0) != EMPTY
