"""A network is looked into with histories, real and made up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from model import checkup
from model.batch import padded
from model.checkup import check, made_up, sampled
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.families import FAMILIES
from model.mme import FuxiMME
from model.sequences import catalogue_of


def town(num: int = 400) -> EventColumns:
    """Twenty users and thirty items, each event a minute after the last."""
    random = np.random.default_rng(0)
    return EventColumns(
        users=[f"u{code}" for code in range(20)],
        items=[f"i{code}" for code in range(30)],
        user=random.integers(0, 20, num).astype(np.int32),
        item=random.integers(0, 30, num).astype(np.int32),
        time_ms=60_000 * np.arange(num, dtype=np.int64),
    )


def test_the_loads_are_those_of_the_encoding(network: Callable[..., FuxiMME]) -> None:
    """One batch: what the network reports of itself is what the report says, per layer and expert."""
    model = network()
    sequences = made_up(np.ones(30, np.int64), num=8, length=20, seed=0)
    batch = padded(sequences, 24)

    expected = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B).load_LE
    found = check(model, sequences, 24)

    torch.testing.assert_close(torch.tensor([layer.load for layer in found.layers]), expected)
    assert [layer.tokens for layer in found.layers] == [8 * 20 * 2] * 2


def test_how_histories_are_batched_changes_nothing(
    network: Callable[..., FuxiMME], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one and all at once, in any order, with an empty one among them: the same report."""
    model = network()
    columns = town()
    sequences = [*sampled(columns, catalogue_of(columns), 20, seed=0), ([], [])]
    at_once = check(model, sequences, 24)

    monkeypatch.setattr(checkup, "MAX_POSITIONS", 1)
    one_by_one = check(model, sequences[::-1], 24)

    for expected, found in zip(at_once.layers, one_by_one.layers, strict=True):
        assert found.load == pytest.approx(expected.load, abs=1e-3)  # a token in a near tie may change
        assert found.margin == pytest.approx(expected.margin, abs=1e-4)


def test_a_gate_that_prefers_nobody_is_found(network: Callable[..., FuxiMME]) -> None:
    """All logits equal: ties go to expert 0, the others are dead, and every choice is close."""
    model = network()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("gate_dE"):
                parameter.zero_()
    found = check(model, made_up(np.ones(30, np.int64), num=8, length=20, seed=0), 24)

    assert [layer.dead for layer in found.layers] == [(1, 2), (1, 2)]
    assert [layer.close for layer in found.layers] == [1, 1]
    assert "layer 0, expert 0 has 100.0% of 320 tokens, above 80%" in found.alarms


def test_no_history_is_no_report(network: Callable[..., FuxiMME]) -> None:
    """Nothing to send through: no layer, no alarm."""
    assert check(network(), [], 24).to_json()["layers"] == ()


def test_a_network_without_a_mixture_has_no_layer_to_judge() -> None:
    """SASRec routes nothing: no layer, no alarm, no note."""
    torch.manual_seed(0)
    config = ModelConfig(family="sasrec", dim=16, streams=1, heads=2, experts=1, max_events=24)
    found = check(FAMILIES["sasrec"](config, 95), made_up(np.ones(30, np.int64), 8, 20, seed=0), 24)

    assert (found.layers, found.alarms, found.notes) == ((), [], [])


def test_a_sample_is_whole_histories_of_different_users() -> None:
    """Asked for all, every event is there once; asked for five, five users; the same seed, the same ones."""
    columns = town()
    catalogue = catalogue_of(columns)

    everybody = sampled(columns, catalogue, 1000, seed=0)
    five, again = (sampled(columns, catalogue, 5, seed=3) for _ in range(2))

    assert sum(len(rows) for rows, _ in everybody) == len(columns)
    assert len(five) == 5
    assert all((np.diff(times) > 0).all() for _, times in five)
    assert all(np.array_equal(one[0], other[0]) for one, other in zip(five, again, strict=True))


def test_made_up_histories_follow_popularity() -> None:
    """An item with three quarters of the events has them here too, one without events none; times grow."""
    found = made_up(np.array([75, 25, 0]), num=50, length=80, seed=1)
    rows = np.concatenate([rows for rows, _ in found])

    assert (rows == FIRST_ITEM_ROW).mean() == pytest.approx(0.75, abs=0.03)  # 4 standard errors
    assert set(rows.tolist()) == {FIRST_ITEM_ROW, FIRST_ITEM_ROW + 1}
    assert all((np.diff(times) > 0).all() for _, times in found)
    assert len(set(np.concatenate([rows for rows, _ in made_up(np.zeros(9, np.int64), 9, 9, 0)]))) > 5
