"""Networks by name: the recipes hold together, and every family learns."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from model.config import ModelConfig
from model.families import FAMILIES, RECIPES, build
from model.fit import VALIDATION_EVENTS, fit
from model.sequences import catalogue_of, histories, hold_out
from tests.model.circles import RECIPE, rounds

TINY = ModelConfig(
    dim=16, streams=1, experts=1, heads=2, blocks=1, max_events=64, dropout=0.0, input_dropout=0.0
)
LEARNERS = {
    "fuxi-mme": replace(TINY, streams=2, experts=2),
    "sasrec": replace(TINY, family="sasrec"),
    "hstu": replace(TINY, family="hstu"),
    "fame": replace(TINY, family="fame", experts=2, facet_gate=True, temperature=1.0),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_what_comes_next(family: str) -> None:
    """On a circle of items the next one is ranked far above the middle, where popularity would put it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    catalogue = catalogue_of(rounds())
    model = build(LEARNERS[family], catalogue.num_rows)
    events, questions = hold_out(histories(rounds(), catalogue), 40, 64, 0)

    curve = fit(model, events, questions, RECIPE, time.monotonic(), None)

    assert max(epoch.ndcg for epoch in curve) > 0.5
    assert curve[-1].loss < curve[0].loss


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_make_networks(name: str) -> None:
    """Of their own family, long enough for a training window and for what validation reads."""
    config, training = RECIPES[name]

    model = build(config, 100)

    assert type(model) is FAMILIES[config.family]
    assert config.max_events >= max(training.window, VALIDATION_EVENTS)
    assert (config.dim, config.blocks, config.heads, training.negatives) == (128, 2, 4, 512)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"fuxi-mme"}))
def test_rivals_refuse_several_streams(family: str) -> None:
    """An item is one vector for them; a shape that they would ignore is an error."""
    with pytest.raises(ValueError, match="streams 2 must be 1"):
        build(replace(LEARNERS[family], streams=2), 100)
