"""FAME's last layer, gate and score against their formulas, one position, head and expert at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from model.backbone import last
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.fame import FAME, FacetLayer
from model.sasrec import attention, by_head, unseen

CONFIG = ModelConfig(
    family="fame", dim=8, streams=1, heads=2, experts=3, blocks=2, max_events=16, facet_gate=True,
    temperature=1.0,
)  # fmt: skip
B, N, D, H, E, W = 2, 5, 8, 2, 3, 4
NUM_ROWS = 90
CPU = torch.device("cpu")


def _stirred(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.eval().requires_grad_(False).parameters():
        parameter.add_(0.5 * torch.randn_like(parameter))
    return module


def _softmax(numbers: list[float]) -> list[float]:
    powers = [math.exp(number) for number in numbers]
    return [power / sum(powers) for power in powers]


def _normed(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    variance = ((x - x.mean()) ** 2).mean()
    return (x - x.mean()) / torch.sqrt(variance + 1e-5) * norm.weight + norm.bias


def test_the_last_layer_is_its_formula() -> None:
    """A head's experts ask, its keys and values answer them all, and what they read says how to mix it."""
    layer = _stirred(FacetLayer(CONFIG))
    x = torch.randn(B, N, D)

    actual = layer(x, unseen(N, CPU))

    for b in range(B):
        for i in range(N):
            for h in range(H):
                keys = [row @ layer.kv_DF[:, h * W : (h + 1) * W] for row in x[b]]
                values = [row @ layer.kv_DF[:, D + h * W : D + (h + 1) * W] for row in x[b]]
                reads = []
                for e in range(E):
                    at = (h * E + e) * W
                    query = x[b, i] @ layer.query_Dx[:, at : at + W]
                    weights = _softmax([float(query @ keys[j]) / math.sqrt(W) for j in range(i + 1)])
                    reads.append(sum(weights[j] * values[j] for j in range(i + 1)))
                beta = _softmax((torch.cat(reads) @ layer.router_HxE[h]).tolist())
                read = sum(beta[e] * reads[e] for e in range(E))
                y = _normed(x[b, i, h * W : (h + 1) * W] + read, layer.facet_norm)
                hidden = (y @ layer.up_dd + layer.up_bias_d).clamp_min(0)
                expected = hidden @ layer.down_dd + layer.down_bias_d
                torch.testing.assert_close(actual[b, i, h], expected, atol=1e-4, rtol=1e-4)


def test_one_expert_is_plain_attention() -> None:
    """Facet heads without the mixture: the layer reads what multi-head attention reads, with no router."""
    layer = _stirred(FacetLayer(replace(CONFIG, experts=1)))
    x = torch.randn(B, N, D)

    k, v = (by_head(part, H) for part in (x @ layer.kv_DF).chunk(2, dim=-1))
    plain = attention(by_head(x @ layer.query_Dx, H), k, unseen(N, CPU)) @ v

    torch.testing.assert_close(layer.attend(x, unseen(N, CPU)), plain.transpose(1, 2))
    assert "router_HxE" not in layer.state_dict()


def test_equal_experts_are_one_expert() -> None:
    """However the router mixes them."""
    mixture, single = _stirred(FacetLayer(CONFIG)), FacetLayer(replace(CONFIG, experts=1)).eval()
    queries = mixture.query_Dx.view(D, H, E, W)
    queries.copy_(queries[:, :, :1].expand(-1, -1, E, -1).clone())
    weights = {name: value for name, value in mixture.state_dict().items() if name != "router_HxE"}
    single.load_state_dict({**weights, "query_Dx": queries[:, :, 0].reshape(D, H * W)})
    x = torch.randn(B, N, D)

    torch.testing.assert_close(mixture(x, unseen(N, CPU)), single(x, unseen(N, CPU)), atol=1e-5, rtol=1e-4)


def test_the_score_is_the_gated_sum_over_facets() -> None:
    """Vector times line is the sum over h of g_h <e W_h, F_h>, g a softmax over all facets at once."""
    model = _stirred(FAME(CONFIG, NUM_ROWS))
    rows = torch.randint(FIRST_ITEM_ROW, NUM_ROWS, (B, N))
    lengths = torch.tensor([N, 3])
    states = last(model.encode(rows, rows, lengths).states_BNMd, lengths)

    scores = model.vectors(states) @ model.item_index().T

    for b in range(B):
        gate = _softmax((torch.cat(list(states[b])) @ model.gate_DH + model.gate_H).tolist())
        for i in (0, 7, NUM_ROWS - FIRST_ITEM_ROW - 1):
            item = model.items[FIRST_ITEM_ROW + i, 0]
            facets = [item @ model.facets_DD[:, h * W : (h + 1) * W] for h in range(H)]
            expected = sum(gate[h] * float(facets[h] @ states[b, h]) for h in range(H))
            assert float(scores[b, i]) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert max(gate) - min(gate) > 0.01  # else the gate would not have been tested


def test_the_gate_starts_even() -> None:
    """Before it learns, every facet counts alike, as with the gate off."""
    states = torch.randn(3, H, W)

    gated, even = (FAME(replace(CONFIG, facet_gate=on), NUM_ROWS) for on in (True, False))

    torch.testing.assert_close(gated.vectors(states), states.flatten(1) / H)
    torch.testing.assert_close(even.vectors(states), states.flatten(1) / H)


def test_the_last_block_is_the_one_with_facets() -> None:
    """Those before it are SASRec's layers; a shape without a last one is refused."""
    assert len(FAME(replace(CONFIG, blocks=3), NUM_ROWS).layers) == 2
    with pytest.raises(ValueError, match="blocks 0"):
        FAME(replace(CONFIG, blocks=0), NUM_ROWS)
