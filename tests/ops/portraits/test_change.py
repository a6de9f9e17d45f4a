"""What changed between two moments, and why."""

from __future__ import annotations

from ops.past import Then
from ops.portraits.change import changes
from ops.portraits.then import Rebuilt
from stream.events import Interaction
from stream.history import Rules, User
from stream.themes import Router


def rebuilt(
    at: str,
    taken: str,
    ranked: str,
    version: str = "000001",
    theme: int = 0,
    skipped: str = "",
) -> Rebuilt:
    user = User.new("t")
    kinds = [*[(item, "click") for item in taken], *[(item, "skip") for item in skipped]]
    for number, (item, kind) in enumerate(kinds):
        event = Interaction(ts=1000 + number, user="ann", item=item, type=kind)
        user.apply(event, "t", number, Rules(), Router())
    return Rebuilt(
        at=at,
        state=Then(user, 0, 0),
        version=version,
        stored=None,
        ranked=[(item, 1.0) for item in ranked],
        themes=((theme, 1.0),),
    )


def test_what_was_taken_or_rejected_left_for_that() -> None:
    """c was taken, d was skipped; e left and f entered for the events alone."""
    found = changes(rebuilt("0", "ab", "cdeg"), rebuilt("2", "abc", "fgh", skipped="d"))

    assert [event["item"] for event in found["events"]] == ["c", "d"]
    assert {entry["item"]: entry["why"] for entry in found["left"]} == {
        "c": "taken",
        "d": "rejected",
        "e": "events",
    }
    assert {entry["item"]: entry["why"] for entry in found["entered"]} == {"f": "events", "h": "events"}
    assert found["stayed"] == 1


def test_another_version_comes_before_another_theme() -> None:
    """What neither was taken nor rejected is put down to the version, then to the theme."""
    before = rebuilt("0", "a", "x")
    both = changes(before, rebuilt("1", "ab", "y", version="000002", theme=1))
    theme = changes(before, rebuilt("1", "ab", "y", theme=1))

    assert both["left"] == [{"item": "x", "why": "version"}]
    assert theme["entered"] == [{"item": "y", "why": "theme"}]
    assert (both["version"], theme["theme"]) == (["000001", "000002"], [0, 1])


def test_the_same_moment_twice_changes_nothing() -> None:
    """No events, nothing left, nothing entered."""
    found = changes(rebuilt("1", "ab", "xyz"), rebuilt("1", "ab", "xyz"))

    assert (found["events"], found["left"], found["entered"], found["stayed"]) == ([], [], [], 3)
