"""The choice of k among E experts per token, with a gradient, and the two losses that keep it balanced.

Knows: one vector per token, which experts map it, how even the choice is.
Does not know: attention, streams, where the tokens come from.

The choice is the noisy top-k gate of Fuxi-MME (arXiv 2510.25285; read at second hand). With k = 1 the
published softmax over the kept expert is 1 and teaches the router nothing, so the forward factor stays 1 and
the gradient flows through p / stopgrad(p) (our construction). With k > 1 it is the published softmax over the
kept ones (Shazeer et al., arXiv 1701.06538, eq. 3).
"""

# T = tokens, E = experts, K = kept, d = token width, F = output width, h = hidden width

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Mixed(NamedTuple):
    """What the experts made of the tokens."""

    out_TF: Tensor
    logits_TE: Tensor  # fp32 router logits, noisy in training; their argmax is the first choice


class Choice(NamedTuple):
    """Which experts map a token, and how much of each."""

    experts_KT: Tensor  # int64, the preferred one first; ties go to the lowest index
    weights_KT: Tensor


class Routing(NamedTuple):
    """How even the choice was, over valid tokens; losses are for the trainer to weigh."""

    balance: Tensor  # scalar: E * sum_e f_e * mean p_e (Switch, arXiv 2101.03961, eq. 4); 1 when even
    z: Tensor  # scalar: mean squared logsumexp of the logits (ST-MoE, arXiv 2202.08906, eq. 5)
    load_E: Tensor  # share of tokens per expert, sums to 1 (0 everywhere without a valid token)


class Router(nn.Module):
    """Token → logits of E experts → the k it goes through."""

    def __init__(self, num_experts: int, width: int, kept: int) -> None:
        super().__init__()
        self.kept = min(kept, num_experts)
        self.gate_dE = nn.Parameter(torch.empty(width, num_experts))
        self.noise_dE = nn.Parameter(torch.empty(width, num_experts))

    def forward(self, x_Td: Tensor) -> Tensor:
        """(T, E) logits in fp32 whatever precision surrounds them; noise in training only."""
        with torch.autocast(x_Td.device.type, enabled=False):
            x_Td = x_Td.float()
            logits_TE = x_Td @ self.gate_dE
            if self.training:
                scale_TE = F.softplus(x_Td @ self.noise_dE)
                logits_TE = logits_TE + torch.randn_like(logits_TE) * scale_TE
            return logits_TE

    def choose(self, logits_TE: Tensor) -> Choice:
        """The experts of each token."""
        if self.kept > 1:
            kept_TK, experts_TK = logits_TE.sort(dim=1, descending=True, stable=True)
            weights_TK = kept_TK[:, : self.kept].softmax(dim=1)
            return Choice(experts_TK[:, : self.kept].T, weights_TK.T)
        choice_T = logits_TE.argmax(dim=1)  # ties go to the lowest index
        weight_T = torch.ones_like(logits_TE[:, 0])
        if torch.is_grad_enabled():
            chosen_T1 = logits_TE.softmax(dim=1).gather(1, choice_T[:, None])
            weight_T = (chosen_T1 / chosen_T1.detach())[:, 0]
        return Choice(choice_T[None], weight_T[None])


#: Maps some tokens through one expert: (expert, (t, d)) → (t, F).
Through = Callable[[int, Tensor], Tensor]


def gathered(x_Td: Tensor, choice_T: Tensor, num_experts: int, through: Through) -> Tensor:
    """(T, F): sort tokens by expert, one product each: 4 times faster than all experts on all tokens."""
    order_T = choice_T.argsort(stable=True)
    counts: list[int] = torch.bincount(choice_T, minlength=num_experts).tolist()
    groups = torch.split(x_Td.index_select(0, order_T), counts)
    sorted_TF = torch.cat([through(expert, group) for expert, group in enumerate(groups)])
    back_T = torch.empty_like(order_T)
    back_T[order_T] = torch.arange(len(order_T), device=order_T.device)
    return sorted_TF.index_select(0, back_T)


def dense(x_Td: Tensor, choice_T: Tensor, num_experts: int, through: Through) -> Tensor:
    """(T, F): every expert maps every token, the chosen one counts: no number leaves the device, so that a
    GPU need not wait and a graph can be captured."""
    out_TF = through(0, x_Td)
    for expert in range(1, num_experts):
        out_TF = torch.where((choice_T == expert)[:, None], through(expert, x_Td), out_TF)
    return out_TF


def mixed(x_Td: Tensor, choice: Choice, num_experts: int, through: Through) -> Tensor:
    """(T, F): each token through its experts, weighted."""
    if num_experts == 1:
        return through(0, x_Td)
    way = dense if x_Td.is_cuda else gathered
    parts = [way(x_Td, chosen_T, num_experts, through) for chosen_T in choice.experts_KT]
    weighted = [
        part * w_T[:, None].to(part.dtype) for part, w_T in zip(parts, choice.weights_KT, strict=True)
    ]
    return torch.stack(weighted).sum(0) if len(weighted) > 1 else weighted[0]


class Experts(nn.Module):
    """E linear maps d → F; each token goes through those its router prefers. E = 1 is one plain map."""

    def __init__(self, num_experts: int, width: int, out_width: int, kept: int = 1) -> None:
        super().__init__()
        self.weight_EdF = nn.Parameter(torch.empty(num_experts, width, out_width))
        self.router = Router(num_experts, width, kept)

    def forward(self, x_Td: Tensor) -> Mixed:
        """Map each token by its experts: (T, d) → (T, F)."""
        logits_TE = self.router(x_Td)
        choice = self.router.choose(logits_TE)
        return Mixed(mixed(x_Td, choice, len(self.weight_EdF), self._through), logits_TE)

    def _through(self, expert: int, x_Td: Tensor) -> Tensor:
        return x_Td @ self.weight_EdF[expert]


class ExpertFFN(nn.Module):
    """E gated feed-forward maps d → h → d: down(SiLU(x W1) * (x W3)). E = 1 is one plain FFN."""

    def __init__(self, num_experts: int, width: int, hidden: int, kept: int = 1) -> None:
        super().__init__()
        self.gated_Edh = nn.Parameter(torch.empty(num_experts, width, hidden))  # W1
        self.linear_Edh = nn.Parameter(torch.empty(num_experts, width, hidden))  # W3
        self.down_Ehd = nn.Parameter(torch.empty(num_experts, hidden, width))  # W2
        self.router = Router(num_experts, width, kept) if num_experts > 1 else None

    def forward(self, x_Td: Tensor) -> Mixed:
        """Map each token by its experts: (T, d) → (T, d); logits are (T, 0) without a choice."""
        if self.router is None:
            return Mixed(self._through(0, x_Td), x_Td.new_empty((len(x_Td), 0)))
        logits_TE = self.router(x_Td)
        choice = self.router.choose(logits_TE)
        return Mixed(mixed(x_Td, choice, len(self.gated_Edh), self._through), logits_TE)

    def _through(self, expert: int, x_Td: Tensor) -> Tensor:
        hidden_Th = F.silu(x_Td @ self.gated_Edh[expert]) * (x_Td @ self.linear_Edh[expert])
        return hidden_Th @ self.down_Ehd[expert]


def routing(logits_TE: Tensor, valid_T: Tensor) -> Routing:
    """Losses and loads of one layer over the tokens that ``valid_T`` (bool) marks; loads count first
    choices."""
    num_experts = logits_TE.shape[1]
    weight_T1 = valid_T[:, None].to(logits_TE.dtype)
    total = weight_T1.sum().clamp_min(1)
    chosen_TE = F.one_hot(logits_TE.argmax(dim=1), num_experts).to(logits_TE.dtype)
    load_E = (chosen_TE * weight_T1).sum(0) / total
    mean_p_E = (logits_TE.softmax(dim=1) * weight_T1).sum(0) / total
    z = (logits_TE.logsumexp(dim=1).square() * weight_T1[:, 0]).sum() / total
    return Routing(num_experts * (load_E * mean_p_E).sum(), z, load_E)


def margins(logits_TE: Tensor, kept: int = 1) -> Tensor:
    """(T,) how far the last kept expert leads the next one; infinite without a next one.

    Below 1e-4, rounding may choose another expert: results are then only comparable within a choice.
    """
    if logits_TE.shape[-1] <= kept:
        return torch.full(logits_TE.shape[:-1], torch.inf, device=logits_TE.device)
    best = logits_TE.topk(kept + 1, dim=-1).values
    return best[..., kept - 1] - best[..., kept]
