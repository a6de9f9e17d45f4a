"""FAME: each head of the last layer is one facet of taste, ranks by itself, and a gate weighs the heads.

Knows: the last layer with experts inside its attention, item facets, the gate, how they make one product.
Does not know: times, losses, item ids, caches.

Liu et al., WSDM 2025 (arXiv 2411.01457), eqs. 7-17, read at second hand through re-implementations that agree
on these. Scores are dot products as there, so temperature 1 belongs to it. With experts = 1 the last layer is
plain attention, and only the heads are FAME's; with facet_gate off they count evenly.

Our choice: the body is our SASRec; the last layer's residual is x split into heads, with a LayerNorm over
each part; matrices are drawn by Xavier; the gate starts even.
"""

# B = sequences, N = positions, D = width, H = heads = facets, d = D / H, E = experts
# x = H * E * d: all experts of all heads side by side

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.backbone import Backbone, Encoded, unrouted
from model.batch import valid_mask
from model.config import ModelConfig
from model.fuxi import dropout
from model.sasrec import Layer, attention, by_head, one_stream, placed, unseen, xavier


class FAME(Backbone):
    """Histories → H facets per position, (B, N, H, d); items meet them as H facets of their own."""

    def __init__(self, config: ModelConfig, num_rows: int) -> None:
        """Raises ValueError when the configuration has more than one stream, or no block."""
        super().__init__(config, num_rows)
        one_stream(config)
        if config.blocks < 1:
            raise ValueError(f"fame needs its last layer: blocks {config.blocks} must be at least 1")
        self.positions_ND = nn.Parameter(torch.zeros(config.max_events, config.dim))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.blocks - 1))
        self.last = FacetLayer(config)
        self.facets_DD = nn.Parameter(xavier(config.dim, config.dim))  # W_f of each facet, side by side
        if config.facet_gate:
            self.gate_DH = nn.Parameter(torch.zeros(config.dim, config.heads))
            self.gate_H = nn.Parameter(torch.zeros(config.heads))

    def encode(
        self, rows_BN: Tensor, times_BN: Tensor, lengths_B: Tensor, asked_BN: Tensor | None = None
    ) -> Encoded:
        """The facets after each position, of any length (see Backbone); dense experts need no balance."""
        del times_BN, asked_BN  # order is all that FAME reads of time
        x_BND = placed(self, self.positions_ND, rows_BN)
        unseen_NN = unseen(rows_BN.shape[1], rows_BN.device)
        for layer in self.layers:
            x_BND = layer(x_BND, unseen_NN)
        valid_BN = valid_mask(lengths_B, rows_BN.shape[1])
        states_BNHd = self.last(x_BND, unseen_NN) * valid_BN[:, :, None, None]
        return Encoded(states_BNHd, *unrouted(states_BNHd))

    def lines(self, rows: Tensor) -> Tensor:
        """(..., D): an item's facets e W_f side by side."""
        return self.rows_of_items(rows).flatten(-2) @ self.facets_DD

    def facets(self, states: Tensor) -> Tensor:
        """(..., H): how much each facet of states (..., H, d) counts, eq. 10; 1 / H without the gate."""
        if not self.config.facet_gate:
            return states.new_full(states.shape[:-1], 1 / states.shape[-2])
        return (states.flatten(-2) @ self.gate_DH + self.gate_H).softmax(dim=-1)

    def vectors(self, states: Tensor) -> Tensor:
        """(..., D) facets side by side, each times its weight: one product with a line is the gated sum."""
        return (states * self.facets(states)[..., None]).flatten(-2)


class FacetLayer(nn.Module):
    """Attention whose queries come from E experts per head, mixed by what each one read; then a FFN per head.

    All experts run (dense), a head's keys and values are shared by its experts, the FFN by the heads.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Matrices Xavier uniform (each expert's alone), router normal with std 0.02, biases zero."""
        super().__init__()
        D, d = config.dim, config.dim // config.heads
        self.heads = config.heads
        self.experts = config.experts
        self.rate = config.dropout
        self.query_Dx = nn.Parameter(
            torch.cat([xavier(D, d) for _ in range(config.heads * config.experts)], 1)
        )
        self.kv_DF = nn.Parameter(torch.cat([xavier(D, D), xavier(D, D)], dim=1))
        if config.experts > 1:  # what one expert reads needs no router
            width = config.experts * d
            self.router_HxE = nn.Parameter(0.02 * torch.randn(config.heads, width, config.experts))
        self.facet_norm = nn.LayerNorm(d)
        self.up_dd = nn.Parameter(xavier(d, d))
        self.up_bias_d = nn.Parameter(torch.zeros(d))
        self.down_dd = nn.Parameter(xavier(d, d))
        self.down_bias_d = nn.Parameter(torch.zeros(d))

    def forward(self, x_BND: Tensor, unseen_NN: Tensor) -> Tensor:
        """Facets (B, N, H, d)."""
        read_BNHd = self.attend(x_BND, unseen_NN)
        split_BNHd = x_BND.view(read_BNHd.shape)
        y_BNHd = self.facet_norm(split_BNHd + dropout(read_BNHd, self.rate, self.training))
        hidden_BNHd = dropout(F.relu(y_BNHd @ self.up_dd + self.up_bias_d), self.rate, self.training)
        return hidden_BNHd @ self.down_dd + self.down_bias_d

    def attend(self, x_BND: Tensor, unseen_NN: Tensor) -> Tensor:
        """(B, N, H, d) what the experts of each head read, mixed (eqs. 14-17)."""
        B, N, _ = x_BND.shape
        H, E = self.heads, self.experts
        q_BHENd = (x_BND @ self.query_Dx).view(B, N, H, E, -1).permute(0, 2, 3, 1, 4)
        k_BHNd, v_BHNd = (by_head(part, H) for part in (x_BND @ self.kv_DF).chunk(2, dim=-1))
        weights = dropout(attention(q_BHENd, k_BHNd[:, :, None], unseen_NN), self.rate, self.training)
        read_BNHEd = (weights @ v_BHNd[:, :, None]).permute(0, 3, 1, 2, 4)
        if E == 1:
            return read_BNHEd[:, :, :, 0]
        logits_BNHE = torch.einsum("bnhx,hxe->bnhe", read_BNHEd.flatten(-2), self.router_HxE)
        return (read_BNHEd * logits_BNHE.softmax(dim=-1)[..., None]).sum(dim=3)
