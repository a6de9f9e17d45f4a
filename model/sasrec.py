"""SASRec, the rival to beat on short histories: softmax attention, learned positions, one vector per item.

Knows: its layer, its input of rows and positions, plain softmax attention.
Does not know: times, losses, item ids, caches (positions are absolute, so it never serves from one).

Kang and McAuley, ICDM 2018 (arXiv 1808.09781), trained with sampled softmax (eSASRec, RecSys 2025) and cosine
scores. Norm last, LayerNorm(x + Dropout(f(x))), as most re-implementations have it; the paper norms first.
Our choice: no biases in attention; positions start at zero, since those beyond the training window are never
trained and must add no noise.
"""

# B = sequences, N = positions, D = width, H = heads, w = D / H, F = 3D: query, key and value side by side
# h = width inside the feed-forward

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.backbone import Adapt, Adaptable, Adapters, Backbone, Encoded, of_one_stream
from model.config import ModelConfig
from model.fuxi import UNSEEN, dropout


class SASRec(Adaptable):
    """Histories → one unit vector per position, in the space of the item rows."""

    def __init__(self, config: ModelConfig, num_rows: int) -> None:
        """Raises ValueError when the configuration has more than one stream."""
        super().__init__(config, num_rows)
        one_stream(config)
        self.positions_ND = nn.Parameter(torch.zeros(config.max_events, config.dim))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.blocks))

    @property
    def adapter_widths(self) -> tuple[int, int]:
        """Of the feed-forward's first map: (D, hidden)."""
        return self.config.dim, self.config.ffn_multiple * self.config.dim

    def encode(
        self,
        rows_BN: Tensor,
        times_BN: Tensor,
        lengths_B: Tensor,
        asked_BN: Tensor | None = None,
        adapters: Adapters | None = None,
    ) -> Encoded:
        """The state after each position, of length 1 (see Backbone)."""
        del times_BN, asked_BN  # order is all that SASRec reads of time
        x_BND = placed(self, self.positions_ND, rows_BN)
        if adapters is not None:
            x_BND = adapters.enter(x_BND)
        unseen_NN = unseen(rows_BN.shape[1], rows_BN.device)
        for number, layer in enumerate(self.layers):
            x_BND = layer(x_BND, unseen_NN, None if adapters is None else adapters.layer(number))
        return of_one_stream(x_BND, lengths_B)


class Layer(nn.Module):
    """Attention over the past, then a feed-forward of two maps with a ReLU between."""

    def __init__(self, config: ModelConfig) -> None:
        """Matrices Xavier uniform, biases zero."""
        super().__init__()
        D = config.dim
        hidden = config.ffn_multiple * D
        self.heads = config.heads
        self.rate = config.dropout
        self.attention_norm = nn.LayerNorm(D)
        self.qkv_DF = nn.Parameter(torch.cat([xavier(D, D) for _ in range(3)], dim=1))
        self.out_DD = nn.Parameter(xavier(D, D))
        self.ffn_norm = nn.LayerNorm(D)
        self.up_Dh = nn.Parameter(xavier(D, hidden))
        self.up_bias_h = nn.Parameter(torch.zeros(hidden))
        self.down_hD = nn.Parameter(xavier(hidden, D))
        self.down_bias_D = nn.Parameter(torch.zeros(D))

    def forward(self, x_BND: Tensor, unseen_NN: Tensor, adapt: Adapt | None = None) -> Tensor:
        """Next x (B, N, D); ``adapt`` adds to the feed-forward's first product."""
        qkv = x_BND @ self.qkv_DF
        q_BHNw, k_BHNw, v_BHNw = (by_head(part, self.heads) for part in qkv.chunk(3, dim=-1))
        weights = dropout(attention(q_BHNw, k_BHNw, unseen_NN), self.rate, self.training)
        read_BND = (weights @ v_BHNw).transpose(1, 2).flatten(2)
        y_BND = self.attention_norm(x_BND + dropout(read_BND @ self.out_DD, self.rate, self.training))
        up_BNh = y_BND @ self.up_Dh + self.up_bias_h
        hidden_BNh = F.relu(up_BNh if adapt is None else up_BNh + adapt(y_BND))
        down_BND = dropout(hidden_BNh, self.rate, self.training) @ self.down_hD + self.down_bias_D
        next_BND: Tensor = self.ffn_norm(y_BND + dropout(down_BND, self.rate, self.training))
        return next_BND


def one_stream(config: ModelConfig) -> None:
    """Raises ValueError unless an item is one vector."""
    if config.streams != 1:
        raise ValueError(f"{config.family} has one vector per item: streams {config.streams} must be 1")


def placed(model: Backbone, positions_ND: Tensor, rows_BN: Tensor) -> Tensor:
    """(B, N, D) input of the first layer: sqrt(D) * item row + position, counted from the oldest event."""
    x_BND = model.rows_of_items(rows_BN).flatten(2) * math.sqrt(model.config.dim)
    return dropout(x_BND + positions_ND[: rows_BN.shape[1]], model.config.input_dropout, model.training)


def unseen(num: int, device: torch.device) -> Tensor:
    """(num, num) fp32: UNSEEN where the key (column) comes after the query (row), else 0."""
    return torch.full((num, num), UNSEEN, device=device).triu_(1)


def by_head(x_BND: Tensor, heads: int) -> Tensor:
    """(B, H, N, w)."""
    B, N, D = x_BND.shape
    return x_BND.view(B, N, heads, D // heads).transpose(1, 2)


def attention(q: Tensor, k: Tensor, unseen_NN: Tensor) -> Tensor:
    """(..., N, N) softmax over keys of q k / sqrt(w), of q and k (..., N, w), whose other axes may broadcast.

    Plain products: below 50 positions faster on a CPU than the fused kernel.
    """
    logits = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    return (logits + unseen_NN).softmax(dim=-1)


def xavier(rows: int, columns: int) -> Tensor:
    """(rows, columns) Xavier uniform."""
    return nn.init.xavier_uniform_(torch.empty(rows, columns))
