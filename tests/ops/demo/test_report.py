"""What the demo calls unexplained at its end."""

from __future__ import annotations

from typing import Any

import pytest

from ops.demo.agreement import Agreement, Compared
from ops.demo.ledger import Ledger
from ops.demo.report import agreement_text, unexplained

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


def test_lists_that_differ_offline_are_not_explained_unless_somebody_clicked_beside() -> None:
    """A reader's own clicks are in the memory of the one and not of the other."""
    agreed = Agreement(
        lines={"model": Compared(lists=200, same=150, shared=190.0, first="ann after 3 events")}
    )

    [problem] = unexplained(observed(), BALANCED, 10, agreed)
    assert "Of 200 lists of the line model, 50 are not" in problem
    assert "ann after 3 events" in problem
    assert unexplained(observed(), BALANCED, 9, agreed) == []


def test_agreement_is_told_line_by_line() -> None:
    """How many lists are the same, and what was not compared; nothing to compare is said too."""
    agreed = Agreement({"model": Compared(lists=1200, same=1199, shared=1200.0)}, missing=3, long=2)

    told = agreement_text(agreed.to_json())
    assert told.startswith("model 1,199 of 1,200; 3 events without a list")
    assert "2 of users with a long history" in told
    assert agreement_text(Agreement().to_json()).startswith("none to compare; 0 events")
