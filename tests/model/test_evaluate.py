"""The stream protocol on logs small enough to count, and the fast pass against asking one by one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model import evaluate as module
from model import states as states_module
from model.backbone import last, user_vector
from model.batch import padded
from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.evaluate import (
    DAY_MS,
    choose_half_life,
    evaluate,
    judged_events,
    model_ranks,
    popularity_ranks,
    target_ranks,
)
from model.metrics import MISS, rank_in
from model.mme import FuxiMME
from model.sequences import Histories, catalogue_of
from model.states import states_before

CONFIG = ModelConfig(dim=16, streams=2, heads=2, blocks=2, experts=2, max_events=24)


def columns(log: list[tuple[str, str]]) -> EventColumns:
    """Events one second apart."""
    users, items = sorted({user for user, _ in log}), sorted({item for _, item in log})
    return EventColumns(
        users=users,
        items=items,
        user=np.array([users.index(user) for user, _ in log], np.int32),
        item=np.array([items.index(item) for _, item in log], np.int32),
        time_ms=1000 * np.arange(len(log), dtype=np.int64),
    )


def random_log(num_events: int, num_users: int = 6, num_items: int = 15, seed: int = 0) -> EventColumns:
    random = np.random.default_rng(seed)
    return columns(
        [
            (f"u{user}", f"i{item:02d}")
            for user, item in zip(
                random.integers(0, num_users, num_events),
                random.integers(0, num_items, num_events),
                strict=True,
            )
        ]
    )


def random_model(catalogue: Catalogue) -> FuxiMME:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = FuxiMME(CONFIG, catalogue.num_rows)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(10)  # far from ties
    return model.eval()


LOG = [("u", "a"), ("v", "a"), ("u", "b"), ("v", "b"), ("u", "c"), ("w", "a"), ("w", "b"), ("u", "a")]


def test_only_stream_events_of_users_with_a_past_are_judged() -> None:
    """The first event of a user is never judged, nor any of the warm part."""
    assert judged_events(columns(LOG), 4).tolist() == [4, 6, 7]


def test_popularity_answers_before_it_learns() -> None:
    """c is new when asked for, so no candidate; with a filtered for w, b leads c; u has a already."""
    ranks = popularity_ranks(columns(LOG), 4, None)

    assert ranks.tolist() == [MISS, 1.0, MISS]


def test_without_the_seen_filter_a_repeat_can_be_hit() -> None:
    """u takes a again, which leads with three events beside b: rank 1.5 when nothing is filtered."""
    assert popularity_ranks(columns(LOG), 4, None, filter_seen=False).tolist() == [MISS, 2.0, 1.5]


def one_by_one(model: FuxiMME, catalogue: Catalogue, log: EventColumns, num_warm: int) -> list[float]:
    """The slow twin: for each judged event, encode the user's earlier events and rank the catalogue."""
    index = model.item_index().detach()
    ranks = []
    for place in judged_events(log, num_warm):
        before = np.flatnonzero(log.user[:place] == log.user[place])
        rows = catalogue.rows(log.items[code] for code in log.item[before])
        batch = padded([(rows, log.time_ms[before])], CONFIG.max_events)
        with torch.inference_mode():
            states = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B).states_BNMd
        scores = (user_vector(last(states, batch.lengths_B)) @ index.T)[0].numpy()
        for row in rows:
            if row >= FIRST_ITEM_ROW:
                scores[row - FIRST_ITEM_ROW] = -np.inf
        item = log.items[log.item[place]]
        known = item in catalogue
        ranks.append(rank_in(scores, catalogue.row(item) - FIRST_ITEM_ROW) if known else MISS)
    return ranks


def test_one_pass_per_user_answers_as_asking_one_by_one() -> None:
    """Every rank is the same, unknown items, repeats and cold users included."""
    log = random_log(100)
    catalogue = catalogue_of(log.slice(0, 20))
    model = random_model(catalogue)

    assert len(catalogue) < 15
    assert model_ranks(model, catalogue, log, 60).tolist() == one_by_one(model, catalogue, log, 60)


def test_the_future_changes_no_answer() -> None:
    """Shuffling what comes after an event leaves all ranks up to it as they were."""
    log = random_log(100)
    catalogue = catalogue_of(log)
    model = random_model(catalogue)
    order = np.concatenate([np.arange(80), 80 + np.random.default_rng(1).permutation(20)])
    shuffled = EventColumns(
        users=log.users, items=log.items, user=log.user[order], item=log.item[order], time_ms=log.time_ms
    )
    num_same = int((judged_events(log, 60) < 80).sum())

    for ranks in (
        lambda events: model_ranks(model, catalogue, events, 60),
        lambda events: popularity_ranks(events, 60, None),
    ):
        assert ranks(log)[:num_same].tolist() == ranks(shuffled)[:num_same].tolist()


@given(lengths=st.lists(st.integers(1, 90), min_size=1, max_size=4), share=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_windows_answer_every_question_once_with_enough_history(lengths: list[int], share: float) -> None:
    """Each judged event has one state; the state sees all the history, or at least the kept events of it."""
    total = sum(lengths)
    events = Histories(
        rows=np.zeros(total, np.int64),
        times_ms=np.zeros(total, np.int64),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        users=np.arange(len(lengths)),
        order=np.arange(total),
    )
    num_warm = int(share * total)
    kept, before = 16, states_module.KEPT_EVENTS
    states_module.KEPT_EVENTS = kept
    try:
        windows = list(states_module.windows(events, states_before(events, events.order >= num_warm), 24))
    finally:
        states_module.KEPT_EVENTS = before
    asked = [state + 1 for window in windows for state in range(window.first_state, window.stop)]
    firsts = set(events.starts.tolist())
    expected = [place for place in range(total) if place >= num_warm and place not in firsts]

    assert asked == expected
    for window in windows:
        first = max(start for start in events.starts.tolist() if start <= window.start)
        assert window.stop - window.start <= 24
        assert window.start == first or window.first_state - window.start + 1 >= kept


def test_ranks_in_blocks_are_ranks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound on memory changes no rank; filtered and unknown targets are misses."""
    random = torch.Generator().manual_seed(0)
    states, index = torch.randn(9, 4, generator=random), torch.randn(7, 4, generator=random)
    targets = np.array([0, 1, 2, 3, 4, 5, 6, -5, 0])
    seen = [
        np.array([row]) for row in (1, 64, FIRST_ITEM_ROW + 2, *range(FIRST_ITEM_ROW, FIRST_ITEM_ROW + 6))
    ]
    at_once = target_ranks(states, index, targets, seen)
    monkeypatch.setattr(module, "MAX_SCORES", 14)

    assert np.array_equal(at_once, target_ranks(states, index, targets, seen))
    assert np.isinf(at_once).tolist() == [place in (2, 7) for place in range(9)]


def test_a_network_that_diverged_hits_nothing() -> None:
    """A user vector of NaN has no ranks, whatever is filtered."""
    index, targets = torch.randn(5, 4), np.array([0, 1])

    for seen in (None, [np.array([FIRST_ITEM_ROW + 3])] * 2):
        assert np.isinf(target_ranks(torch.full((2, 4), torch.nan), index, targets, seen)).all()


def test_a_report_counts_its_groups() -> None:
    """One stream, every group counted by hand."""
    log = columns(LOG)
    catalogue = catalogue_of(log.slice(0, 4))
    report = evaluate(random_model(catalogue), catalogue, log, 4)

    assert (report.events, report.judged, report.users) == (4, 3, 2)
    assert report.counts == {"all": 3, "warm": 2, "cold": 1, "new_item": 1, "repeat": 1, "hittable": 1}
    assert set(report.lines) == {"model", "popular", "popular-decayed"}
    assert report.lines["popular"].groups["all"]["recall@10"] == pytest.approx(1 / 3)
    assert report.lines["popular"].groups["hittable"]["recall@10"] == 1.0
    assert report.lines["model"].recall.low is None
    assert report.to_json()["lines"]["model"]["groups"]["new_item"]["recall@10"] == 0.0


def test_the_half_life_is_chosen_on_the_warm_part_alone() -> None:
    """Fashion that turns over daily asks for a short half-life, whatever the stream holds."""
    random = np.random.default_rng(0)
    days = np.repeat(np.arange(40), 25)
    warm = len(days) - 100
    log = EventColumns(
        users=[f"u{user}" for user in range(50)],
        items=[f"i{item}" for item in range(400)],
        user=random.integers(0, 50, len(days)).astype(np.int32),
        item=(10 * (days % 40) + random.integers(0, 10, len(days))).astype(np.int32),
        time_ms=(days * DAY_MS + np.tile(np.arange(25), 40)).astype(np.int64),
    )
    other = EventColumns(
        users=log.users,
        items=log.items,
        user=log.user,
        item=np.concatenate([log.item[:warm], log.item[:100]]),
        time_ms=log.time_ms,
    )

    assert choose_half_life(log, warm) == DAY_MS
    assert choose_half_life(other, warm) == DAY_MS
