"""Training in a world where what comes next is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.config import FIRST_ITEM_ROW, ModelConfig
from model.errors import NotEnoughData
from model.fit import VALIDATION_EVENTS, validate
from model.mme import FuxiMME
from model.sequences import catalogue_of, histories, hold_out
from model.train import warm_start
from model.version import Trained
from tests.model.circles import NUM_ITEMS, RECIPE, rounds

CONFIG = ModelConfig(
    dim=16, streams=2, heads=2, blocks=1, experts=2, max_events=64, dropout=0.0, input_dropout=0.0
)


@pytest.fixture(scope="module")
def trained() -> Trained:
    return warm_start(rounds(), CONFIG, RECIPE)


def test_it_learns_what_comes_next(trained: Trained) -> None:
    """The next item of the circle is ranked far above the middle, where popularity would put it."""
    assert trained.metrics["validation_ndcg@10"] > 0.6
    assert trained.learning_curve[-1]["loss"] < 0.5 * trained.learning_curve[0]["loss"]


def test_the_best_epoch_is_what_is_kept(trained: Trained) -> None:
    """Validating the kept weights gives the best number of the curve again."""
    model = FuxiMME.from_weights(CONFIG, trained.weights)
    everything = histories(rounds(), trained.catalogue)
    _, questions = hold_out(everything, RECIPE.validation_users, VALIDATION_EVENTS, RECIPE.seed)
    best = max(epoch["full_ndcg"] for epoch in trained.learning_curve)

    assert validate(model, questions)["ndcg"] == pytest.approx(best)
    assert trained.metrics["validation_ndcg"] == best


def test_everything_that_is_published_fits_together(trained: Trained) -> None:
    """Index lines are unit streams of the item rows, popularity counts all events, themes cover all items."""
    rows = trained.weights["items"][FIRST_ITEM_ROW:]
    unit = rows / np.linalg.norm(rows, axis=2, keepdims=True)

    np.testing.assert_allclose(trained.index, unit.reshape(NUM_ITEMS, 16), atol=1e-6)
    assert trained.popularity.sum() == len(rounds()) == trained.num_events
    assert trained.themes.logits_IK.shape == (NUM_ITEMS, 3)
    assert trained.catalogue.items == catalogue_of(rounds()).items


def test_the_same_seed_gives_the_same_weights_and_leaves_torch_as_it_was() -> None:
    """Bit for bit on a CPU, whatever torch's generator stood at; another seed differs."""
    short = replace(RECIPE, max_epochs=1, new_item_share=0.1)
    shaped = replace(CONFIG, dropout=0.2, input_dropout=0.2)
    torch.manual_seed(77)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    first = warm_start(rounds(), shaped, short)
    unmoved = torch.equal(before, torch.get_rng_state())
    torch.manual_seed(5)
    again, other = (warm_start(rounds(), shaped, replace(short, seed=seed)) for seed in (0, 1))

    assert unmoved
    assert torch.get_num_threads() == threads
    assert all(np.array_equal(first.weights[name], again.weights[name]) for name in first.weights)
    assert first.data_digest == again.data_digest
    assert not np.array_equal(first.weights["items"], other.weights["items"])


def test_the_budget_ends_training_after_the_step_that_passes_it() -> None:
    """No time at all still gives one validated epoch, and the model of its first step."""
    told: list[tuple[int, int, float]] = []
    made = warm_start(
        rounds(),
        CONFIG,
        replace(RECIPE, budget_s=1e-9),
        progress=lambda epoch, of, loss, ndcg, eta_s: told.append((epoch, of, eta_s)),
    )

    assert told == [(1, RECIPE.max_epochs, 0.0)]
    assert len(made.learning_curve) == 1


def test_patience_ends_training() -> None:
    """Without learning, the first epoch stays the best and patience runs out."""
    made = warm_start(rounds(), CONFIG, replace(RECIPE, lr=0.0, patience=2))

    assert [epoch["epoch"] for epoch in made.learning_curve] == [1, 2, 3]
    assert made.metrics["best_epoch"] == 1


def test_lags_beyond_the_window_stay_zero(trained: Trained) -> None:
    """What was never trained adds nothing to longer sequences; what was trained moved."""
    lags = trained.weights["blocks.0.position_n"]

    assert (lags[RECIPE.window :] == 0).all()
    assert (lags[:5] != 0).all()


@pytest.mark.parametrize(("num_users", "num_events"), [(3, 3), (200, 1)])
def test_too_few_events_are_refused_with_their_number(num_users: int, num_events: int) -> None:
    """Nine events, or users with one event each, make no model."""
    with pytest.raises(NotEnoughData, match=f"{num_users * num_events} events"):
        warm_start(rounds(num_users, num_events), CONFIG, RECIPE)


def test_users_too_short_to_validate_still_train() -> None:
    """With two events per user nobody is held out, and the last epoch is kept."""
    made = warm_start(rounds(80, 2), CONFIG, replace(RECIPE, max_epochs=2))

    assert len(made.learning_curve) == 2
    assert np.isfinite(made.index).all()
