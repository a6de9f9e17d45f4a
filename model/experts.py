"""Top-1 choice among linear experts, with a gradient to the router, and the two losses that keep it balanced.

Knows: one vector per token, which expert maps it, how even the choice is.
Does not know: attention, streams, where the tokens come from.

The choice is the noisy top-1 gate of Fuxi-MME (arXiv 2510.25285; read at second hand). With k = 1 the
published softmax over the kept expert is 1 and teaches the router nothing, so the forward factor stays 1 and
the gradient flows through p / stopgrad(p) (our construction).
"""

# T = tokens, E = experts, d = token width, F = output width

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Mixed(NamedTuple):
    """What the experts made of the tokens."""

    out_TF: Tensor
    logits_TE: Tensor  # fp32 router logits, noisy in training; their argmax is the choice


class Routing(NamedTuple):
    """How even the choice was, over valid tokens; losses are for the trainer to weigh."""

    balance: Tensor  # scalar: E * sum_e f_e * mean p_e (Switch, arXiv 2101.03961, eq. 4); 1 when even
    z: Tensor  # scalar: mean squared logsumexp of the logits (ST-MoE, arXiv 2202.08906, eq. 5)
    load_E: Tensor  # share of tokens per expert, sums to 1 (0 everywhere without a valid token)


class Experts(nn.Module):
    """E linear maps d → F; each token goes through the one its router prefers. E = 1 is one plain map."""

    def __init__(self, num_experts: int, width: int, out_width: int) -> None:
        super().__init__()
        self.weight_EdF = nn.Parameter(torch.empty(num_experts, width, out_width))
        self.gate_dE = nn.Parameter(torch.empty(width, num_experts))
        self.noise_dE = nn.Parameter(torch.empty(width, num_experts))

    def forward(self, x_Td: Tensor) -> Mixed:
        """Map each token by its expert: (T, d) → (T, F)."""
        logits_TE = self.route(x_Td)
        choice_T = logits_TE.argmax(dim=1)  # ties go to the lowest index
        out_TF = self._map(x_Td, choice_T)
        if torch.is_grad_enabled():
            chosen_T1 = logits_TE.softmax(dim=1).gather(1, choice_T[:, None])
            out_TF = out_TF * (chosen_T1 / chosen_T1.detach()).to(out_TF.dtype)
        return Mixed(out_TF, logits_TE)

    def route(self, x_Td: Tensor) -> Tensor:
        """(T, E) router logits in fp32 whatever precision surrounds them; noise in training only."""
        with torch.autocast(x_Td.device.type, enabled=False):
            x_Td = x_Td.float()
            logits_TE = x_Td @ self.gate_dE
            if self.training:
                scale_TE = F.softplus(x_Td @ self.noise_dE)
                logits_TE = logits_TE + torch.randn_like(logits_TE) * scale_TE
            return logits_TE

    def _map(self, x_Td: Tensor, choice_T: Tensor) -> Tensor:
        """Sort tokens by expert, one product each: 4 times faster than all experts on all tokens."""
        num_experts = len(self.weight_EdF)
        if num_experts == 1:
            return x_Td @ self.weight_EdF[0]
        order_T = choice_T.argsort(stable=True)
        counts: list[int] = torch.bincount(choice_T, minlength=num_experts).tolist()
        groups = torch.split(x_Td.index_select(0, order_T), counts)
        sorted_TF = torch.cat([group @ self.weight_EdF[expert] for expert, group in enumerate(groups)])
        back_T = torch.empty_like(order_T)
        back_T[order_T] = torch.arange(len(order_T), device=order_T.device)
        return sorted_TF.index_select(0, back_T)


def routing(logits_TE: Tensor, valid_T: Tensor) -> Routing:
    """Losses and loads of one layer over the tokens that ``valid_T`` (bool) marks."""
    num_experts = logits_TE.shape[1]
    weight_T1 = valid_T[:, None].to(logits_TE.dtype)
    total = weight_T1.sum().clamp_min(1)
    chosen_TE = F.one_hot(logits_TE.argmax(dim=1), num_experts).to(logits_TE.dtype)
    load_E = (chosen_TE * weight_T1).sum(0) / total
    mean_p_E = (logits_TE.softmax(dim=1) * weight_T1).sum(0) / total
    z = (logits_TE.logsumexp(dim=1).square() * weight_T1[:, 0]).sum() / total
    return Routing(num_experts * (load_E * mean_p_E).sum(), z, load_E)


def margins(logits_TE: Tensor) -> Tensor:
    """(T,) how far the chosen expert leads the next one; infinite with one expert.

    Below 1e-4, rounding may choose another expert: results are then only comparable within a choice.
    """
    if logits_TE.shape[-1] == 1:
        return torch.full(logits_TE.shape[:-1], torch.inf, device=logits_TE.device)
    best = logits_TE.topk(2, dim=-1).values
    return best[..., 0] - best[..., 1]
