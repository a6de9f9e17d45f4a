"""How `hopstream evaluator` prints its report."""

from __future__ import annotations

from typing import Any

from ops.commands.evaluator import told


def report(**overlap: Any) -> dict[str, Any]:
    judged = {"events": 5, "without_list": 0, "late": 1, "waiting": 0}
    found = {"events": 0, "unchecked": 0, "examples": [], **overlap}
    return {"judged": judged, "overlap": found, "lines": {}, "window": {}}


def test_an_event_that_judged_what_had_learned_it_stands_on_top() -> None:
    """As an error with its place; a version whose manifest is gone is told too, and otherwise nothing is."""
    example = "event 0/7 judged 000002, trained through offset 9"
    wrong = told(report(events=1, unchecked=2, examples=[example])).splitlines()

    assert wrong[1].startswith("ERROR: 1 events judged a version that had been trained through them")
    assert example in wrong[1]
    assert "2 events judged a version whose manifest cannot be read" in wrong[2]
    assert "trained through" not in told(report())
