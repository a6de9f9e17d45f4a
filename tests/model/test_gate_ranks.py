"""Ranks of a slice, against a slow twin that scores everything anew."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW
from model.evaluate import judged_events
from model.gate_ranks import evidence, fused_ranks
from model.leader import Leaders
from model.memory import DAY_MS, Memory, MemoryConfig
from model.metrics import MISS, rank_in
from model.prequential import FrozenModel, model_line
from model.sequences import catalogue_of
from model.sums import WEIGHTS, stand_in, sum_scores

CONFIG = MemoryConfig(window=4, neighbours=8, half_life_ms=DAY_MS, damping=2.0)
FIRST, EPSILON = 70, 0.05
LEADERS = Leaders(len(WEIGHTS))


def log(num_events: int = 150, num_items: int = 18) -> EventColumns:
    """Seven users, one of whom comes with the slice; the last items come late."""
    random = np.random.default_rng(0)
    reach = np.linspace(6, num_items, num_events)
    user = random.integers(0, 6, num_events)
    user[FIRST + 3 :: 9] = 6
    return EventColumns(
        users=[f"u{number}" for number in range(7)],
        items=[f"i{number:02d}" for number in range(num_items)],
        user=user.astype(np.int32),
        item=(random.random(num_events) * reach).astype(np.int32),
        time_ms=np.cumsum(random.integers(0, 3_600_000, num_events)),
    )


COLUMNS = log()


def model(seed: int, known_from: int) -> FrozenModel:
    """Random coarse vectors, so that cosines tie; its catalogue: the items of so many first events."""
    random = np.random.default_rng(seed)
    catalogue = catalogue_of(COLUMNS.slice(0, known_from))
    judged = len(judged_events(COLUMNS, FIRST))
    return FrozenModel(
        catalogue=catalogue,
        index_ID=random.integers(-1, 2, (len(catalogue), 6)).astype(np.float32),
        vectors_ED=random.integers(-1, 2, (judged, 6)).astype(np.float32) / 4,
        temperature=0.5,
    )


MODELS = {"new": model(1, 100), "serving": model(2, FIRST), "anchor": model(3, 40)}


def learned(num_events: int, config: MemoryConfig = CONFIG) -> Memory:
    """A memory of the first events of the log."""
    memory, past = Memory(config), {}
    for user, item, time_ms in zip(COLUMNS.user, COLUMNS.item, COLUMNS.time_ms, strict=True):
        if num_events == 0:
            break
        memory.learn(past.setdefault(user, []), COLUMNS.items[item], int(time_ms))
        past[user].append(COLUMNS.items[item])
        num_events -= 1
    return memory


def by_hand(found: FrozenModel, filter_seen: bool) -> list[float]:
    """A memory made anew for every event, and every item scored one by one."""
    ranks = []
    for number, place in enumerate(judged_events(COLUMNS, FIRST).tolist()):
        memory = learned(place)
        mine = COLUMNS.item[:place][COLUMNS.user[:place] == COLUMNS.user[place]]
        past = [COLUMNS.items[item] for item in mine]
        scores = memory.scores(past)
        names = [name for name in memory.items.ids if not (filter_seen and name in past)]
        known = np.array([name in found.catalogue for name in names], bool)
        told = np.array([scores[memory.items.get(name)] for name in names])
        cosines = np.array(
            [
                float(found.index_ID[found.catalogue.row(name) - FIRST_ITEM_ROW] @ found.vectors_ED[number])
                if name in found.catalogue
                else 0.0
                for name in names
            ]
        )
        weight = WEIGHTS[LEADERS.of(len(past)).serving]
        sums = sum_scores(stand_in(cosines, told, known), np.log(told + EPSILON), weight, found.temperature)
        target = COLUMNS.items[COLUMNS.item[place]]
        ranks.append(rank_in(sums, names.index(target)) if target in names else MISS)
    return ranks


@pytest.mark.parametrize("filter_seen", [True, False])
def test_a_slice_is_ranked_as_scoring_everything_anew(filter_seen: bool) -> None:
    """New items, a new user, catalogues of three lengths, seen items: the same ranks, and the same users."""
    found = evidence(
        MODELS["new"],
        MODELS["serving"],
        MODELS["anchor"],
        COLUMNS,
        FIRST,
        learned(FIRST),
        LEADERS,
        epsilon=EPSILON,
        filter_seen=filter_seen,
    )
    judged = judged_events(COLUMNS, FIRST)

    assert found.anchor is not None
    for role, ranks in (("new", found.new), ("serving", found.serving), ("anchor", found.anchor)):
        np.testing.assert_allclose(ranks.fused_E, by_hand(MODELS[role], filter_seen))
        np.testing.assert_array_equal(ranks.alone_E, model_line(MODELS[role], COLUMNS, FIRST, filter_seen))
    assert found.users_E.tolist() == [COLUMNS.users[code] for code in COLUMNS.user[judged]]
    assert np.isinf(found.serving.alone_E).any()


def test_the_memory_never_knows_the_answer() -> None:
    """With the slice's second half shuffled among its items, the ranks of the first half stay."""
    cut = FIRST + 40
    shuffled = COLUMNS.item.copy()
    shuffled[cut:] = np.random.default_rng(1).permutation(shuffled[cut:])
    other = EventColumns(
        users=COLUMNS.users,
        items=COLUMNS.items,
        user=COLUMNS.user,
        item=shuffled,
        time_ms=COLUMNS.time_ms,
    )
    judged = int((judged_events(COLUMNS, FIRST) < cut).sum())
    before, after = (
        fused_ranks(MODELS, columns, FIRST, learned(FIRST), LEADERS, epsilon=EPSILON)["new"]
        for columns in (COLUMNS, other)
    )

    np.testing.assert_array_equal(before[:judged], after[:judged])
    assert (before[judged:] != after[judged:]).any()


def test_codes_that_change_hands_keep_their_rows_right() -> None:
    """A memory that forgets items on the way ranks as one that is asked about each event alone."""
    config = MemoryConfig(window=4, neighbours=8, half_life_ms=DAY_MS, damping=2.0, max_items=9)
    memory = learned(FIRST, config)
    whole = fused_ranks(
        {"new": MODELS["new"]}, COLUMNS, FIRST, copy.deepcopy(memory), LEADERS, epsilon=EPSILON
    )["new"]
    judged = judged_events(COLUMNS, FIRST).tolist()
    for number, place in enumerate(judged):
        alone = FrozenModel(
            catalogue=MODELS["new"].catalogue,
            index_ID=MODELS["new"].index_ID,
            vectors_ED=MODELS["new"].vectors_ED[number:],
            temperature=0.5,
        )
        until = COLUMNS.slice(0, place + 1)
        one = fused_ranks({"new": alone}, until, place, learned(place, config), LEADERS, epsilon=EPSILON)
        assert one["new"].tolist() == [whole[number]]
    assert len(memory.items) == 9
