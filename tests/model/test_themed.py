"""The second stage over a version: a child with themes, judged where the first stage is judged too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.config import TrainConfig
from model.errors import NotEnoughData
from model.evaluate import judged_events, model_ranks
from model.prototypes import item_logits
from model.themed import Themed, learn_themes, themed_ranks
from model.version import MoSWeights, Trained, Version
from tests.model.hoppers import RULES
from tests.model.published import World, trained, world

RECIPE = TrainConfig(threads=1, themes=3, validation_users=4)


@pytest.fixture(scope="module")
def made() -> World:
    return world(users=6, sessions=9)


@pytest.fixture(scope="module")
def first(made: World) -> Trained:
    return replace(trained(made), mos=None, train_config=RECIPE, metrics={"validation_ndcg": 0.25})


@pytest.fixture(scope="module")
def themed(made: World, first: Trained) -> Themed:
    return learn_themes(first, made.columns, RULES)


def test_the_network_stays_and_the_table_is_the_routers(first: Trained, themed: Themed) -> None:
    """Weights, index and catalogue are the first stage's; themes are those of the learned prototypes."""
    child, mos = themed.trained, themed.trained.mos
    assert mos is not None
    assert all(np.array_equal(child.weights[name], array) for name, array in first.weights.items())
    assert child.index is first.index
    logits_IK = item_logits(first.index, mos.weights["router.w_r_DD"], mos.weights["router.c_KD"])
    np.testing.assert_array_equal(child.themes.logits_IK, logits_IK)
    assert len(child.themes.labels) == RECIPE.themes
    assert child.metrics["validation_ndcg"] == 0.25
    assert 1 <= len(child.learning_curve) <= 5


def test_both_are_judged_by_the_same_held_out_events(made: World, first: Trained, themed: Themed) -> None:
    """The number of the plain network is what serves without MoS, on the last event of every drawn user."""
    assert themed.events == RECIPE.validation_users
    assert themed.ndcg == pytest.approx(max(line["full_ndcg"] for line in themed.trained.learning_curve))
    again = learn_themes(first, made.columns, RULES, budget_s=1e-9)
    assert again.plain_ndcg == themed.plain_ndcg
    assert len(again.trained.learning_curve) == 1


def test_the_same_seed_gives_the_same_themes(made: World, first: Trained, themed: Themed) -> None:
    """Bit for bit, and torch stays as it was."""
    threads = torch.get_num_threads()
    before = torch.get_rng_state()
    again = learn_themes(first, made.columns, RULES)

    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert again.trained.mos is not None
    assert themed.trained.mos is not None
    for name, array in themed.trained.mos.weights.items():
        assert np.array_equal(array, again.trained.mos.weights[name])
    assert (again.ndcg, again.plain_ndcg) == (themed.ndcg, themed.plain_ndcg)


def test_no_worse_is_kept_and_worse_is_not(themed: Themed) -> None:
    """Equal is kept; without a held-out event nothing is known, so nothing is kept."""
    assert replace(themed, ndcg=0.2, plain_ndcg=0.2, events=3).kept
    assert not replace(themed, ndcg=0.19, plain_ndcg=0.2, events=3).kept
    assert not replace(themed, ndcg=0.2, plain_ndcg=0.1, events=0).kept


def test_short_histories_have_no_themes() -> None:
    """Nobody has twenty events and two closed sessions: said, not trained."""
    short = world(users=3, sessions=3)
    with pytest.raises(NotEnoughData, match="20 events"):
        learn_themes(replace(trained(short), train_config=RECIPE), short.columns, RULES)


def test_neutral_mos_ranks_the_stream_as_the_network(made: World, first: Trained) -> None:
    """Every judged event, in the order of the stream; a world without unknown windows, so to the digit."""
    from model.mos import neutral

    mos = neutral(made.mos, made.network)
    version = Version(
        name="000001",
        epoch=1,
        manifest={},
        config=first.config,
        catalogue=first.catalogue,
        weights=first.weights,
        index=first.index,
        themes=first.themes,
        popularity=first.popularity,
        mos=MoSWeights(config=mos.config, weights=mos.weights()),
    )
    num_warm = int(0.8 * len(made.columns))

    found = themed_ranks(version, made.columns, num_warm, RULES)

    expected = model_ranks(made.network, first.catalogue, made.columns, num_warm)
    assert len(found) == len(judged_events(made.columns, num_warm))
    np.testing.assert_allclose(found, expected)
