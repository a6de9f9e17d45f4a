"""What waits to be learned, and the stretches of history it is learned from."""

from __future__ import annotations

import numpy as np

from model.trails import Trails


def told(trails: Trails, user: str, start: int, num: int) -> None:
    for code in range(start, start + num):
        trails.observe(user, code, 10 * code)


def test_every_event_that_waits_is_a_target_once() -> None:
    """Whatever the window and however much waits; a user's first event is none."""
    for window in (3, 8, 50):
        trails = Trails(kept=10)
        told(trails, "u", 0, 25)
        trails.learned()
        told(trails, "u", 25, 17)
        told(trails, "v", 100, 6)
        targets = [code for cut in trails.cuts(window) for code in cut.codes[cut.first_target :].tolist()]

        assert sorted(targets) == [*range(25, 42), *range(101, 106)]
        assert all(len(cut.codes) <= window + 1 for cut in trails.cuts(window))


def test_a_target_has_the_history_before_it() -> None:
    """Stretches are unbroken, and hold half a window of context where there is as much."""
    trails = Trails(kept=30)
    told(trails, "u", 0, 40)
    trails.learned()
    told(trails, "u", 40, 20)

    for cut in trails.cuts(10):
        assert np.diff(cut.codes).tolist() == [1] * (len(cut.codes) - 1)
        assert cut.first_target >= 5
        assert cut.times_ms.tolist() == [10 * code for code in cut.codes.tolist()]


def test_what_is_learned_is_bounded() -> None:
    """A user keeps the newest events, and of the users those active last are kept."""
    trails = Trails(kept=4, max_users=2)
    for user in ("a", "b", "c", "a"):
        told(trails, user, 0, 6)
    trails.learned()
    arrays = trails.to_arrays()

    assert len(trails) == 2
    assert arrays["counts"].tolist() == [[4, 0], [4, 0]]
    assert trails.cuts(9) == []


def test_a_snapshot_in_the_middle_keeps_what_waits() -> None:
    """The same stretches in the same order come out of it."""
    trails = Trails(kept=5)
    told(trails, "ü", 0, 4)
    told(trails, "", 50, 3)
    trails.learned()
    told(trails, "", 53, 2)
    told(trails, "ü", 4, 2)
    other = Trails.from_arrays(trails.to_arrays())

    assert [(cut.codes.tolist(), cut.first_target) for cut in other.cuts(9)] == [
        (cut.codes.tolist(), cut.first_target) for cut in trails.cuts(9)
    ]
    assert len(other.cuts(9)) == 2
