"""One batch's loss: every way to draw negatives is the same ranking, taken from the recipe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from model.config import FIRST_ITEM_ROW, ModelConfig, TrainConfig
from model.negatives import Sampler
from model.sequences import Windows, batches, catalogue_of, histories
from model.step import losses_of
from tests.model.circles import NUM_ITEMS, RECIPE, Turned, rounds

CONFIG = ModelConfig(dim=16, streams=2, heads=2, max_events=32, temperature=0.5)


def network() -> Turned:
    torch.manual_seed(0)
    return Turned(CONFIG, FIRST_ITEM_ROW + NUM_ITEMS)


def one_batch() -> Windows:
    log = rounds(num_users=9, num_events=8)
    random = np.random.default_rng(0)
    found = histories(log, catalogue_of(log))
    return next(batches(found, window=12, batch=16, positions=400, new_item_share=0.0, random=random))


def loss(recipe: TrainConfig, counts: np.ndarray | None = None) -> tuple[float, torch.Tensor]:
    """Of one untrained network, and the gradient of its item rows."""
    model = network()
    counts = np.ones(NUM_ITEMS, np.int64) if counts is None else counts
    found = losses_of(model, one_batch(), recipe, Sampler(recipe, counts)).ranking
    (grad,) = torch.autograd.grad(found, model.items)
    return float(found.detach()), grad


def test_all_items_as_shared_negatives_are_the_full_softmax() -> None:
    """Through the network too: the same loss, and the same gradient of every item row."""
    full, full_grad = loss(replace(RECIPE, full_softmax_items=NUM_ITEMS))
    sampled, sampled_grad = loss(replace(RECIPE, negatives=NUM_ITEMS))

    assert full == pytest.approx(sampled, rel=1e-5)
    torch.testing.assert_close(full_grad, sampled_grad, atol=1e-6, rtol=1e-4)


def test_a_larger_catalogue_is_sampled() -> None:
    """One item more than the limit, and negatives are drawn as before."""
    few = replace(RECIPE, negatives=5)

    assert loss(replace(few, full_softmax_items=NUM_ITEMS - 1))[0] == loss(few)[0]
    assert loss(replace(few, full_softmax_items=NUM_ITEMS))[0] > loss(few)[0]


def test_negatives_of_their_own_cost_what_shared_ones_cost_on_average() -> None:
    """Many uniform draws with replacement, divided by their number: both approach the full softmax."""
    many = replace(RECIPE, negatives=20_000, popularity_power=1e-9)
    shared = loss(many)[0]
    own = loss(replace(many, negatives=4000, negatives_per="position"))[0]

    assert own - np.log(4000) == pytest.approx(shared - np.log(20_000), abs=0.02)


def test_log_q_undoes_popular_draws() -> None:
    """Draws by popularity, corrected, end up nearer to the full softmax's gradient than uncorrected ones."""
    counts = np.arange(1, NUM_ITEMS + 1) ** 2
    recipe = replace(RECIPE, negatives=20_000, popularity_power=1.0)
    target = loss(replace(RECIPE, full_softmax_items=NUM_ITEMS))[1].flatten()

    def likeness(recipe: TrainConfig) -> float:
        return float(torch.cosine_similarity(loss(recipe, counts)[1].flatten(), target, dim=0))

    assert likeness(replace(recipe, log_q=True)) > 0.98
    assert likeness(recipe) < 0.95


def test_the_experts_losses_weigh_what_the_recipe_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Balance and z are added to the ranking, each with its own weight."""
    model = network()
    encode = model.encode

    def routed(*inputs: Any) -> Any:
        return encode(*inputs)._replace(balance=torch.tensor(3.0), z=torch.tensor(5.0))

    monkeypatch.setattr(model, "encode", routed)
    recipe = replace(RECIPE, balance=0.25, z_loss=0.5)
    found = losses_of(model, one_batch(), recipe, Sampler(recipe, np.ones(NUM_ITEMS, np.int64)))

    assert float((found.total - found.ranking).detach()) == pytest.approx(0.25 * 3 + 0.5 * 5, abs=1e-5)
