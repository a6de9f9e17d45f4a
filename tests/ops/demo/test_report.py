"""What the demo calls unexplained at its end."""

from __future__ import annotations

from typing import Any

import pytest

from ops.demo.ledger import Ledger
from ops.demo.report import unexplained

BALANCED = Ledger(stored="a" * 64, expected="a" * 64, users=3, state_bytes=300)


def observed(**other: Any) -> dict[str, Any]:
    """A run in which all adds up, but for ``other``."""
    counts = {"events": 10, "applied": 8, "duplicates": 1, "too_late": 0, "refused": 1, "dead_letters": 1}
    none = {"incomplete_users": 0, "unreadable_lists": 0}
    return {**counts, **none, "overlap": {"events": 0, "unchecked": 0, "examples": []}, **other}


def test_what_adds_up_is_explained() -> None:
    """Clicks beside the replay, a dead letter of a request, an evaluator that never told: no problem."""
    assert unexplained(observed(), BALANCED, 10) == []
    assert unexplained(observed(dead_letters=2, overlap=None), BALANCED, 9) == []


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"applied": 7}, "10 events, but 9 applied"),
        ({"dead_letters": 0}, "1 refused, 0 dead letters"),
        ({"incomplete_users": 2}, "2 users' newest list misses"),
        ({"unreadable_lists": 1}, "1 records are no lists"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_what_does_not_add_up_is_named(other: dict[str, Any], says: str) -> None:
    """One sentence for each kind of loss."""
    [problem] = unexplained(observed(**other), BALANCED, 10)

    assert says in problem


def test_an_event_that_judged_what_had_learned_it_is_not_explained() -> None:
    """One is enough for the demo to fail, and the first is named."""
    example = "event 0/7 judged 000002, trained through offset 9"
    overlap = {"events": 1, "unchecked": 0, "examples": [example]}
    [problem] = unexplained(observed(overlap=overlap), BALANCED, 10)

    assert "1 events judged a version that had been trained through them" in problem
    assert example in problem
