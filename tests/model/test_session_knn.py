"""Nearest sessions in worlds where the nearest one is known."""

from __future__ import annotations

from collections.abc import Sequence

from model.session_knn import HOUR_MS, MAX_ITEMS, SessionConfig, SessionKnn

Log = list[tuple[str, str, int]]


def told(log: Log, config: SessionConfig | None = None) -> SessionKnn:
    """Events by user, item and hour."""
    made = SessionKnn(config)
    for user, item, hour in log:
        made.observe(user, item, hour * HOUR_MS)
    return made


def items(made: SessionKnn, user: str, exclude: Sequence[str] = "") -> list[str]:
    return [item for item, _ in made.recommend(user, 99, set(exclude))]


def test_the_session_that_shares_more_leads() -> None:
    """Two shared items beat one."""
    made = told(
        [
            ("p", "a", 0),
            ("p", "x", 0),
            ("q", "a", 0),
            ("q", "b", 0),
            ("q", "y", 0),
            ("u", "a", 0),
            ("u", "b", 0),
        ]
    )

    assert items(made, "u", "ab") == ["y", "x"]


def test_a_later_item_weighs_more() -> None:
    """Each neighbour shares one item; the one that shares the newest leads."""
    made = told([("p", "b", 0), ("p", "x", 0), ("q", "a", 0), ("q", "y", 0), ("u", "a", 0), ("u", "b", 0)])

    assert made.recommend("u", 2, {"a", "b"}) == [("x", 1.0), ("y", 0.25)]


def test_a_session_ends_after_a_silence() -> None:
    """What p took two days later is another session, so it is no neighbour of a."""
    log = [("p", "a", 0), ("p", "x", 1), ("p", "y", 60), ("u", "a", 61)]

    assert items(told(log), "u", "a") == ["x"]
    assert items(told(log, SessionConfig(gap_ms=100 * HOUR_MS)), "u", "a") == ["x", "y"]


def test_short_sessions_are_extended_by_earlier_items() -> None:
    """After a silence a user still is who they were: the items before it are asked about too."""
    made = told([("p", "a", 0), ("p", "x", 0), ("u", "a", 0), ("u", "b", 60)])

    assert items(made, "u", "ab") == ["x"]


def test_a_user_is_no_neighbour_of_their_own_open_session() -> None:
    """Nobody else took a: there is nothing to go by."""
    assert items(told([("u", "a", 0), ("u", "b", 0)]), "u") == []


def test_only_the_nearest_sessions_count() -> None:
    """With one neighbour the most similar session speaks alone; among equals the newest."""
    log = [("p", "a", 0), ("p", "x", 0), ("q", "a", 0), ("q", "y", 0), ("u", "a", 0)]

    assert items(told(log, SessionConfig(neighbours=1)), "u", "a") == ["y"]
    assert items(told(log, SessionConfig(sample=1)), "u", "a") == []  # u itself is the one session looked at


def test_the_oldest_sessions_make_room() -> None:
    """Of three sessions two are kept: x is forgotten with the first, and p starts anew when it comes back."""
    config = SessionConfig(max_sessions=2)
    log = [("p", "a", 0), ("p", "x", 0), ("q", "a", 0), ("q", "y", 0), ("u", "a", 0)]

    assert items(told(log, config), "u", "a") == ["y"]
    assert items(told([*log, ("p", "z", 0), ("u", "z", 0)], config), "u", "az") == []


def test_a_session_is_closed_when_it_is_full() -> None:
    """The item after the last place opens a session of its own."""
    log = [("p", f"i{number}", 0) for number in range(MAX_ITEMS + 1)] + [("u", f"i{MAX_ITEMS}", 0)]

    assert items(told(log), "u", [f"i{MAX_ITEMS}"]) == []
