"""Low-rank additions to a network's gates: one set of frozen weights, seen as several experts.

Knows: which kind of sequence is read, ranks, where a view scales its input.
Does not know: the network that calls it, sessions, themes.

Experts as views of one network are our construction (of MoS, arXiv 2604.20858, only the abstract is known to
us); the low-rank form, with one factor zero at first, is LoRA's (arXiv 2106.09685).
"""

# S = kinds of sequences, L = layers, B = sequences, N = positions, d = width of a gate's input, F = of a gate
# r = rank, K = experts of a mixture, X = S * r

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from model.backbone import Adapt
from model.config import KINDS

__all__ = ["KINDS", "Adapters", "AllViews", "TokenMixture", "View"]

RANK = 8


class View:
    """One view of a network, for one batch: x W_down W_up is added in each layer (backbone.Adapters)."""

    def __init__(
        self,
        down_Ldr: Tensor,
        up_LrF: Tensor,
        *,
        scale_BN: Tensor | None = None,
        share_BNr: Tensor | None = None,
    ) -> None:
        """``scale_BN`` multiplies the network's input, ``share_BNr`` the low-rank part, both by position."""
        self._down_Ldr, self._up_LrF = down_Ldr, up_LrF
        self._scale_BN, self._share_BNr = scale_BN, share_BNr

    def enter(self, x: Tensor) -> Tensor:
        """(B, N, ...), scaled."""
        if self._scale_BN is None:
            return x
        return x * self._scale_BN.view(*self._scale_BN.shape, *[1] * (x.dim() - 2))

    def layer(self, number: int) -> Adapt:
        """(B, N, ..., d) → (B, N, ..., F)."""
        return lambda normed: self._low(normed @ self._down_Ldr[number]) @ self._up_LrF[number]

    def _low(self, low: Tensor) -> Tensor:
        if self._share_BNr is None:
            return low
        B, N, r = self._share_BNr.shape
        return low * self._share_BNr.view(B, N, *[1] * (low.dim() - 3), r)


class Adapters(nn.Module):
    """A pair of factors per kind and layer; every view is the plain network at first."""

    def __init__(self, widths: tuple[int, int], layers: int, rank: int = RANK) -> None:
        """``widths``: Adaptable.adapter_widths. Down normal with std 1 / sqrt(d), up zero."""
        super().__init__()
        d, F = widths
        self.down_SLdr = nn.Parameter(torch.randn(len(KINDS), layers, d, rank) / math.sqrt(d))
        self.up_SLrF = nn.Parameter(torch.zeros(len(KINDS), layers, rank, F))

    def view(self, kind: str, scale_BN: Tensor | None = None) -> View:
        """The network as the expert for one of KINDS."""
        at = KINDS.index(kind)
        return View(self.down_SLdr[at], self.up_SLrF[at], scale_BN=scale_BN)


class AllViews:
    """Sequences of unlike kinds in one batch, each through the view of its own kind; for serving.

    The factors of all kinds stand side by side, so that a layer takes two products however many kinds there
    are; what belongs to other kinds is multiplied by zero.
    """

    def __init__(self, adapters: Adapters) -> None:
        """Copies the factors as they stand."""
        down_LdSr = adapters.down_SLdr.detach().permute(1, 2, 0, 3)
        up_LSrF = adapters.up_SLrF.detach().permute(1, 0, 2, 3)
        self._rank = down_LdSr.shape[-1]
        self._down_LdX = down_LdSr.flatten(2).contiguous()
        self._up_LXF = up_LSrF.flatten(1, 2).contiguous()

    def view(self, kinds_B: Tensor) -> View:
        """``kinds_B``: int64 index of each sequence's kind among KINDS."""
        own_BS = torch.nn.functional.one_hot(kinds_B, len(KINDS)).to(self._down_LdX.dtype)
        share_B1X = own_BS.repeat_interleave(self._rank, dim=1)[:, None]
        return View(self._down_LdX, self._up_LXF, share_BNr=share_B1X)


class TokenMixture(nn.Module):
    """The rival of session routing: K experts of low rank at every gate, weighted per token.

    A dense mixture, so that its gate learns without tricks; its rank is chosen to cost what MoS costs.
    """

    def __init__(self, widths: tuple[int, int], layers: int, num_experts: int, rank: int) -> None:
        super().__init__()
        d, F = widths
        self.rank = rank
        self.down_Ldr = nn.Parameter(torch.randn(layers, d, num_experts * rank) / math.sqrt(d))
        self.up_LrF = nn.Parameter(torch.zeros(layers, num_experts * rank, F))

    def view(self, p_BNK: Tensor) -> View:
        """``p_BNK``: how much each expert counts for a token."""
        return View(self.down_Ldr, self.up_LrF, share_BNr=p_BNK.repeat_interleave(self.rank, dim=-1))
