"""The lines of the stream protocol on logs small enough to rank by hand, one event after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model import choices
from model import prequential as module
from model.backbone import Backbone
from model.catalogue import Catalogue
from model.choices import choose, choose_epsilon
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.cooccurrence import CoOccurrence
from model.evaluate import judged_events, model_ranks, popularity_ranks
from model.factorisation import FactorConfig
from model.families import build
from model.leader import Leaders, gains
from model.memory import DAY_MS, MemoryConfig
from model.metrics import MISS, rank_in
from model.prequential import (
    Choices,
    FrozenModel,
    frozen,
    line_ranks,
    model_line,
    ranks_along,
    sums_along,
)
from model.recommender import Popular
from model.sequences import catalogue_of
from model.session_knn import SessionConfig
from model.sums import WEIGHTS, stand_in, sum_scores

CHOICES = Choices(memory=MemoryConfig(window=4, neighbours=8, half_life_ms=DAY_MS, damping=2.0), epsilon=0.05)
NUM_WARM = 60


def random_log(num_events: int = 140, num_items: int = 18, seed: int = 0) -> EventColumns:
    """Seven users; the last items come late, so a catalogue of the first events lacks some."""
    random = np.random.default_rng(seed)
    reach = np.linspace(6, num_items, num_events)
    return EventColumns(
        users=[f"u{number}" for number in range(7)],
        items=[f"i{number:02d}" for number in range(num_items)],
        user=random.integers(0, 7, num_events).astype(np.int32),
        item=(random.random(num_events) * reach).astype(np.int32),
        time_ms=np.cumsum(random.integers(0, 3_600_000, num_events)),
    )


def random_model(columns: EventColumns, num_warm: int = NUM_WARM, dim: int = 8) -> FrozenModel:
    """Vectors and lines at random: coarse, so that cosines tie now and then."""
    random = np.random.default_rng(1)
    catalogue = catalogue_of(columns.slice(0, num_warm))
    return FrozenModel(
        catalogue=catalogue,
        index_ID=random.integers(-1, 2, (len(catalogue), dim)).astype(np.float32),
        vectors_ED=random.integers(-1, 2, (len(judged_events(columns, num_warm)), dim)).astype(np.float32)
        / 4,
        temperature=0.5,
    )


def by_hand(model: FrozenModel, columns: EventColumns, num_warm: int, filter_seen: bool) -> dict[str, list]:
    """The slow twin: the whole catalogue of columns scored and sorted for every judged event and weight."""
    counter, leaders = CoOccurrence(CHOICES.memory), Leaders(len(WEIGHTS))
    served, fixed, weights = [], [], []
    for number, place in enumerate(judged_events(columns, num_warm)):
        counter = CoOccurrence(CHOICES.memory)
        for code, item, ts_ms in zip(
            columns.user[:place], columns.item[:place], columns.time_ms[:place], strict=True
        ):
            counter.observe(columns.users[code], columns.items[item], int(ts_ms))
        past = columns.item[:place][columns.user[:place] == columns.user[place]].tolist()
        names = [
            name
            for item, name in enumerate(columns.items)
            if item in columns.item[:place] and not (filter_seen and item in past)
        ]
        cosines = np.array(
            [
                float(model.index_ID[model.catalogue.row(name) - FIRST_ITEM_ROW] @ model.vectors_ED[number])
                if name in model.catalogue
                else 0.0
                for name in names
            ]
        )
        scores = counter.scores(columns.users[columns.user[place]])
        memory = np.array([scores[counter.items.get(name)] for name in names])
        cosines = stand_in(cosines, memory, np.array([name in model.catalogue for name in names]))
        target = columns.items[columns.item[place]]
        ranks, lists = [], []
        for weight in WEIGHTS:
            sums = sum_scores(cosines, np.log(memory + CHOICES.epsilon), weight, model.temperature)
            ranks.append(rank_in(sums, names.index(target)) if target in names else MISS)
            order = sorted(range(len(names)), key=lambda at: (-sums[at], -cosines[at], at))
            lists.append([names[at] for at in order[:10]])
        leader = leaders.of(len(past))
        weights.append(WEIGHTS[leader.serving])
        served.append(ranks[leader.serving])
        fixed.append(ranks)
        leader.judge(gains(lists, target))
    return {"served": served, "fixed": fixed, "weights": weights}


@pytest.mark.parametrize("filter_seen", [True, False])
def test_the_pass_answers_as_scoring_everything_anew(filter_seen: bool) -> None:
    """Ranks under every weight, and the weight that serves, items outside the catalogue included."""
    columns = random_log()
    model = random_model(columns)
    found = sums_along(model, columns, NUM_WARM, CHOICES, filter_seen)
    expected = by_hand(model, columns, NUM_WARM, filter_seen)

    assert len(model.catalogue) < len(np.unique(columns.item))
    assert found.fixed_WE.T.tolist() == expected["fixed"]
    assert found.weights_E.tolist() == expected["weights"]
    assert found.served_E.tolist() == expected["served"]
    assert len(set(expected["weights"])) > 1


def test_the_ends_are_the_memory_and_the_model() -> None:
    """The memory's line is co-occurrence on its own; weight 1 ranks a known catalogue as the model does."""
    columns = random_log()
    whole = replace(random_model(columns), catalogue=Catalogue(columns.items))
    whole = replace(
        whole, index_ID=np.random.default_rng(2).normal(size=(len(columns.items), 8)).astype(np.float32)
    )
    first = np.concatenate([np.arange(18), columns.item[18:]]).astype(np.int32)  # all items before the stream
    columns = replace(columns, item=first)
    found = sums_along(whole, columns, NUM_WARM, CHOICES)

    assert found.memory_E.tolist() == ranks_along(CoOccurrence(CHOICES.memory), columns, NUM_WARM).tolist()
    assert found.fixed_WE[-1].tolist() == model_line(whole, columns, NUM_WARM).tolist()


def test_an_item_the_model_does_not_know_is_served_from_memory() -> None:
    """v takes what u took after a; the model has no row for it, and cannot hit it alone."""
    columns = EventColumns(
        users=["u", "v", "w"],
        items=["a", "b", "new"],
        user=np.array([0, 1, 2, 0, 1], np.int32),
        item=np.array([0, 0, 1, 2, 2], np.int32),
        time_ms=np.arange(5),
    )
    model = FrozenModel(
        catalogue=Catalogue(["a", "b"]),
        index_ID=np.eye(2, dtype=np.float32),
        vectors_ED=np.full((2, 2), 0.1, np.float32),
        temperature=0.5,
    )

    assert model_line(model, columns, 3).tolist() == [MISS, MISS]
    assert sums_along(model, columns, 3, CHOICES).served_E.tolist() == [MISS, 1.0]


def test_the_future_changes_no_answer() -> None:
    """Shuffling the events after the 110th leaves every line up to it as it was."""
    columns = random_log()
    order = np.concatenate([np.arange(110), 110 + np.random.default_rng(1).permutation(30)])
    shuffled = replace(columns, user=columns.user[order], item=columns.item[order])
    num_same = int((judged_events(columns, NUM_WARM) < 110).sum())
    model = random_model(columns)
    other = replace(
        model, vectors_ED=np.resize(model.vectors_ED, (len(judged_events(shuffled, NUM_WARM)), 8))
    )
    lines, _ = line_ranks(model, columns, NUM_WARM, CHOICES)
    others, _ = line_ranks(other, shuffled, NUM_WARM, CHOICES)

    for name, ranks_E in lines.items():
        assert ranks_E[:num_same].tolist() == others[name][:num_same].tolist(), name
    assert set(lines) == {
        "model", "memory", "served", "popular", "popular-decayed", "session-knn", "matrix-factorisation",
    }  # fmt: skip


def network(columns: EventColumns) -> tuple[Backbone, Catalogue]:
    import torch

    catalogue = catalogue_of(columns.slice(0, NUM_WARM))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = ModelConfig(dim=16, streams=2, heads=2, blocks=1, experts=2, max_events=24)
        model = build(config, catalogue.num_rows).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(10)
    return model, catalogue


def test_a_frozen_model_ranks_as_the_model_itself() -> None:
    """Vectors taken once give the ranks of the evaluation that encodes as it goes."""
    columns = random_log()
    model, catalogue = network(columns)
    held = frozen(model, catalogue, columns, NUM_WARM)

    assert held.vectors_ED.shape == (len(judged_events(columns, NUM_WARM)), 16)
    assert (
        model_line(held, columns, NUM_WARM).tolist()
        == model_ranks(model, catalogue, columns, NUM_WARM).tolist()
    )


@pytest.mark.parametrize("filter_seen", [True, False])
def test_popularity_as_a_recommender_is_popularity(filter_seen: bool) -> None:
    """The general pass gives the ranks of the one written for popularity."""
    columns = random_log()
    expected = popularity_ranks(columns, NUM_WARM, DAY_MS, filter_seen)

    assert ranks_along(Popular(DAY_MS), columns, NUM_WARM, filter_seen).tolist() == expected.tolist()


def test_the_bound_on_memory_changes_no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of three events at a time give what one product gives."""
    columns = random_log()
    model = random_model(columns)
    at_once = sums_along(model, columns, NUM_WARM, CHOICES)
    monkeypatch.setattr(module, "MAX_SCORES", 3 * len(columns.items))

    assert np.array_equal(sums_along(model, columns, NUM_WARM, CHOICES).fixed_WE, at_once.fixed_WE)


def fashion(num_days: int, turn_days: int) -> EventColumns:
    """Pairs that are taken one after the other, and swap partners every ``turn_days``."""
    random = np.random.default_rng(0)
    rows = []
    for day in range(num_days):
        for _ in range(6):
            left = int(random.integers(0, 8))
            right = 8 + (left + day // turn_days) % 8
            rows += [(len(rows) // 2, left, day), (len(rows) // 2, right, day)]
    users, items, days = (np.array(part) for part in zip(*rows, strict=True))
    return EventColumns(
        users=[f"u{number}" for number in range(users.max() + 1)],
        items=[f"i{number}" for number in range(16)],
        user=users.astype(np.int32),
        item=items.astype(np.int32),
        time_ms=(days * 30 * DAY_MS).astype(np.int64),
    )


def test_choices_are_made_on_the_warm_part_alone() -> None:
    """Partners that change ask for a short half-life, whatever the stream holds."""
    log = fashion(80, 9)
    warm = len(log) - 200
    other = replace(log, item=np.concatenate([log.item[:warm], log.item[:200]]).astype(np.int32))
    found = choose(log, warm, 3_600_000)

    assert found.memory.half_life_ms < MemoryConfig().half_life_ms
    assert choose(other, warm, 3_600_000) == found
    assert (found.sessions.max_users, found.factors.width) == (
        SessionConfig().max_users,
        FactorConfig().width,
    )


def test_a_rate_that_diverges_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its vectors grow past every number, which warns nobody and ranks nothing."""
    monkeypatch.setattr(choices, "RATES", (20.0, 0.03))
    log = fashion(80, 9)

    assert choose(log, len(log) - 200, 3_600_000).factors.rate == 0.03


def test_epsilon_is_the_best_of_those_tried() -> None:
    """It is the one whose served line has the highest nDCG@10."""
    log = fashion(30, 9)
    warm, cut = len(log) - 100, len(log) - 160
    model = random_model(log.slice(0, warm), cut)
    epsilon = choose_epsilon(model, log.slice(0, warm), cut, CHOICES)
    found = {
        one: module.sums_along(model, log.slice(0, warm), cut, replace(CHOICES, epsilon=one)).served_E
        for one in (0.001, 0.01, 0.1)
    }
    scores = {one: float((1 / np.log2(1 + ranks))[ranks <= 10].sum()) for one, ranks in found.items()}

    assert scores[epsilon] == max(scores.values())
