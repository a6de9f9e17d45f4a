"""One FuXi-alpha block: queries over keys and values through three channels, then a two-stage feed-forward.

Knows: the block's parameters, the relation of positions and times between queries and keys.
Does not know: items, what the streams are, where cached keys and values live.

FuXi-alpha: arXiv 2502.03036, adaptive multi-channel attention and MFFN, as the authors' code has them. Our
construction: row i is timed by its own t_i, the semantic channel is divided by one constant, positions are
relative only; so a computed row never changes when events follow. The power time bias and the block without
the semantic channel are FuXi-beta's (arXiv 2508.10615).
"""

# B = sequences, P = query positions, n = key positions, M = streams, d = stream width, H = heads, h = d / H
# F = 3d: the channels side by side (2d without the semantic one)

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.backbone import Adapt
from model.config import ModelConfig
from model.experts import ExpertFFN, Experts, Mixed

#: Width of a time bucket on the natural logarithm of seconds (reference code; about 35 % per bucket).
BUCKET_WIDTH = 0.301
#: Added to the semantic logit of a key that a query must not see: SiLU and its gradient are exactly 0 there.
UNSEEN = -1e30
#: Numbers of one semantic map (8 MB): a larger one leaves the caches, and above 32 MB the allocator as well.
MAX_MAP = 2 << 20


class Relations(NamedTuple):
    """How queries stand to keys; the same for every stream, head and block. Leading 1: the same for all B."""

    buckets_BPn: Tensor  # int64 time bucket of max(0, query time - key time)
    lags_BPn: Tensor  # int64 positions from the key up to the query, 0 for itself; (1 | B, P, n)
    seen_BPn: Tensor  # fp32 1 where the key is not after the query, else 0; (1 | B, P, n)
    unseen_BPn: Tensor  # fp32 0 or UNSEEN; (1 | B, P, n)
    lapse_BPn: Tensor | None  # fp32 ln(1 + seconds from key to query, at least 0), for the power bias


class Projected(NamedTuple):
    """What the first stage makes of a position, before it looks at others."""

    q_BPMd: Tensor  # of width 0 without the semantic channel, as is k
    k_BPMd: Tensor
    v_BPMd: Tensor
    u_BPMF: Tensor
    logits_BPME: Tensor  # router


def bucket_edges_ms(num_buckets: int) -> Tensor:
    """(num_buckets - 1,) int64: the first whole ms of each bucket but bucket 0.

    bucket(delta) = clamp(floor(ln(max(delta_s, 1)) / 0.301), 0, num_buckets - 1). Comparing whole ms with
    these edges gives the same bucket on every device, which a logarithm near an edge would not.
    """
    edges = [math.ceil(1000 * math.exp(BUCKET_WIDTH * bucket)) for bucket in range(1, num_buckets)]
    return torch.tensor([min(edge, 1 << 62) for edge in edges], dtype=torch.int64)


def relations(
    query_times_BP: Tensor,
    key_times_Bn: Tensor,
    query_positions_BP: Tensor,
    edges_ms: Tensor,
    *,
    with_lapse: bool = False,
) -> Relations:
    """Relations of queries at ``query_positions_BP`` (1 | B, P) to keys at positions 0..n-1; Unix ms.

    ``with_lapse``: for networks with the power bias.
    """
    delta_BPn = query_times_BP[:, :, None] - key_times_Bn[:, None, :]
    positions_n = torch.arange(key_times_Bn.shape[1], device=key_times_Bn.device)
    lags_BPn = query_positions_BP[:, :, None] - positions_n
    seen_BPn = (lags_BPn >= 0).float()
    return Relations(
        buckets_BPn=torch.bucketize(delta_BPn, edges_ms, right=True),
        lags_BPn=lags_BPn.clamp_min(0),
        seen_BPn=seen_BPn,
        unseen_BPn=(1 - seen_BPn) * UNSEEN,
        lapse_BPn=torch.log1p(delta_BPn.clamp_min(0) / 1000) if with_lapse else None,
    )


def rms(x: Tensor) -> Tensor:
    """x / sqrt(mean of squares + 1e-6) over the last axis, without a learned scale (reference code)."""
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 1e-6)


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """Inverted dropout with the rate rounded to 1/256: one random byte per number.

    On a CPU 5 times faster than one Bernoulli draw per number (4.9 million numbers: 11 ms against 56).
    """
    num_dropped = round(rate * 256)
    if not training or num_dropped == 0:
        return x
    num_words = -(-x.numel() // 8)
    words = torch.empty(num_words, dtype=torch.int64, device=x.device).random_(-(1 << 63), None)
    kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= num_dropped
    return x * kept.to(x.dtype).mul_(256 / (256 - num_dropped))


def attend(
    queries: Projected,
    k_BnMd: Tensor,
    v_BnMd: Tensor,
    maps: tuple[Tensor, Tensor],
    seen: Relations,
    heads: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Position, time and unscaled semantic channel of each query, (B, P, M, d) each.

    ``maps``: position weights (1 | B, P, n) and time weights (B, P, n), zero where unseen. The semantic map
    is SiLU(q k), no softmax.
    """
    position_BPn, time_BPn = maps
    B, P, M, d = queries.q_BPMd.shape
    n = k_BnMd.shape[1]
    by_position, by_time = read(position_BPn, v_BnMd), read(time_BPn, v_BnMd)
    width = d // heads
    q_xPh = queries.q_BPMd.view(B, P, M, heads, width).permute(0, 2, 3, 1, 4).reshape(-1, P, width)
    k_xhn = k_BnMd.view(B, n, M, heads, width).permute(0, 2, 3, 4, 1).reshape(-1, width, n)
    v_xnh = v_BnMd.view(B, n, M, heads, width).permute(0, 2, 3, 1, 4).reshape(-1, n, width)
    parts = []
    num = max(1, MAX_MAP // (M * heads * P * n))
    for at in range(0, B, num):
        unseen_xPn = seen.unseen_BPn[at : at + num] if len(seen.unseen_BPn) > 1 else seen.unseen_BPn
        if len(unseen_xPn) > 1:
            unseen_xPn = unseen_xPn.repeat_interleave(M * heads, dim=0)
        some = slice(at * M * heads, (at + num) * M * heads)
        logits_xPn = torch.baddbmm(unseen_xPn.to(q_xPh.dtype), q_xPh[some], k_xhn[some])
        parts.append(torch.bmm(F.silu(logits_xPn), v_xnh[some]))
    by_meaning = torch.cat(parts).view(B, M * heads, P, width).transpose(1, 2)
    return by_position, by_time, by_meaning.reshape(B, P, M, d)


def read(map_BPn: Tensor, v_BnMd: Tensor) -> Tensor:
    """(B, P, M, d): one map, shared by all streams, over the values."""
    B, n, M, d = v_BnMd.shape
    return torch.matmul(map_BPn, v_BnMd.reshape(B, n, M * d)).view(B, -1, M, d)


class FuxiBlock(nn.Module):
    """Attention in three channels, gated by expert-made u, then MFFN; all streams share its weights."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d = config.stream_dim
        self.semantic = config.semantic
        num_channels = 3 if config.semantic else 2
        at = {place: config.experts if place in config.experts_at else 1 for place in ("w_u", "ffn")}
        self.heads = config.heads
        self.rate = config.dropout
        self.divisor = float(config.max_events)  # one constant for every sequence, in training too
        self.qkv_dF = nn.Parameter(torch.empty(d, 3 * d if config.semantic else d))
        self.experts = Experts(at["w_u"], d, num_channels * d, config.kept)
        self.position_n = nn.Parameter(torch.empty(config.max_events))  # by lag
        num_times = config.buckets if config.time_bias == "bucket" else 2  # by bucket, or a and b
        self.time_b = nn.Parameter(torch.empty(num_times))
        self.out_Fd = nn.Parameter(torch.empty(num_channels * d, d))
        self.out_bias_d = nn.Parameter(torch.empty(d))
        self.ffn = ExpertFFN(at["ffn"], d, config.ffn_multiple * d, config.kept)

    def forward(
        self, x_BPMd: Tensor, seen: Relations, adapt: Adapt | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """The full pass, every position a query and a key: next x (B, P, M, d); logits (B, P, M, E) of each
        mixture."""
        projected = self.project(x_BPMd, adapt)
        x_BPMd, ffn_logits = self.look(x_BPMd, projected, projected.k_BPMd, projected.v_BPMd, seen)
        both = (projected.logits_BPME, ffn_logits)
        return x_BPMd, [logits for logits in both if logits.shape[-1] > 1] or [projected.logits_BPME]

    def look(
        self, x_BPMd: Tensor, projected: Projected, k_BnMd: Tensor, v_BnMd: Tensor, seen: Relations
    ) -> tuple[Tensor, Tensor]:
        """Next x (B, P, M, d) of positions that look at n keys, their own among them; the FFN's logits."""
        maps = self.maps(seen)
        if self.semantic:
            channels = attend(projected, k_BnMd, v_BnMd, maps, seen, self.heads)
            return self.finish(x_BPMd, projected.u_BPMF, *channels)
        return self.finish(x_BPMd, projected.u_BPMF, *(read(a_map, v_BnMd) for a_map in maps))

    def project(self, x_BPMd: Tensor, adapt: Adapt | None = None) -> Projected:
        """Queries, keys, values and gates of positions, each from itself alone; ``adapt`` adds to W_u's."""
        normed = rms(x_BPMd)
        made = F.silu(normed @ self.qkv_dF)
        d = x_BPMd.shape[-1]
        width = d if self.semantic else 0
        q, k, v = torch.split(made, [width, width, d], dim=-1)
        mixed: Mixed = self.experts(normed.flatten(0, -2))
        u_BPMF = mixed.out_TF.view(*x_BPMd.shape[:-1], -1)
        u = F.silu(u_BPMF if adapt is None else u_BPMF + adapt(normed))
        return Projected(q, k, v, u, mixed.logits_TE.view(*x_BPMd.shape[:-1], -1))

    def maps(self, seen: Relations) -> tuple[Tensor, Tensor]:
        """Position (1 | B, P, n) and time (B, P, n) weights, zero where unseen; raw, possibly negative."""
        position = self.position_n.index_select(0, seen.lags_BPn.flatten()).view(seen.lags_BPn.shape)
        if seen.lapse_BPn is not None:
            alpha, beta = self.time_b
            time = alpha * torch.exp(-beta * seen.lapse_BPn)
        else:
            time = self.time_b.index_select(0, seen.buckets_BPn.flatten()).view(seen.buckets_BPn.shape)
        return position * seen.seen_BPn, time * seen.seen_BPn

    def finish(self, x: Tensor, u: Tensor, *channels: Tensor) -> tuple[Tensor, Tensor]:
        """Norm, gate, and both stages of MFFN; x (..., d), u (..., F), channels (..., d): by position, by
        time, by meaning → next x (..., d), logits of the FFN's mixture (..., E | 0).

        The papers interleave the channels by head; whole channels side by side permute rows of learned
        matrices only.
        """
        parts = [*channels[:2], *(channel / self.divisor for channel in channels[2:])]
        gated = dropout(u * rms(torch.cat(parts, dim=-1)), self.rate, self.training)
        y = gated @ self.out_Fd + self.out_bias_d + x
        z = dropout(rms(y), self.rate, self.training)
        mixed: Mixed = self.ffn(z.flatten(0, -2))
        return mixed.out_TF.view(y.shape) + y, mixed.logits_TE.view(*y.shape[:-1], -1)
