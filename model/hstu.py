"""HSTU, the network that FuXi-alpha grew out of: one map of meaning, place and time, a gate, no feed-forward.

Knows: its block, its input of rows, positions and times.
Does not know: losses, item ids, caches.

Zhai et al., ICML 2024 (arXiv 2402.17152), as the authors' public code has it. Our choice, to compare with our
Fuxi-MME and not with its authors': rows are timed by their own event unless query_time is "next", times fall
into seconds, weights by lag reach to the longest sequence, and learned positions start at zero (see SASRec).
"""

# B = sequences, N = positions, n = key positions, D = width, H = heads, F = 4D: gate, value, query and key

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.backbone import Adapt, Adaptable, Adapters, Encoded, of_one_stream
from model.config import ModelConfig
from model.fuxi import Relations, bucket_edges_ms, dropout, relations
from model.sasrec import by_head, one_stream, placed


class HSTU(Adaptable):
    """Histories → one unit vector per position, in the space of the item rows."""

    def __init__(self, config: ModelConfig, num_rows: int) -> None:
        """Raises ValueError when the configuration has more than one stream."""
        super().__init__(config, num_rows)
        one_stream(config)
        self.positions_ND = nn.Parameter(torch.zeros(config.max_events, config.dim))
        self.blocks = nn.ModuleList(HSTUBlock(config) for _ in range(config.blocks))
        self.register_buffer("edges_ms", bucket_edges_ms(config.buckets), persistent=False)
        self.edges_ms: Tensor

    @property
    def adapter_widths(self) -> tuple[int, int]:
        """Of the gate: (D, D)."""
        return self.config.dim, self.config.dim

    def encode(
        self,
        rows_BN: Tensor,
        times_BN: Tensor,
        lengths_B: Tensor,
        asked_BN: Tensor | None = None,
        adapters: Adapters | None = None,
    ) -> Encoded:
        """The state after each position, of length 1 (see Backbone)."""
        N = rows_BN.shape[1]
        asking_BN = times_BN if self.config.query_time == "own" or asked_BN is None else asked_BN
        seen = relations(asking_BN, times_BN, torch.arange(N, device=rows_BN.device)[None], self.edges_ms)
        x_BND = placed(self, self.positions_ND, rows_BN)
        if adapters is not None:
            x_BND = adapters.enter(x_BND)
        for number, block in enumerate(self.blocks):
            x_BND = block(x_BND, seen, None if adapters is None else adapters.layer(number))
        return of_one_stream(x_BND, lengths_B)


class HSTUBlock(nn.Module):
    """x + W_o Dropout(u * LN(A v)), A = SiLU(q k + weight of the lag + weight of the time) / constant."""

    def __init__(self, config: ModelConfig) -> None:
        """Normal with std 0.02, but W_o Xavier uniform and its bias zero (reference code)."""
        super().__init__()
        D = config.dim
        self.heads = config.heads
        self.rate = config.dropout
        self.divisor = float(config.max_events)  # one constant for every sequence, in training too
        self.uvqk_DF = nn.Parameter(0.02 * torch.randn(D, 4 * D))
        self.position_n = nn.Parameter(0.02 * torch.randn(config.max_events))  # by lag
        self.time_b = nn.Parameter(0.02 * torch.randn(config.buckets))  # by bucket
        self.out_DD = nn.Parameter(nn.init.xavier_uniform_(torch.empty(D, D)))
        self.out_bias_D = nn.Parameter(torch.zeros(D))

    def forward(self, x_BND: Tensor, seen: Relations, adapt: Adapt | None = None) -> Tensor:
        """Next x (B, N, D); ``adapt`` adds to the gate's product."""
        normed_BND = normal(x_BND)
        made_BNF = normed_BND @ self.uvqk_DF
        if adapt is not None:
            D = x_BND.shape[-1]
            made_BNF = torch.cat([made_BNF[..., :D] + adapt(normed_BND), made_BNF[..., D:]], dim=-1)
        u, v, q, k = F.silu(made_BNF).chunk(4, dim=-1)
        logits_BHNn = by_head(q, self.heads) @ by_head(k, self.heads).transpose(-2, -1)
        weights_BHNn = F.silu(logits_BHNn + self.bias(seen)[:, None]) / self.divisor
        read_BND = (weights_BHNn @ by_head(v, self.heads)).transpose(1, 2).flatten(2)
        gated_BND = dropout(u * normal(read_BND), self.rate, self.training)
        return gated_BND @ self.out_DD + self.out_bias_D + x_BND

    def bias(self, seen: Relations) -> Tensor:
        """(B, N, n) what lag and time add to a logit, for all heads; UNSEEN where the key comes later."""
        by_lag = self.position_n.index_select(0, seen.lags_BPn.flatten()).view(seen.lags_BPn.shape)
        by_time = self.time_b.index_select(0, seen.buckets_BPn.flatten()).view(seen.buckets_BPn.shape)
        return by_lag + by_time + seen.unseen_BPn


def normal(x: Tensor) -> Tensor:
    """LayerNorm over the last axis, epsilon 1e-6, without learned scale and shift (reference code)."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)
