"""Cycles of a small network: the same after an interruption, and nobody else's rows moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.backbone import Backbone
from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW, ModelConfig, TrainConfig
from model.families import build
from model.finetune import TuneConfig
from model.learner import Learner
from model.sequences import catalogue_of

SHAPE = ModelConfig(dim=8, streams=2, heads=2, blocks=1, experts=2, max_events=24, input_dropout=0.2)
TRAIN = TrainConfig()
TUNE = TuneConfig(batch=8, window=12, replay_events=6, capacity=40, negatives=6, lr=0.01)


def log(num: int, seed: int = 0, num_items: int = 24) -> EventColumns:
    random = np.random.default_rng(seed)
    return EventColumns(
        users=[f"u{number}" for number in range(9)],
        items=[f"i{number}" for number in range(num_items)],
        user=random.integers(0, 9, num).astype(np.int32),
        item=(random.random(num) * np.linspace(8, num_items, num)).astype(np.int32),
        time_ms=np.cumsum(random.integers(0, 100_000, num)),
    )


def network(num_rows: int) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(SHAPE, num_rows)


def started(columns: EventColumns, num_warm: int, tune: TuneConfig = TUNE) -> Learner:
    warm = columns.slice(0, num_warm)
    catalogue = catalogue_of(warm)
    learner = Learner(network(catalogue.num_rows), catalogue, tune, TRAIN)
    learner.remember(warm)
    return learner


def tell(learner: Learner, columns: EventColumns, start: int, stop: int) -> None:
    for place in range(start, stop):
        learner.observe(
            columns.users[columns.user[place]],
            columns.items[columns.item[place]],
            int(columns.time_ms[place]),
        )


@pytest.mark.parametrize("tune", [{}, {"item_rows": "touched"}, {"distil": 0.8}])
def test_interrupted_is_undisturbed(tune: dict) -> None:
    """A snapshot taken inside any slice gives the next versions bit for bit, whatever else torch drew."""
    config = replace(TUNE, **tune)
    columns = log(300)
    learner = started(columns, 120, config)
    other = None
    for start in (120, 180, 240):
        tell(learner, columns, start, start + 30)
        if start == 180:
            arrays = learner.to_arrays()
            torch.rand(5)
            other = Learner.from_arrays(arrays, SHAPE, config, TRAIN)
        tell(learner, columns, start + 30, start + 60)
        learner.cycle({})
        if other is not None:
            tell(other, columns, start + 30 if start == 180 else start, start + 60)
            other.cycle({})
            assert other.digest() == learner.digest()
    assert other is not None
    assert learner.items.num_admitted > 12


def test_a_snapshot_is_arrays_alone() -> None:
    """Of numbers, with whatever a cycle needs: nothing in it is an object."""
    columns = log(200)
    learner = started(columns, 120)
    tell(learner, columns, 120, 160)
    learner.cycle({})

    assert all(array.dtype.kind in "biuf" for array in learner.to_arrays().values())


def test_untouched_rows_stay_bit_identical() -> None:
    """With row-wise steps; the dense optimiser moves a row once touched for as long as it remembers."""
    columns = log(200, num_items=60)
    found = {}
    for item_rows in ("touched", "dense"):
        tune = replace(TUNE, item_rows=item_rows, negatives=1, replay=0.0, new_item_share=0.0)
        learner = started(columns, 160, tune)
        tell(learner, columns, 160, 180)
        learner.cycle({})
        before = learner.model.items.detach().clone()
        learner.observe("u1", "i0", 10**9)
        learner.observe("u1", "i1", 10**9)
        learner.cycle({})
        after = learner.model.items.detach()
        found[item_rows] = int((after != before[: len(after)]).flatten(1).any(1).sum())

    assert 2 <= found["touched"] <= 20
    assert found["dense"] > found["touched"]


def test_learning_helps_where_the_world_changed() -> None:
    """After item 1 comes item 2 in a new world; three cycles teach it, and the loss falls."""
    columns = log(200, num_items=24)
    learner = started(columns, 200)
    losses = []
    for cycle in range(3):
        for user in range(40):
            learner.observe(f"n{cycle}-{user}", "i1", 10**9)
            learner.observe(f"n{cycle}-{user}", "i2", 10**9)
        losses.append(learner.cycle({}).loss)

    assert losses[-1] < losses[0] - 0.2


def test_a_new_item_gets_a_row_and_an_archived_one_is_no_target() -> None:
    """What a cycle reports is what it did."""
    learner = Learner(
        network(Catalogue(["a", "b"]).num_rows), Catalogue(["a", "b"]), TuneConfig(silence_ms=50), TRAIN
    )
    for item, ts_ms in (("a", 0), ("b", 1), ("new", 100), ("b", 101)):
        learner.observe("u", item, ts_ms)
    line = np.arange(1, 9, dtype=np.float32)
    report = learner.cycle({"new": line})

    assert (report.events, report.targets, report.admitted, report.archived) == (4, 3, 1, 1)
    assert learner.live().tolist() == [False, True, True]
    assert report.finite
    assert np.isfinite(report.loss)
    assert learner.num_waiting == 0
    assert len(learner.model.items) == FIRST_ITEM_ROW + 3


def test_without_events_nothing_changes() -> None:
    """An empty cycle is no step, and says so."""
    learner = started(log(150), 150)
    before = learner.digest()
    report = learner.cycle({})

    assert learner.digest() == before
    assert np.isnan(report.loss)


def test_a_forgotten_user_is_neither_learned_nor_replayed() -> None:
    """What waited of theirs is no event of the cycle, and no window of theirs is left to draw."""
    columns = log(150)
    learner = started(columns, 100)
    tell(learner, columns, 100, 150)
    theirs = int((columns.user[100:] == 3).sum())
    for user in columns.users:
        if user != "u3":
            learner.forget(user)

    assert learner.num_waiting == theirs > 0
    learner.forget("u3")
    report = learner.cycle({})

    assert (report.events, report.replayed, len(learner.reservoir)) == (0, 0, 0)
