"""Popularity against a twin that sorts everything at every question."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import popularity as module
from model.metrics import MISS
from model.popularity import Popularity

HOUR_MS = 3_600_000


class Sorted:
    """The simple twin: exact sums, sorted anew for every answer."""

    def __init__(self, half_life_ms: int | None) -> None:
        self.half_life_ms = half_life_ms
        self.events: list[tuple[str, int]] = []

    def observe(self, item: str, ts_ms: int) -> None:
        self.events.append((item, ts_ms))

    def scores(self) -> dict[str, float]:
        if self.half_life_ms is None:
            return dict(Counter(item for item, _ in self.events))
        scores: dict[str, float] = {}
        for item, ts_ms in self.events:
            scores[item] = scores.get(item, 0.0) + 2.0 ** ((ts_ms - self.events[0][1]) / self.half_life_ms)
        return scores

    def top(self, n: int, exclude: set[str]) -> list[str]:
        scores = self.scores()  # in order of the first event, which a stable sort keeps among ties
        return [item for item in sorted(scores, key=lambda item: -scores[item]) if item not in exclude][:n]


events = st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.integers(0, 50)), max_size=60)


@pytest.mark.parametrize("half_life_ms", [None, HOUR_MS])
@pytest.mark.parametrize("num_leaders", [3, 1024])
@given(happened=events, exclude=st.sets(st.sampled_from("abcdefghijkl")), n=st.integers(0, 13))
@settings(max_examples=60, deadline=None)
def test_top_equals_sorting_everything(
    half_life_ms: int | None, num_leaders: int, happened: list, exclude: set[str], n: int
) -> None:
    """The sorted leaders, few or many, give what a full sort gives, late events and ties included."""
    before = module.NUM_LEADERS
    module.NUM_LEADERS = num_leaders
    try:
        fast, slow = Popularity(half_life_ms), Sorted(half_life_ms)
        for item, hour in happened:
            fast.observe(item, hour * HOUR_MS)
            slow.observe(item, hour * HOUR_MS)
        assert fast.top(n, exclude) == slow.top(n, exclude)
    finally:
        module.NUM_LEADERS = before


def test_ties_go_to_the_item_seen_first() -> None:
    """Equal counts keep the order of the first events."""
    popularity = Popularity()
    for item in ("late", "early", "early", "late", "third", "third"):
        popularity.observe(item, 0)

    assert popularity.top(3) == ["late", "early", "third"]


def test_rank_counts_half_the_ties_among_what_is_not_excluded() -> None:
    """Counts 3, 1, 1, 1 without the leader: the three ties share ranks 1 to 3."""
    popularity = Popularity.from_counts(["a", "b", "c", "d", "never"], [3, 1, 1, 1, 0])

    assert popularity.rank_of("c") == 3.0
    assert popularity.rank_of("c", {"a", "elsewhere"}) == 2.0
    assert popularity.rank_of("a", {"a"}) == MISS
    assert popularity.rank_of("never") == MISS


def test_an_event_loses_half_its_weight_in_a_half_life() -> None:
    """Three old events weigh less than one that is two half-lives younger."""
    popularity = Popularity(HOUR_MS)
    for _ in range(3):
        popularity.observe("old", 0)
    popularity.observe("new", 2 * HOUR_MS)

    assert popularity.top(2) == ["new", "old"]


def test_a_late_event_counts_by_its_own_time() -> None:
    """An event from long ago that arrives last hardly counts."""
    popularity = Popularity(HOUR_MS)
    popularity.observe("new", 20 * HOUR_MS)
    popularity.observe("late", 0)
    popularity.observe("late", 0)

    assert popularity.top(2) == ["new", "late"]


def test_years_of_short_half_lives_stay_finite() -> None:
    """The landmark moves before a weight leaves the range of a float; the newest item leads."""
    popularity = Popularity(HOUR_MS)
    for day in range(0, 4000, 10):
        popularity.observe(f"item{day % 7}", day * 24 * HOUR_MS)

    assert popularity.top(1) == [f"item{3990 % 7}"]
    assert popularity.rank_of(f"item{3990 % 7}") == 1.0


def test_known_counts_and_events_are_one_popularity() -> None:
    """Counts of a version and events after it add up."""
    popularity = Popularity.from_counts(["a", "b"], [2, 1])
    for _ in range(2):
        popularity.observe("b", 0)

    assert popularity.top(5) == ["b", "a"]
    assert len(popularity) == 2
