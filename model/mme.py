"""Fuxi-MME: several small embeddings of each item, each read by the same decoder.

Knows: item rows, streams, the stack of blocks, the full encoding, which is the reference for every shortcut.
Does not know: caches, losses, item ids, ranking.

Multi-embedding and the mixture at W_u: arXiv 2510.25285 (read at second hand). The L2 norm per stream and the
stream embedding are our construction.
"""

# B = sequences, N = positions, M = streams, d = stream width, D = M * d
# L = blocks, E = experts, I = real items

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from model.backbone import Adaptable, Adapters, Encoded, unit
from model.batch import valid_mask
from model.config import ModelConfig
from model.experts import routing
from model.fuxi import FuxiBlock, bucket_edges_ms, dropout, relations


class FuxiMME(Adaptable):
    """Histories → unit vectors per stream, in the space of the item rows."""

    def __init__(self, config: ModelConfig, num_rows: int) -> None:
        super().__init__(config, num_rows)
        self.streams_Md = nn.Parameter(torch.empty(config.streams, config.stream_dim))
        self.blocks = nn.ModuleList(FuxiBlock(config) for _ in range(config.blocks))
        self.register_buffer("edges_ms", bucket_edges_ms(config.buckets), persistent=False)
        self.edges_ms: Tensor
        if config.facet_gate:
            self.open_gate()
        initialise(self)

    @property
    def adapter_widths(self) -> tuple[int, int]:
        """Of W_u, which all streams share: (d, channels side by side)."""
        d = self.config.stream_dim
        return d, (3 if self.config.semantic else 2) * d

    def encode(
        self,
        rows_BN: Tensor,
        times_BN: Tensor,
        lengths_B: Tensor,
        asked_BN: Tensor | None = None,
        adapters: Adapters | None = None,
    ) -> Encoded:
        """The state after each position, per stream of length 1 (see Backbone)."""
        N = rows_BN.shape[1]
        x_BNMd = dropout(self.embed(rows_BN), self.config.input_dropout, self.training)
        if adapters is not None:
            x_BNMd = adapters.enter(x_BNMd)
        positions_1N = torch.arange(N, device=rows_BN.device)[None]
        asking_BN = times_BN if self.config.query_time == "own" or asked_BN is None else asked_BN
        power = self.config.time_bias == "power"
        seen = relations(asking_BN, times_BN, positions_1N, self.edges_ms, with_lapse=power)
        valid_BN = valid_mask(lengths_B, N)
        valid_T = valid_BN[:, :, None].expand(-1, -1, self.config.streams).flatten()
        logits, stats = [], []
        for number, block in enumerate(self.blocks):
            x_BNMd, of_block = block(x_BNMd, seen, None if adapters is None else adapters.layer(number))
            logits += of_block
            stats += [routing(logits_BNME.flatten(0, -2), valid_T) for logits_BNME in of_block]
        return Encoded(
            states_BNMd=unit(x_BNMd) * valid_BN[:, :, None, None],
            balance=torch.stack([stat.balance for stat in stats]).mean(),
            z=torch.stack([stat.z for stat in stats]).mean(),
            load_LE=torch.stack([stat.load_E for stat in stats]).detach(),
            logits_LBNME=torch.stack(logits),
        )

    def embed(self, rows: Tensor) -> Tensor:
        """Input of the first block, (..., M, d): sqrt(d) * item row + stream embedding; any shape of rows."""
        rows_Md = self.rows_of_items(rows)
        return rows_Md * math.sqrt(self.config.stream_dim) + self.streams_Md

    def facets(self, states: Tensor) -> Tensor:
        """(..., M): how much each stream of states (..., M, d) counts; 1 / M without the gate.

        FAME's gate (arXiv 2411.01457, eq. 10) on Fuxi-MME's streams is our construction; its weights start at
        zero, that is at the published mean.
        """
        if not self.config.facet_gate:
            return states.new_full(states.shape[:-1], 1 / states.shape[-2])
        return (states.flatten(-2) @ self.facets_DM + self.facets_M).softmax(dim=-1)

    def open_gate(self) -> None:
        """From here on streams are weighted by context; the weights start even."""
        config, like = self.config, self.items
        self.config = replace(config, facet_gate=True)
        self.facets_DM = nn.Parameter(like.new_zeros(config.dim, config.streams))
        self.facets_M = nn.Parameter(like.new_zeros(config.streams))

    def close_gate(self) -> None:
        """Streams count alike again, and what the gate learned is gone."""
        self.config = replace(self.config, facet_gate=False)
        del self.facets_DM, self.facets_M

    def vectors(self, states: Tensor) -> Tensor:
        """(..., D) user vectors of states (..., M, d): streams side by side, each times its weight."""
        return (states * self.facets(states)[..., None]).flatten(-2)


def initialise(model: FuxiMME) -> None:
    """Draw every parameter but the item rows; the values of the FuXi-alpha code, the router's are ours.

    ==================  ==========================================================================
    stream embeddings   normal, std 0.02
    q, k, v; experts    normal, std 0.02, each expert on its own
    router              normal, std 0.02 (zeros would send every tie to expert 0)
    router noise        zero, that is a noise of softplus(0) = 0.69
    lag, time weights   normal, std 0.02; the power bias: a uniform in +-0.2, b in 0.4..0.8
    W_o, W_1, W_2, W_3  Xavier uniform
    bias of W_o         zero
    facet gate          zero: the plain mean
    ==================  ==========================================================================
    """
    with torch.no_grad():
        nn.init.normal_(model.streams_Md, std=0.02)
        for block in model.blocks:
            assert isinstance(block, FuxiBlock)
            experts = block.experts
            for parameter in (block.qkv_dF, experts.weight_EdF, block.position_n, block.time_b):
                nn.init.normal_(parameter, std=0.02)
            if model.config.time_bias == "power":
                block.time_b[0].uniform_(-0.2, 0.2)
                block.time_b[1].uniform_(0.4, 0.8)
            for router in (experts.router, block.ffn.router):
                if router is not None:
                    nn.init.normal_(router.gate_dE, std=0.02)
                    nn.init.zeros_(router.noise_dE)
            nn.init.xavier_uniform_(block.out_Fd)
            for stack in (block.ffn.gated_Edh, block.ffn.linear_Edh, block.ffn.down_Ehd):
                for matrix in stack:
                    nn.init.xavier_uniform_(matrix)
            nn.init.zeros_(block.out_bias_d)
