"""The steps of incremental matrix factorisation, by hand and in a world of two tastes."""

from __future__ import annotations

import numpy as np
import pytest

from model.factorisation import FactorConfig, Factorisation


def test_a_step_is_the_formula() -> None:
    """One event, both vectors drawn from the seed: user first, then item with the user's new vector."""
    config = FactorConfig(width=3, rate=0.1, decay=0.02, seed=5)
    made = Factorisation(config)
    made.observe("u", "i", 0)
    random = np.random.default_rng(5)
    item, user = random.normal(0, 0.1, 3), random.normal(0, 0.1, 3)
    missing = 1 - user @ item
    user = user + 0.1 * (missing * item - 0.02 * user)
    item = item + 0.1 * (missing * user - 0.02 * item)

    assert made.scores("u") == pytest.approx([user @ item])


def test_two_tastes_part() -> None:
    """Users of one half of the items are shown what is left of that half."""
    random = np.random.default_rng(0)
    made = Factorisation(FactorConfig(width=8))
    for _ in range(6000):
        taste, user, item = random.integers(0, 2), random.integers(0, 20), random.integers(0, 10)
        if (taste, user, item) != (0, 0, 7):
            made.observe(f"{taste}-{user}", f"{taste}-{item}", 0)
    taken = {f"0-{item}" for item in range(10) if item != 7}

    assert made.recommend("0-0", 1, taken)[0][0] == "0-7"


def test_vectors_grow_with_the_items() -> None:
    """More items than the first array holds keep the vectors of the earlier ones."""
    made = Factorisation(FactorConfig(width=2, rate=0.0))
    for number in range(200):
        made.observe("u", f"i{number}", 0)
        if number == 10:
            before = made.scores("u")

    assert made.scores("u")[:11].tolist() == pytest.approx(before.tolist())
    assert len(made.scores("u")) == 200
