"""SASRec's layer and input against their formulas, written out one position at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.config import ModelConfig
from model.sasrec import Layer, SASRec, unseen

CONFIG = ModelConfig(family="sasrec", dim=8, streams=1, heads=2, experts=1, blocks=2, max_events=16)
B, N, D, H, W = 2, 5, 8, 2, 4


def _normed(x_D: Tensor, norm: torch.nn.LayerNorm) -> Tensor:
    variance = ((x_D - x_D.mean()) ** 2).mean()
    return (x_D - x_D.mean()) / torch.sqrt(variance + 1e-5) * norm.weight + norm.bias


def _stirred(module: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    for parameter in module.eval().requires_grad_(False).parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def test_a_layer_is_its_formula() -> None:
    """Softmax attention over positions up to one's own, by head, then the feed-forward, each normed last."""
    layer = _stirred(Layer(CONFIG))
    x = torch.randn(B, N, D)

    actual = layer(x, unseen(N, torch.device("cpu")))

    for b in range(B):
        q, k, v = ([x[b, i] @ layer.qkv_DF[:, c * D : (c + 1) * D] for i in range(N)] for c in range(3))
        for i in range(N):
            read = torch.zeros(D)
            for h in range(H):
                part = slice(h * W, (h + 1) * W)
                powers = [math.exp(float(q[i][part] @ k[j][part]) / math.sqrt(W)) for j in range(i + 1)]
                for j in range(i + 1):
                    read[part] += powers[j] / sum(powers) * v[j][part]
            y = _normed(x[b, i] + read @ layer.out_DD, layer.attention_norm)
            hidden = (y @ layer.up_Dh + layer.up_bias_h).clamp_min(0)
            expected = _normed(y + hidden @ layer.down_hD + layer.down_bias_D, layer.ffn_norm)
            torch.testing.assert_close(actual[b, i], expected, atol=1e-5, rtol=1e-4)


def test_without_layers_a_state_is_item_and_place() -> None:
    """The input is sqrt(D) * row + position; the state is that, made a unit vector."""
    model = _stirred(SASRec(replace(CONFIG, blocks=0), 80))
    rows = torch.tensor([[70, 3, 79]])

    states = model.encode(rows, rows, torch.tensor([3])).states_BNMd

    for i, row in enumerate(rows[0]):
        x = model.items[row, 0] * math.sqrt(D) + model.positions_ND[i]
        torch.testing.assert_close(states[0, i, 0], x / x.norm())


def test_the_feed_forward_is_as_wide_as_configured() -> None:
    """ffn_multiple times the width."""
    assert Layer(replace(CONFIG, ffn_multiple=3)).up_Dh.shape == (D, 3 * D)


def test_positions_beyond_the_window_add_nothing() -> None:
    """What training never reaches starts at zero."""
    assert SASRec(CONFIG, 80).positions_ND.abs().max() == 0


def test_several_streams_are_refused() -> None:
    """An item is one vector."""
    with pytest.raises(ValueError, match="sasrec has one vector per item: streams 2 must be 1"):
        SASRec(replace(CONFIG, streams=2), 80)
