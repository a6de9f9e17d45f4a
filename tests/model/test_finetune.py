"""What a step of fine-tuning is made of: batches, negatives, the teacher's pull."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.backbone import Backbone
from model.config import FIRST_ITEM_ROW, ModelConfig, TrainConfig
from model.families import build
from model.finetune import (
    Lesson,
    LiveNegatives,
    TuneConfig,
    batches,
    distillation,
    one_pass,
    optimisers_of,
)

SHAPE = ModelConfig(dim=8, streams=2, heads=2, blocks=1, experts=1, max_events=16)


def network() -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(SHAPE, FIRST_ITEM_ROW + 12)


def test_every_lesson_comes_once() -> None:
    """In batches of at most the stated size."""
    random = np.random.default_rng(0)
    lessons = []
    for number in range(23):
        filled = np.full(1 + number % 5, number)
        lessons.append(Lesson(filled, filled, filled, filled, old=False))
    found = list(batches(lessons, TuneConfig(batch=4), random))

    assert sorted(int(one.rows_N[0]) for batch in found for one in batch) == list(range(23))
    assert max(len(batch) for batch in found) == 4


def test_negatives_are_live_items_only() -> None:
    """Distinct, and all of them if there are fewer than asked for."""
    live = np.array([FIRST_ITEM_ROW + 3, FIRST_ITEM_ROW + 8, FIRST_ITEM_ROW + 9])
    negatives = LiveNegatives(TrainConfig(negatives=2), live, torch.Generator().manual_seed(0))
    drawn = {tuple(sorted(negatives.draw(5).tolist())) for _ in range(40)}
    everything = LiveNegatives(TrainConfig(negatives=9), live, torch.Generator().manual_seed(0)).draw(5)

    assert len(drawn) == 3
    assert {row for rows in drawn for row in rows} == set(live.tolist())
    assert sorted(everything.tolist()) == live.tolist()


@pytest.mark.parametrize("item_rows", ["dense", "touched"])
def test_the_facet_gate_stays_as_it_was_trained(item_rows: str) -> None:
    """A pass over the stream moves the network and not one bit of its gate."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(replace(SHAPE, facet_gate=True), FIRST_ITEM_ROW + 12)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        config = TuneConfig(item_rows=item_rows)
        rows = np.arange(FIRST_ITEM_ROW, FIRST_ITEM_ROW + 8)
        lesson = Lesson(rows, rows * 1000, rows + 1, rows * 1000, old=False)
        train, random = TrainConfig(negatives=4), np.random.default_rng(0)
        negatives = LiveNegatives(train, rows, torch.Generator().manual_seed(0))
        one_pass(model, optimisers_of(model, config), [lesson], config, train, negatives, random)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}

    assert "items" in moved
    assert not {name for name in moved if name.startswith("facets_")}
    assert {name for name in before if name.startswith("facets_")}


def test_a_teacher_pulls_only_where_the_network_differs() -> None:
    """The gradient of the distillation is zero at the teacher's own weights, and leads back to them."""
    teacher, model = network().requires_grad_(False), network()
    states = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(FIRST_ITEM_ROW, FIRST_ITEM_ROW + 12)
    distillation(model, teacher, states, states, rows).backward()
    assert model.items.grad is not None
    at_teacher = float(model.items.grad.abs().max())
    with torch.no_grad():
        model.items[FIRST_ITEM_ROW] += torch.tensor([0.05, -0.05, 0.0, 0.05])
    model.items.grad = None
    away = distillation(model, teacher, states, states, rows)
    away.backward()
    assert model.items.grad is not None
    with torch.no_grad():
        model.items -= 1e-6 * model.items.grad / model.items.grad.abs().max()
        nearer = distillation(model, teacher, states, states, rows)

    assert at_teacher < 1e-3
    assert float(nearer) < float(away.detach())


@pytest.mark.parametrize("changes", [{"item_rows": "none"}, {"lr": 0.0}, {"window": 1}])
def test_a_config_that_cannot_be_is_refused(changes: dict) -> None:
    """With what would be right."""
    with pytest.raises(ValueError, match="must be"):
        TuneConfig(**changes)
