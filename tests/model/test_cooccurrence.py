"""The fast memory and its recommender against a twin that counts pairs in a dictionary."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.columns import EventColumns
from model.cooccurrence import CoOccurrence, memory_of, seed_arrays
from model.memory import DAY_MS, Memory, MemoryConfig, latest

UNBOUNDED = MemoryConfig(window=3, neighbours=40, half_life_ms=DAY_MS, damping=2.0, fade=0.8)
History = list[str]


class Counted:
    """The simple twin: every event kept, every weight computed anew."""

    def __init__(self, config: MemoryConfig) -> None:
        self.config = config
        self.events: list[tuple[History, str, int]] = []

    def learn(self, history: History, item: str, ts_ms: int) -> None:
        self.events.append((list(history), item, ts_ms))

    def score(self, history: History, item: str) -> float:
        now_ms = max((ts_ms for _, _, ts_ms in self.events), default=0)
        counts: dict[str, float] = {}
        pairs: dict[frozenset[str], float] = {}
        for before, taken, ts_ms in self.events:
            weight = 2.0 ** ((ts_ms - now_ms) / self.config.half_life_ms)
            counts[taken] = counts.get(taken, 0.0) + weight
            others = [other for other in latest(before, self.config.window) if other != taken]
            for place, other in enumerate(others):
                pair = frozenset({taken, other})
                pairs[pair] = pairs.get(pair, 0.0) + weight * self.config.fade**place
        return sum(
            self.config.fade**place
            * pairs.get(frozenset({asked, item}), 0.0)
            / sqrt((counts[asked] + self.config.damping) * (counts[item] + self.config.damping))
            for place, asked in enumerate(latest(history, self.config.window))
            if asked != item
        )


logs = st.lists(
    st.tuples(st.sampled_from("uvw"), st.sampled_from("abcdefgh"), st.integers(0, 90)),
    min_size=1,
    max_size=60,
)


@given(log=logs)
@settings(max_examples=60, deadline=None)
def test_scores_are_those_of_counting_everything(log: list[tuple[str, str, int]]) -> None:
    """With room for every neighbour, decay, damping and fading follow the formula, for late events too."""
    memory, twin = Memory(UNBOUNDED), Counted(UNBOUNDED)
    histories: dict[str, History] = {user: [] for user in "uvw"}
    for user, item, day in log:
        memory.learn(histories[user], item, day * DAY_MS)
        twin.learn(histories[user], item, day * DAY_MS)
        histories[user].append(item)
    for history in histories.values():
        known = [twin.score(history, item) for item in memory.items.ids]

        assert memory.scores(history) == pytest.approx(np.array(known), rel=1e-4, abs=1e-12)


def test_the_recommender_keeps_enough_of_each_history() -> None:
    """A user's newest distinct items, repeats moved to the end, are what the whole history would give."""
    random = np.random.default_rng(0)
    made, memory = CoOccurrence(UNBOUNDED), Memory(UNBOUNDED)
    whole: History = []
    for at, item in enumerate("abcdefg"[code] for code in random.integers(0, 7, 80)):
        made.observe("u", item, at)
        memory.learn(whole, item, at)
        whole.append(item)

        assert made.history("u") == latest(whole, 3)[::-1]
        assert made.scores("u").tolist() == memory.scores(whole).tolist()


def test_years_of_short_half_lives_stay_finite() -> None:
    """The landmark moves before a weight leaves the range of a float; the newest pair leads."""
    memory = Memory(MemoryConfig(half_life_ms=DAY_MS))
    for day in range(0, 2000, 7):
        memory.learn(["a"], f"b{day % 3}", day * DAY_MS)
        memory.learn([], "a", day * DAY_MS)
    scores = memory.scores(["a"])

    assert np.isfinite(scores).all()
    assert memory.items.ids[int(scores.argmax())] == f"b{1995 % 3}"


def test_the_heaviest_neighbours_stay() -> None:
    """A pair that keeps coming survives a hundred that come once, in a row with room for four."""
    memory = Memory(MemoryConfig(window=1, neighbours=4))
    memory.learn([], "hub", 0)
    for number in range(100):
        memory.learn(["hub"], "friend", number * DAY_MS)
        memory.learn(["hub"], f"passer-by {number}", number * DAY_MS)
    scores = memory.scores(["hub"])
    found = {memory.items.ids[code] for code in np.flatnonzero(scores > 0)}

    assert found == {"friend", "passer-by 97", "passer-by 98", "passer-by 99"}


def test_a_new_item_is_known_after_one_event() -> None:
    """Whoever took what its taker took before is shown it."""
    made = CoOccurrence()
    for user in ("u", "v"):
        made.observe(user, "old", 0)
    made.observe("u", "new", 1)

    assert [item for item, _ in made.recommend("v", 3, {"old"})] == ["new"]


def test_items_beyond_the_bound_push_out_the_stalest() -> None:
    """The tenth untouched for longest goes with every mention of it; what remains answers as before."""
    memory = Memory(MemoryConfig(window=2, neighbours=4, max_items=20))
    for number in range(20):
        memory.learn([f"i{max(0, number - 1):02d}"], f"i{number:02d}", number)
    memory.learn([], "i00", 20)  # touched again: i01 and i02 are the stalest now
    before = memory.scores(["i10"])
    memory.learn([], "new", 21)

    assert len(memory) == 19
    assert [memory.items.get(name) is None for name in ("i00", "i01", "i02", "i03", "new")] == [
        False, True, True, False, False,
    ]  # fmt: skip
    assert memory.scores(["i01"]).max() == 0.0
    assert np.count_nonzero(memory.scores(["i03"]) > 0) == 1  # i04 alone: i02 is gone
    after = memory.scores(["i10"])
    assert after[[9, 11]] == pytest.approx(before[[9, 11]])


def test_a_forgotten_code_is_no_candidate_and_comes_back_empty() -> None:
    """A code without an item scores -inf; the item that takes it over starts from nothing."""
    memory = Memory(MemoryConfig(window=2, neighbours=4, max_items=20))
    for number in range(22):
        memory.learn(["i00"], f"i{number:02d}", number)
    num_items = len(memory)
    scores = memory.scores(["i00"])

    assert np.isneginf(scores).sum() == len(scores) - num_items
    memory.learn([], "alone", 99)
    assert memory.scores(["i00"])[memory.items.get("alone")] == 0.0


def test_a_window_wider_than_the_neighbours_is_refused() -> None:
    """One event could then not be kept in a row."""
    with pytest.raises(ValueError, match="window 5"):
        MemoryConfig(window=5, neighbours=4)


def columns(num: int) -> EventColumns:
    """Users who take items at random, repeats too."""
    random = np.random.default_rng(0)
    return EventColumns(
        users=[f"u{code}" for code in range(4)],
        items=[f"i{code}" for code in range(40)],
        user=random.integers(0, 4, num).astype(np.int32),
        item=random.integers(0, 40, num).astype(np.int32),
        time_ms=np.arange(num, dtype=np.int64) * 60_000,
    )


def test_a_versions_memory_is_what_its_events_leave() -> None:
    """The same arrays as of the recommender that was told every event, and the time of the newest."""
    events, told = columns(300), CoOccurrence()
    for user, item, time_ms in zip(events.user, events.item, events.time_ms, strict=True):
        told.observe(events.users[user], events.items[item], int(time_ms))

    found = seed_arrays(events)

    for name, array in told.memory.to_arrays().items():
        np.testing.assert_array_equal(found[name], array)
    assert found["through_ms"].tolist() == [299 * 60_000]


def test_a_versions_memory_learns_the_newest_events_after_all_of_their_histories() -> None:
    """Beyond the bound older events are no pairs, but what came after them still pairs with newer ones."""
    events = EventColumns(
        users=["u"],
        items=["a", "b", "c"],
        user=np.zeros(5, np.int32),
        item=np.array([0, 1, 1, 0, 2], np.int32),
        time_ms=np.arange(5, dtype=np.int64),
    )

    made = memory_of(events, max_events=3)

    assert sorted(made.items.ids) == ["a", "b", "c"]
    assert made.recall(["c"]).codes_C.tolist() == sorted(made.items.known(["a", "b"]).tolist())
    assert len(memory_of(events, max_events=1)) == 1
