"""Where bfloat16 is used, and where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model import precision
from model.config import FIRST_ITEM_ROW, ModelConfig, TrainConfig
from model.families import build
from model.negatives import Sampler
from model.precision import products_in
from model.sequences import batches, catalogue_of, histories
from model.step import losses_of
from tests.model.circles import NUM_ITEMS, RECIPE, rounds

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "pays", "expected"),
    [("fp32", True, torch.float32), ("auto", True, torch.bfloat16), ("auto", False, torch.float32)],
)
def test_auto_is_bf16_where_it_pays(
    name: str, pays: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processor's flag decides for auto and for nothing else; sums are never rounded."""
    monkeypatch.setattr(precision, "pays_bf16", lambda device: pays)
    x = torch.ones(2, 2)
    with products_in(name, CPU):
        product, total = x @ x, x + x

    assert product.dtype == expected
    assert total.dtype == torch.float32


def test_bf16_changes_a_step_by_rounding_only() -> None:
    """Fuxi-MME: a loss within a percent of fp32's, router logits and gradients in fp32."""
    log = rounds(num_users=9, num_events=8)
    shape = ModelConfig(dim=16, streams=2, heads=2, max_events=32, dropout=0.0, input_dropout=0.0)
    found = {}
    for name in ("fp32", "bf16"):
        torch.manual_seed(0)
        model = build(shape, FIRST_ITEM_ROW + NUM_ITEMS)
        recipe: TrainConfig = replace(RECIPE, precision=name)
        random = np.random.default_rng(0)
        windows = next(
            batches(
                histories(log, catalogue_of(log)),
                window=12,
                batch=16,
                positions=400,
                new_item_share=0.0,
                random=random,
            )
        )
        losses = losses_of(model, windows, recipe, Sampler(recipe, np.ones(NUM_ITEMS, np.int64)))
        losses.total.backward()
        found[name] = float(losses.ranking.detach())
        assert losses.total.dtype == torch.float32
        assert {weights.grad.dtype for weights in model.parameters() if weights.grad is not None} == {
            torch.float32
        }
    with products_in("bf16", CPU):
        encoded = model.encode(torch.tensor([[70, 71]]), torch.tensor([[0, 1]]), torch.tensor([2]))

    assert found["bf16"] != found["fp32"]
    assert found["bf16"] == pytest.approx(found["fp32"], rel=0.01)
    assert encoded.logits_LBNME.dtype == torch.float32


def test_an_unknown_precision_is_refused() -> None:
    """fp32, bf16 and auto are all there is."""
    with pytest.raises(ValueError, match="precision 'fp16' must be one of fp32, bf16, auto"):
        replace(RECIPE, precision="fp16")
