"""How long a new item needs until somebody's list holds it."""

from __future__ import annotations

from itertools import permutations

import msgspec

from stream.newcomers import Newcomers


def test_the_way_to_the_first_list_in_seconds_and_events() -> None:
    """Taken at 1, 2 and 9 s, listed at 4 s: three seconds and two events, in whatever order it is told."""
    steps = [("took", 1000), ("took", 2000), ("took", 9000), ("listed", 4000), ("listed", 8000)]
    for order in permutations(steps):
        newcomers = Newcomers()
        newcomers.listed([], 1, 0)
        for what, ms in order:
            if what == "took":
                newcomers.took("a", ms)
            else:
                newcomers.listed(["a"], 1, ms)

        found = newcomers.figures()
        assert found["same_version"]["seconds"] == {"p50": 3.0, "p95": 3.0}
        assert found["same_version"]["events"] == {"p50": 2.0, "p95": 2.0}


def test_an_item_that_a_new_version_may_have_brought_is_told_apart() -> None:
    """Between its first event and its first list the first list of epoch 2 was written."""
    newcomers = Newcomers()
    newcomers.listed([], 1, 0)
    newcomers.took("a", 1000)
    newcomers.listed([], 2, 2000)
    newcomers.listed(["a"], 2, 3000)

    found = newcomers.figures()
    assert (found["same_version"]["items"], found["new_version"]["items"]) == (0, 1)


def test_what_no_list_shows_is_counted() -> None:
    """Taken and never listed."""
    newcomers = Newcomers()
    newcomers.took("a", 1000)

    assert (newcomers.figures()["taken"], newcomers.figures()["shown"]) == (1, 0)


def test_new_items_are_bounded() -> None:
    """Past the bound they are only counted."""
    newcomers = Newcomers(max_items=1)
    newcomers.took("a", 0)
    newcomers.took("b", 0)

    assert (newcomers.figures()["taken"], newcomers.left_out) == (1, 1)


def test_newcomers_go_on_from_their_state() -> None:
    """Stored and restored, the figures are the same."""
    newcomers = Newcomers()
    newcomers.took("a", 1000)
    newcomers.listed(["a", "b"], 3, 1500)
    restored = Newcomers()
    restored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(newcomers.state())))
    for one in (newcomers, restored):
        one.took("b", 1400)

    assert restored.figures() == newcomers.figures()
