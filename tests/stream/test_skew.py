"""How far lists come behind their events, in events."""

from __future__ import annotations

import pytest

from stream.skew import Skew


def skew(*written_ms: int, max_moments: int = 100) -> Skew:
    made = Skew(max_moments)
    for ms in written_ms:
        made.written(ms)
    return made


def test_in_lockstep_there_is_none() -> None:
    """The next event comes with the last one's list or after it."""
    made = skew(10, 20, 30)
    for event_ms, list_ms in ((10, 20), (20, 29), (30, 31)):
        made.answered(event_ms, list_ms)

    assert made.largest() == 0


@pytest.mark.parametrize("order", [(10, 11, 12, 13), (13, 11, 10, 12)], ids=["in order", "in any order"])
def test_events_between_an_event_and_its_list_count(order: tuple[int, ...]) -> None:
    """Two came after the one at 10 before its list at 13, whichever partition is read first."""
    made = skew(*order)
    made.answered(12, 13)
    made.answered(10, 13)

    assert made.largest() == 2


def test_events_of_one_millisecond_may_be_in_between() -> None:
    """Which came first is not known, so they count."""
    made = skew(10, 10, 10)
    made.answered(10, 11)

    assert made.largest() == 2


def test_clocks_that_disagree_make_no_negative_skew() -> None:
    """A list that seems older than its event has nothing in between; without lists nothing is known."""
    made = skew(10, 11)
    assert made.largest() is None

    made.answered(11, 10)
    assert made.largest() == 0


def test_it_is_bounded() -> None:
    """The older half goes, pairs by pairs."""
    made = skew(*range(50), max_moments=10)
    for ms in range(50):
        made.answered(ms, ms + 3)

    assert made.largest() == 2
