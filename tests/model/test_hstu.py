"""HSTU's block against its formula, written out one pair of positions at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from model.config import ModelConfig
from model.fuxi import bucket_edges_ms, relations
from model.hstu import HSTU, HSTUBlock, normal

CONFIG = ModelConfig(family="hstu", dim=8, streams=1, heads=2, experts=1, blocks=2, max_events=16)
B, N, D, H, W = 2, 5, 8, 2, 4


def _silu(x: float) -> float:
    return x / (1 + math.exp(-x))


def _normed(x_D: Tensor) -> Tensor:
    return (x_D - x_D.mean()) / torch.sqrt(((x_D - x_D.mean()) ** 2).mean() + 1e-6)


def _stirred(module: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    for parameter in module.eval().requires_grad_(False).parameters():
        parameter.add_(0.5 * torch.randn_like(parameter))
    return module


def test_a_block_is_its_formula() -> None:
    """Bias by lag and time inside SiLU, one constant below, norm, gate, and the way out; no softmax."""
    block = _stirred(HSTUBlock(CONFIG))
    x = torch.randn(B, N, D)
    times = torch.randint(0, 10**8, (B, N)).cumsum(1)
    seen = relations(times, times, torch.arange(N)[None], bucket_edges_ms(CONFIG.buckets))

    actual = block(x, seen)

    for b in range(B):
        made = [torch.nn.functional.silu(_normed(x[b, i]) @ block.uvqk_DF) for i in range(N)]
        u, v, q, k = ([row[c * D : (c + 1) * D] for row in made] for c in range(4))
        for i in range(N):
            read = torch.zeros(D)
            for j in range(i + 1):
                seconds = max(float(times[b, i] - times[b, j]) / 1000, 1.0)
                bias = float(block.position_n[i - j] + block.time_b[int(math.log(seconds) / 0.301)])
                for h in range(H):
                    part = slice(h * W, (h + 1) * W)
                    read[part] += _silu(float(q[i][part] @ k[j][part]) + bias) / 16 * v[j][part]
            expected = x[b, i] + (u[i] * _normed(read)) @ block.out_DD + block.out_bias_D
            torch.testing.assert_close(actual[b, i], expected, atol=1e-4, rtol=1e-3)


def test_the_norm_has_mean_zero_and_spread_one() -> None:
    """And nothing to learn."""
    x = torch.randn(5, 64) * 100 + 7

    torch.testing.assert_close(normal(x).mean(-1), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(normal(x).std(-1, correction=0), torch.ones(5))
    assert [name for name, _ in HSTUBlock(CONFIG).named_parameters() if "norm" in name] == []


def test_next_asks_at_the_given_time() -> None:
    """Under "next", asking at the events' own times is what "own" does, bit for bit."""
    rows = torch.randint(65, 80, (2, N))
    times = torch.randint(0, 10**8, (2, N)).cumsum(1)
    own, following = (
        _stirred(HSTU(ModelConfig.from_json({**CONFIG.to_json(), "query_time": kind}), 80))
        for kind in ("own", "next")
    )
    following.load_state_dict(own.state_dict())
    lengths = torch.tensor([N, N])

    one = own.encode(rows, times, lengths, times + 10**9).states_BNMd
    same = following.encode(rows, times, lengths, times).states_BNMd
    later = following.encode(rows, times, lengths, times + 10**9).states_BNMd

    assert torch.equal(one, same)
    assert not torch.equal(one, later)
