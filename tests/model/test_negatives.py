"""What is drawn, how often, and what the draw says its probability was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.config import FIRST_ITEM_ROW, TrainConfig
from model.negatives import Sampler

EVEN = TrainConfig(negatives=50)


def test_shared_uniform_negatives_are_distinct_real_rows() -> None:
    """Without replacement, never below the first item's row, all of a small catalogue."""
    drawn = Sampler(EVEN, np.ones(200, np.int64)).draw(7)

    assert len(set(drawn.tolist())) == 50
    assert set(drawn.tolist()) <= set(range(FIRST_ITEM_ROW, FIRST_ITEM_ROW + 200))
    assert sorted(Sampler(EVEN, np.ones(10, np.int64)).draw(7).tolist()) == list(
        range(FIRST_ITEM_ROW, FIRST_ITEM_ROW + 10)
    )


@pytest.mark.parametrize("power", [0.0, 0.5])
def test_negatives_per_position_are_each_positions_own(power: float) -> None:
    """R rows for each of T positions, not one draw repeated."""
    config = replace(EVEN, negatives_per="position", popularity_power=power)
    drawn = Sampler(config, np.arange(1, 201)).draw(7)

    assert drawn.shape == (7, 50)
    assert len({tuple(line) for line in drawn.tolist()}) == 7
    assert drawn.min() >= FIRST_ITEM_ROW
    assert drawn.max() < FIRST_ITEM_ROW + 200


def test_popular_items_are_drawn_as_often_as_their_probability_says() -> None:
    """Counts 1, 4, 0 and 16 to the power 1/2 are 1 : 2 : 1 : 4; never having occurred counts as once."""
    sampler = Sampler(replace(EVEN, negatives=80_000, popularity_power=0.5), np.array([1, 4, 0, 16]))
    shares = torch.bincount(sampler.draw(1) - FIRST_ITEM_ROW, minlength=4) / 80_000
    chances = sampler.log_q(torch.arange(FIRST_ITEM_ROW, FIRST_ITEM_ROW + 4)).exp()

    torch.testing.assert_close(chances, torch.tensor([1, 2, 1, 4]) / 8)
    torch.testing.assert_close(shares, chances, atol=0.01, rtol=0)


def test_without_popularity_all_draws_are_alike() -> None:
    """Power 0 ignores the counts."""
    sampler = Sampler(EVEN, np.array([1, 1000, 3]))

    torch.testing.assert_close(
        sampler.log_q(torch.tensor([FIRST_ITEM_ROW, FIRST_ITEM_ROW + 1])).exp(), torch.full((2,), 1 / 3)
    )


@pytest.mark.parametrize("wrong", [{"negatives": 0}, {"negatives_per": "user"}, {"popularity_power": -1.0}])
def test_a_recipe_without_sense_is_refused(wrong: dict[str, int | float | str]) -> None:
    """No negatives, a word nobody knows, or a power that would favour the rare."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(EVEN, **wrong)
