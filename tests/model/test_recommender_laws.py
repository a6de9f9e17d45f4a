"""Laws that every recommender keeps: it learns after it answers, and its lists and ranks say the same.

A new kind of recommender joins by one line in KINDS.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from model.catalogue import Catalogue
from model.config import ModelConfig
from model.cooccurrence import CoOccurrence
from model.factorisation import FactorConfig, Factorisation
from model.families import FAMILIES, build
from model.memory import MemoryConfig
from model.metrics import MISS
from model.neural import Neural
from model.recommender import Popular, Recommender
from model.session_knn import SessionConfig, SessionKnn

HOUR_MS = 3_600_000
Make = Callable[[], Recommender]
Event = tuple[str, str, int]


def neural(family: str) -> Recommender:
    """A network nobody trained: its laws do not depend on what it learned. One item is new to it."""
    streams = 4 if family == "fuxi-mme" else 1
    experts = 2 if family in ("fuxi-mme", "fame") else 1
    config = ModelConfig(
        family=family, dim=16, streams=streams, heads=2, blocks=2, experts=experts, max_events=24
    )
    catalogue = Catalogue([f"i{number:02d}" for number in range(11)] + ["a", "b", "c"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Neural(build(config, catalogue.num_rows), catalogue, max_users=16)


#: Every recommender, small enough that its bounds bind in these worlds.
KINDS: dict[str, Make] = {
    "popular": Popular,
    "popular-decayed": lambda: Popular(half_life_ms=20 * HOUR_MS),
    "co-occurrence": lambda: CoOccurrence(MemoryConfig(window=4, neighbours=6, max_items=64), max_users=16),
    "session-knn": lambda: SessionKnn(SessionConfig(neighbours=5, sample=8, max_sessions=24, max_users=16)),
    "matrix-factorisation": lambda: Factorisation(FactorConfig(width=4, max_users=16)),
    **{family: partial(neural, family) for family in FAMILIES},
}
#: Those that know users: without a past they have no evidence.
PERSONAL = [name for name in KINDS if not name.startswith("popular")]


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Make:
    return KINDS[request.param]


def world(num_events: int, seed: int = 0, num_users: int = 8, num_items: int = 12) -> list[Event]:
    """Events at random, half an hour apart, now and then a day later."""
    random = np.random.default_rng(seed)
    times = np.cumsum(np.where(random.random(num_events) < 0.1, 30 * HOUR_MS, HOUR_MS // 2))
    users = random.integers(0, num_users, num_events)
    items = np.minimum(random.geometric(0.15, num_events), num_items) - 1
    return [(f"u{u}", f"i{i:02d}", int(t)) for u, i, t in zip(users, items, times, strict=True)]


def told(make: Make, events: list[Event]) -> Recommender:
    made = make()
    for event in events:
        made.observe(*event)
    return made


def asked_along(make: Make, events: list[Event]) -> list[list[tuple[str, float]]]:
    """The user's list before each event."""
    made, lists = make(), []
    for user, item, ts_ms in events:
        lists.append(made.recommend(user, 5, {"i00"}))
        made.observe(user, item, ts_ms)
    return lists


def test_no_list_knows_what_follows(make: Make) -> None:
    """Other events after the sixtieth leave the first sixty lists as they were."""
    events = world(60)
    lists = asked_along(make, events + world(30, seed=1))

    assert asked_along(make, events + world(30, seed=2)[::-1])[:60] == lists[:60]
    assert any(lists)


def test_the_same_events_give_the_same_lists(make: Make) -> None:
    """Two that were told the same answer the same, whether or not they were asked in between."""
    events = world(80)
    asked = make()
    for user, item, ts_ms in events:
        asked.recommend(user, 3)
        asked.rank_of(user, item)
        asked.observe(user, item, ts_ms)
    silent = told(make, events)

    for user, item, _ in events:
        assert silent.recommend(user, 12) == asked.recommend(user, 12)
        assert silent.rank_of(user, item) == asked.rank_of(user, item)


def test_excluded_items_never_appear(make: Make) -> None:
    """Neither in lists nor with a rank; what remains keeps its order."""
    events = world(80)
    made = told(make, events)
    excluded = {"i00", "i02", "elsewhere"}
    for user, _, _ in events:
        everything = made.recommend(user, 99)

        assert made.recommend(user, 99, excluded) == [one for one in everything if one[0] not in excluded]
        assert made.rank_of(user, "i02", excluded) == MISS


def test_lists_are_beginnings_of_longer_lists(make: Make) -> None:
    """Best first, each item once, and the first n of a longer list are the list of n."""
    made = told(make, world(80))
    for number in range(8):
        everything = made.recommend(f"u{number}", 99)
        scores = [score for _, score in everything]

        assert scores == sorted(scores, reverse=True)
        assert len({item for item, _ in everything}) == len(everything)
        for n in range(6):
            assert made.recommend(f"u{number}", n) == everything[:n]


def test_ranks_agree_with_lists(make: Make) -> None:
    """An item's rank is one more than those above it and half of those beside it; the unlisted follow."""
    events = world(80)
    made = told(make, events)
    excluded = {"i01"}
    candidates = {item for _, item, _ in events} - excluded
    for number in range(8):
        user = f"u{number}"
        listed = dict(made.recommend(user, 99, excluded))
        for item, score in listed.items():
            higher = sum(other > score for other in listed.values())
            ties = sum(other == score for other in listed.values()) - 1

            assert made.rank_of(user, item, excluded) == 1 + higher + ties / 2
        for item in candidates - set(listed):
            assert len(listed) < made.rank_of(user, item, excluded) <= len(candidates)


def test_ties_go_to_the_item_seen_first() -> None:
    """Where two items are alike in all but the moment, the earlier one leads, whatever its id."""
    for name in ("popular", "co-occurrence", "session-knn"):
        for first, second in ("ab", "ba"):
            made = told(KINDS[name], [("u", "x", 0), ("u", first, 0), ("v", "x", 0), ("v", second, 0)])
            made.observe("w", "x", 0)
            items = [item for item, _ in made.recommend("w", 9, {"x"})]

            assert items == [first, second]


@pytest.mark.parametrize("name", PERSONAL)
def test_unknown_users_get_no_list_but_a_rank_in_the_middle(name: str) -> None:
    """No evidence: nothing is listed, and every candidate shares the same rank."""
    made = told(KINDS[name], world(80))
    num_items = len({item for _, item, _ in world(80)})

    assert made.recommend("nobody", 10) == []
    assert made.rank_of("nobody", "i03") == (num_items + 1) / 2


@pytest.mark.parametrize("length", [1, 10_000])
def test_any_history_has_a_list(make: Make, length: int) -> None:
    """One event or ten thousand of one user, among others' events: a list, and ranks that are numbers."""
    made = told(make, world(80))
    for at in range(length):
        made.observe("one", f"i{at % 12:02d}", (1000 + at) * HOUR_MS)

    assert made.recommend("one", 5)
    assert all(np.isfinite(score) for _, score in made.recommend("one", 99))
    assert 1 <= made.rank_of("one", "i03") <= 12


def test_popularity_serves_unknown_users() -> None:
    """Everybody gets the same list."""
    made = told(KINDS["popular"], world(80))

    assert made.recommend("nobody", 5) == made.recommend("u1", 5)
    assert len(made.recommend("nobody", 5)) == 5


def test_an_item_without_an_event_is_no_candidate(make: Make) -> None:
    """It is in no list, its rank is a miss, and so it is before anything happened."""
    made = told(make, world(80))

    assert make().rank_of("u1", "i00") == MISS
    assert make().recommend("u1", 5) == []
    assert made.rank_of("u1", "never") == MISS
    assert "never" not in dict(made.recommend("u1", 99))


def test_memory_is_bounded_in_events_and_users(make: Make) -> None:
    """Twice the events, all of new users, take no more room once every bound binds."""
    events = [(f"user{at // 3:05d}", item, ts) for at, (_, item, ts) in enumerate(world(2000))]
    made = told(make, events[:1000])
    before = len(pickle.dumps(made))
    for event in events[1000:]:
        made.observe(*event)

    assert len(pickle.dumps(made)) <= 1.05 * before


def test_the_stale_users_are_forgotten_first() -> None:
    """Of 17 users that were active, 16 are kept: the first has no evidence left, the others have."""
    pairs = [(f"v{number:02d}", item) for number in range(17) for item in ("a", "b", "c")]
    events = [(user, item, at * HOUR_MS) for at, (user, item) in enumerate(pairs)]
    for name in PERSONAL:
        made = told(KINDS[name], events)

        assert made.recommend("v00", 5) == []
        assert made.recommend("v01", 5) != []
