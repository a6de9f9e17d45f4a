"""MoS: global, local and theme experts as views of one frozen network, fused into one user vector.

Knows: router, adapters, fusion; how states of up to three kinds of sequences become one vector.
Does not know: how sessions are cut or sequences found (model/mos_sequences.py), ids, caches, training.

Only the abstract of MoS (arXiv 2604.20858) is known to us: a theme-aware routing of sessions, and a fusion of
global, short-term and theme experts around any backbone. Everything else here is our construction.
"""

# T = cuts (moments), J = themes read at a cut, S = kinds of sequences, K = themes, M = streams
# d = stream width, D = M * d, X = 3 D + K + 3: what the fusion looks at

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.adapters import Adapters, TokenMixture
from model.backbone import Adaptable, unit
from model.config import KINDS, MoSConfig
from model.prototypes import NO_THEME
from model.router import Router

__all__ = ["ALL_GLOBAL", "Fused", "MoS", "MoSConfig", "Themed", "neutral"]

#: Added to the global kind, this makes MoS the plain network (law, to 1e-6), to continue from what serves.
ALL_GLOBAL = 20.0


class Themed(NamedTuple):
    """The theme expert's answer at T cuts."""

    states_TMd: Tensor  # zero where no theme was read
    a_TK: Tensor  # how much each theme weighs: 0 for themes that were not chosen


class Fused(NamedTuple):
    """One vector per cut, and who made it."""

    states_TMd: Tensor  # each stream of length 1, zero where nothing was read
    shares_TS: Tensor  # g: how much global, local and theme count; sums to 1


class MoS(nn.Module):
    """Everything that MoS adds to a network; the network itself is handed in and stays as it is."""

    def __init__(self, config: MoSConfig, backbone: Adaptable, c_KD: Tensor) -> None:
        """``c_KD``: first prototypes (K, D). Fusion starts at equal weights, adapters at the plain network.

        Raises ValueError for a network that is told the time of the next event, or for another number of
        prototypes.
        """
        super().__init__()
        if backbone.config.query_time != "own":
            raise ValueError(
                "a list made right after a click cannot know the next event's time: query_time own"
            )
        if c_KD.shape != (config.num_themes, backbone.config.dim):
            raise ValueError(f"{tuple(c_KD.shape)} prototypes for {config.num_themes} themes")
        self.config = config
        layers, widths = backbone.config.blocks, backbone.adapter_widths
        self.router = Router(c_KD)
        self.adapters = Adapters(widths, layers, config.rank)
        self.tokens = (
            TokenMixture(widths, layers, config.num_themes, config.token_rank)
            if config.routing == "tokens"
            else None
        )
        width = len(KINDS) * backbone.config.dim + config.num_themes + len(KINDS)
        self.w_f_XS = nn.Parameter(torch.zeros(width, len(KINDS)))
        self.b_f_S = nn.Parameter(torch.zeros(len(KINDS)))
        self.register_buffer("generation_K", torch.zeros(config.num_themes, dtype=torch.int64))
        self.generation_K: Tensor

    def themed(self, states_TJMd: Tensor, themes_TJ: Tensor, weights_TJ: Tensor, read_TJ: Tensor) -> Themed:
        """Mix up to J themes by their weights, scaled to sum to 1 over those that were read.

        ``themes_TJ``: NO_THEME for none; ``read_TJ`` (bool): the theme's sequence is not empty. The scale is
        held constant, so that even a theme alone teaches its weight.
        """
        chosen_TJ = themes_TJ != NO_THEME
        weights_TJ = weights_TJ * chosen_TJ
        mixed_TJ = weights_TJ * read_TJ
        mixed_TJ = mixed_TJ / mixed_TJ.detach().sum(1, keepdim=True).clamp_min(1e-9)
        zeros_TK = weights_TJ.new_zeros((len(themes_TJ), self.config.num_themes))
        a_TK = zeros_TK.scatter_add(1, themes_TJ.clamp_min(0), weights_TJ)
        return Themed((states_TJMd * mixed_TJ[:, :, None, None]).sum(1), a_TK)

    def fuse(self, states_TSMd: Tensor, a_TK: Tensor, lengths_TS: Tensor) -> Fused:
        """g = softmax(W_f [o_g; o_l; o_theme; a; log(1 + lengths)] + b_f) over the kinds that were read; then
        u = sum of g o, per stream of length 1.

        ``lengths_TS``: events of each kind, of the themes together; 0 for a kind that was not read. All of it
        stands in a request's header or is a state, so the worker's clock need not be known.
        """
        read_TS = lengths_TS > 0
        states_TSMd = states_TSMd * read_TS[:, :, None, None]
        seen_TX = torch.cat(
            [states_TSMd.flatten(1), a_TK, torch.log1p(lengths_TS.to(states_TSMd.dtype))], dim=1
        )
        logits_TS = (seen_TX @ self.w_f_XS + self.b_f_S).masked_fill(~read_TS, -1e30)
        shares_TS = logits_TS.softmax(dim=1)
        return Fused(unit((shares_TS[:, :, None, None] * states_TSMd).sum(1)), shares_TS)

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """All of it by name, copied: router.w_r_DD, router.c_KD, adapters.*, w_f_XS, b_f_S, generation_K."""
        return {name: value.detach().cpu().numpy().copy() for name, value in self.state_dict().items()}

    @classmethod
    def from_weights(
        cls, config: MoSConfig, backbone: Adaptable, weights: Mapping[str, npt.NDArray[Any]]
    ) -> Self:
        """What `weights` was made of, in evaluation mode; leaves torch's generator as it was.

        Raises RuntimeError on other shapes or names.
        """
        with torch.random.fork_rng(devices=[]):
            made = cls(config, backbone, torch.zeros(config.num_themes, backbone.config.dim))
        made.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
        return made.eval().requires_grad_(False)


def neutral(mos: MoS, backbone: Adaptable) -> MoS:
    """The plain network in the form of MoS: it reads the global sequence and adds nothing."""
    with torch.random.fork_rng(devices=[]):
        made = MoS(replace(mos.config, kinds=("global",)), backbone, mos.router.c_KD.detach().cpu())
    return made.to(mos.b_f_S.device).eval().requires_grad_(False)
