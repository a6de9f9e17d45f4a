"""A block against its formulas, written out one number at a time."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.fuxi import (
    FuxiBlock,
    Projected,
    Relations,
    attend,
    bucket_edges_ms,
    dropout,
    relations,
    rms,
)

B, N, M, H, W = 3, 7, 2, 2, 4
EDGES = bucket_edges_ms(129)


def _bucket(delta_ms: int) -> int:
    return int(torch.bucketize(torch.tensor([delta_ms]), EDGES, right=True))


@settings(deadline=None)  # the machine may be busy
@given(st.integers(min_value=0, max_value=1 << 51))
def test_buckets_follow_the_formula(delta_ms: int) -> None:
    """Comparing whole ms with edges is floor(ln(seconds) / 0.301), clamped."""
    expected = math.floor(math.log(max(delta_ms / 1000, 1.0)) / 0.301)

    assert min(expected, 128) == _bucket(delta_ms)


@pytest.mark.parametrize(("seconds", "bucket"), [(60, 13), (3600, 27), (86_400, 37), (2_592_000, 49)])
def test_buckets_of_familiar_gaps(seconds: int, bucket: int) -> None:
    """A minute, an hour, a day and thirty days have the published buckets."""
    assert bucket == _bucket(seconds * 1000)


def test_late_events_count_as_simultaneous() -> None:
    """A key that is younger than its query by the clock has bucket 0."""
    assert _bucket(-5_000_000) == 0


def _world(seed: int = 0) -> tuple[Projected, Relations, tuple[Tensor, Tensor], Tensor]:
    torch.manual_seed(seed)
    q, k, v = (torch.randn(B, N, M, H * W) for _ in range(3))
    times_BN = torch.randint(0, 10**9, (B, N)).cumsum(1)
    seen = relations(times_BN, times_BN, torch.arange(N)[None], EDGES)
    by_lag, by_bucket = torch.randn(N), torch.randn(129)
    maps = (by_lag[seen.lags_BPn] * seen.seen_BPn, by_bucket[seen.buckets_BPn] * seen.seen_BPn)
    return Projected(q, k, v, q, q), seen, maps, times_BN


def test_channels_are_sums_over_earlier_positions() -> None:
    """Each channel equals its definition, position by position and head by head."""
    projected, seen, (position, time), _ = _world()
    q, k, v = projected.q_BPMd, projected.k_BPMd, projected.v_BPMd

    actual = attend(projected, k, v, (position, time), seen, H)

    expected = [torch.zeros(B, N, M, H * W) for _ in range(3)]
    for b in range(B):
        for i in range(N):
            for j in range(i + 1):
                expected[0][b, i] += position[0, i, j] * v[b, j]
                expected[1][b, i] += time[b, i, j] * v[b, j]
                for h in range(H):
                    some = slice(h * W, (h + 1) * W)
                    logit_M = (q[b, i, :, some] * k[b, j, :, some]).sum(-1)
                    expected[2][b, i, :, some] += F.silu(logit_M)[:, None] * v[b, j, :, some]
    for made, wanted in zip(actual, expected, strict=True):
        torch.testing.assert_close(made, wanted, atol=1e-4, rtol=1e-4)


def test_long_maps_in_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sequence at a time gives what all at once give."""
    projected, seen, maps, _ = _world()
    whole = attend(projected, projected.k_BPMd, projected.v_BPMd, maps, seen, H)

    monkeypatch.setattr("model.fuxi.MAX_MAP", 1)
    parts = attend(projected, projected.k_BPMd, projected.v_BPMd, maps, seen, H)

    for expected, actual in zip(whole, parts, strict=True):
        torch.testing.assert_close(expected, actual)


def test_unseen_keys_have_no_weight_and_no_gradient() -> None:
    """The mask inside SiLU is exact: no NaN, and a later key moves no earlier output."""
    projected, seen, maps, _ = _world()
    k = projected.k_BPMd.clone().requires_grad_()

    attend(projected, k, projected.v_BPMd, maps, seen, H)[2][:, :3].sum().backward()

    assert k.grad is not None
    assert torch.isfinite(k.grad).all()
    assert k.grad[:, 3:].abs().max() == 0
    assert k.grad[:, 0].abs().max() > 0


def test_rms_has_unit_mean_square() -> None:
    """Whatever the scale, the mean square becomes 1; zeros stay zeros."""
    x = torch.randn(5, 16) * 100

    torch.testing.assert_close(rms(x).square().mean(-1), torch.ones(5))
    assert rms(torch.zeros(1, 16)).abs().max() == 0


def test_dropout_keeps_the_mean() -> None:
    """About 30 % are zero, the rest is scaled so that the mean stays; in evaluation nothing happens."""
    torch.manual_seed(0)
    x = torch.ones(200_001)

    dropped = dropout(x, 0.3, training=True)

    assert abs((dropped == 0).float().mean().item() - 77 / 256) < 0.01
    assert abs(dropped.mean().item() - 1) < 0.01
    assert dropout(x, 0.3, training=False) is x
    assert dropout(x, 0.0, training=True) is x


def test_the_semantic_channel_is_divided_by_one_constant(small) -> None:
    """The divisor is the longest sequence, not the batch's."""
    assert float(small.max_events) == FuxiBlock(small).divisor
