"""A uniform sample of the past, bounded, and the same after a snapshot."""

from __future__ import annotations

import numpy as np
import pytest

from model.reservoir import Reservoir, owner_of


def filled(num: int, capacity: int, seed: int = 0) -> tuple[Reservoir, np.random.Generator]:
    reservoir, random = Reservoir(3, capacity), np.random.default_rng(seed)
    for number in range(num):
        reservoir.offer(number % 2, [number, number + 1], [number, number + 1], random)
    return reservoir, random


def test_every_event_of_the_past_is_kept_with_the_same_chance() -> None:
    """Of 200 runs over 40 events each event ends up among the 10 kept in about a quarter: 50 +- 25, four
    standard deviations."""
    counts = np.zeros(40)
    for seed in range(200):
        reservoir, random = filled(40, 10, seed)
        for codes, _ in reservoir.draw(10, random):
            counts[codes[0]] += 1

    assert counts.sum() == 2000
    assert 25 <= counts.min() <= counts.max() <= 75


def test_windows_are_the_newest_events_and_one_alone_is_none() -> None:
    """Longer histories are cut at their start; a user's first event teaches nothing."""
    reservoir, random = Reservoir(3, 5), np.random.default_rng(0)
    reservoir.offer(1, [7], [70], random)
    reservoir.offer(1, [1, 2, 3, 4], [10, 20, 30, 40], random)
    drawn = reservoir.draw(9, random)

    assert [(codes.tolist(), times.tolist()) for codes, times in drawn] == [([2, 3, 4], [20, 30, 40])]


def test_draws_are_distinct_and_at_most_all() -> None:
    """Asked for more than there is, everything comes once."""
    reservoir, random = filled(30, 12)
    first = sorted(int(codes[0]) for codes, _ in reservoir.draw(99, random))

    assert len(set(first)) == len(first) == len(reservoir) == 12


def test_a_snapshot_goes_on_the_same() -> None:
    """Offers and draws after it give what they would have given."""
    reservoir, random = filled(50, 20)
    other, other_random = Reservoir.from_arrays(reservoir.to_arrays()), np.random.default_rng()
    other_random.bit_generator.state = random.bit_generator.state
    for number in range(30):
        reservoir.offer(1, [number, 0], [0, 1], random)
        other.offer(1, [number, 0], [0, 1], other_random)
    ours, theirs = reservoir.draw(9, random), other.draw(9, other_random)

    assert all(np.array_equal(one[0], two[0]) for one, two in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("width", "capacity"), [(1, 5), (2, 0)])
def test_a_window_needs_two_events_and_a_place(width: int, capacity: int) -> None:
    """Anything less is refused."""
    with pytest.raises(ValueError, match="two events"):
        Reservoir(width, capacity)


def test_a_forgotten_owner_is_never_drawn_again() -> None:
    """Their windows go, a snapshot holds none of their events, everybody else's stay."""
    reservoir, random = filled(40, 100)
    reservoir.forget(1)
    drawn = reservoir.draw(99, random)
    kept = reservoir.to_arrays()

    assert (
        sorted(int(codes[0]) for codes, _ in drawn)
        == list(range(0, 40, 2))
        == sorted(kept["codes"][kept["lengths"] > 0][:, 0].tolist())
    )
    assert len(reservoir) == 20
    assert not kept["codes"][kept["lengths"] == 0].any()
    assert not kept["times_ms"][kept["lengths"] == 0].any()
    assert len(Reservoir.from_arrays(kept)) == 20


def test_an_owner_is_one_number_and_names_nobody() -> None:
    """The same in every run, another for everybody else, and 64 bits wide."""
    assert owner_of("ann") == owner_of("ann") != owner_of("bob")
    assert all(-(1 << 63) <= owner_of(str(number)) < 1 << 63 for number in range(100))
