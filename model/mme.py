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
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.batch import valid_mask
from model.config import FIRST_ITEM_ROW, PADDING_ROW, ModelConfig
from model.experts import routing
from model.fuxi import FuxiBlock, bucket_edges_ms, dropout, relations


class Encoded(NamedTuple):
    """Sequences after the last block, and how their tokens were routed."""

    states_BNMd: Tensor  # per stream of length 1; zero where padded
    balance: Tensor  # scalar: mean over blocks, experts.Routing.balance
    z: Tensor  # scalar: mean over blocks, experts.Routing.z
    load_LE: Tensor  # per block: share of valid tokens by expert
    logits_LBNME: Tensor  # router logits, noisy in training


class FuxiMME(nn.Module):
    """Histories → unit vectors per stream, in the space of the item rows."""

    def __init__(self, config: ModelConfig, num_rows: int) -> None:
        """``num_rows``: Catalogue.num_rows. Weights are drawn from torch's global generator."""
        super().__init__()
        self.config = config
        self.items = nn.Parameter(torch.empty(num_rows, config.streams, config.stream_dim))
        self.streams_Md = nn.Parameter(torch.empty(config.streams, config.stream_dim))
        self.blocks = nn.ModuleList(FuxiBlock(config) for _ in range(config.blocks))
        self.register_buffer("edges_ms", bucket_edges_ms(config.buckets), persistent=False)
        self.edges_ms: Tensor
        initialise(self)

    @classmethod
    def from_weights(cls, config: ModelConfig, weights: Mapping[str, npt.NDArray[np.float32]]) -> FuxiMME:
        """The model of a state dict, copied, in evaluation mode; leaves torch's generator as it was.

        Raises RuntimeError on other shapes or names.
        """
        with torch.random.fork_rng(devices=[]):
            model = cls(config, num_rows=FIRST_ITEM_ROW)  # the item rows follow: no need to draw millions
        model.items = nn.Parameter(torch.empty(weights["items"].shape))
        model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
        return model.eval().requires_grad_(False)

    def encode(self, rows_BN: Tensor, times_BN: Tensor, lengths_B: Tensor) -> Encoded:
        """The state after each position, from that position and those before it.

        ``rows_BN`` and ``times_BN`` (Unix ms) are right-padded int64, N at most config.max_events; more
        padding changes nothing.
        """
        N = rows_BN.shape[1]
        x_BNMd = dropout(self.embed(rows_BN), self.config.input_dropout, self.training)
        positions_1N = torch.arange(N, device=rows_BN.device)[None]
        seen = relations(times_BN, times_BN, positions_1N, self.edges_ms)
        valid_BN = valid_mask(lengths_B, N)
        valid_T = valid_BN[:, :, None].expand(-1, -1, self.config.streams).flatten()
        logits, stats = [], []
        for block in self.blocks:
            x_BNMd, logits_BNME = block(x_BNMd, seen)
            logits.append(logits_BNME)
            stats.append(routing(logits_BNME.flatten(0, -2), valid_T))
        return Encoded(
            states_BNMd=unit(x_BNMd) * valid_BN[:, :, None, None],
            balance=torch.stack([stat.balance for stat in stats]).mean(),
            z=torch.stack([stat.z for stat in stats]).mean(),
            load_LE=torch.stack([stat.load_E for stat in stats]).detach(),
            logits_LBNME=torch.stack(logits),
        )

    def embed(self, rows: Tensor) -> Tensor:
        """Input of the first block, (..., M, d): sqrt(d) * item row + stream embedding; any shape of rows."""
        config = self.config
        flat = F.embedding(rows, self.items.view(len(self.items), config.dim), padding_idx=PADDING_ROW)
        rows_Md = flat.view(*rows.shape, config.streams, config.stream_dim)
        return rows_Md * math.sqrt(config.stream_dim) + self.streams_Md

    def item_index(self) -> Tensor:
        """(I, D): per stream normalised rows of real items, in row order from FIRST_ITEM_ROW.

        The score of a user vector is one inner product with a line of it.
        """
        return unit(self.items[FIRST_ITEM_ROW:]).flatten(1)


def last(states_BNMd: Tensor, lengths_B: Tensor) -> Tensor:
    """(B, M, d) state after each sequence's newest event; zero for an empty sequence."""
    index_B = (lengths_B - 1).clamp_min(0)
    return states_BNMd[torch.arange(len(lengths_B), device=lengths_B.device), index_B]


def user_vector(states_BMd: Tensor) -> Tensor:
    """(B, D): streams side by side, divided by M: its product with an item line is the mean cosine."""
    return states_BMd.flatten(1) / states_BMd.shape[1]


def unit(x: Tensor) -> Tensor:
    """L2-normalise the last axis; a zero vector stays zero (clamp 1e-6, reference code)."""
    norm: Tensor = x.norm(dim=-1, keepdim=True)
    return x / norm.clamp_min(1e-6)


def initialise(model: FuxiMME) -> None:
    """Draw every parameter; the values of the FuXi-alpha code, the router's are ours.

    ==================  ==========================================================================
    item rows           normal, std 0.02, cut at 2 std; row 0 (padding) zero
    stream embeddings   normal, std 0.02
    q, k, v; experts    normal, std 0.02, each expert on its own
    router              normal, std 0.02 (zeros would send every tie to expert 0)
    router noise        zero, that is a noise of softplus(0) = 0.69
    lag, time weights   normal, std 0.02
    W_o, W_1, W_2, W_3  Xavier uniform
    bias of W_o         zero
    ==================  ==========================================================================
    """
    with torch.no_grad():
        nn.init.trunc_normal_(model.items, std=0.02, a=-0.04, b=0.04)
        model.items[PADDING_ROW].zero_()
        nn.init.normal_(model.streams_Md, std=0.02)
        for block in model.blocks:
            assert isinstance(block, FuxiBlock)
            experts = block.experts
            drawn = (block.qkv_dF, experts.weight_EdF, experts.gate_dE, block.position_n, block.time_b)
            for parameter in drawn:
                nn.init.normal_(parameter, std=0.02)
            for parameter in (block.out_Fd, block.gated_dh, block.linear_dh, block.down_hd):
                nn.init.xavier_uniform_(parameter)
            nn.init.zeros_(experts.noise_dE)
            nn.init.zeros_(block.out_bias_d)
