"""Softmax over a target and what it must beat: drawn negatives, shared or its own, or every item.

Knows: states, lines, which negatives are the target itself, the correction for how negatives were drawn.
Does not know: the network, the optimiser, how negatives are drawn (model/negatives.py).
"""

# T = supervised positions, R = negatives, U = distinct rows, I = real items, D = M * d

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

#: Logit of a negative that is the position's own target: its softmax weight is exactly 0.
COLLIDED = -1e30
#: Numbers of lines that are gathered at once for positions with negatives of their own (4 MB).
GATHERED = 1 << 20


class LogQ(NamedTuple):
    """log of the probability with which a draw gives the target, and each negative."""

    targets_T: Tensor
    negatives: Tensor  # (R,) shared, (T, R) its own


def sampled_softmax(
    positive_T: Tensor,
    negative_TR: Tensor,
    targets_T: Tensor,
    negative_rows: Tensor,
    temperature: float,
    log_q: LogQ | None = None,
) -> Tensor:
    """Mean over positions of -log softmax of the target among itself and its R negatives.

        loss_t = log(exp(s_t+) + sum over r with row_r != target_t of exp(s_tr)) - s_t+
        s = <state, line> / temperature - log q

    ``positive_T`` and ``negative_TR`` are products of user vectors (normalised streams divided by M) with
    lines (normalised streams), so s is the mean cosine over the temperature. ``negative_rows`` is (R,) when
    all positions share them, else (T, R); one that equals the position's target does not count. log q: the
    sampling-bias correction of Yi et al. (RecSys 2019, section 4.2), without which popular items are pushed
    away for being drawn often; None: all are drawn alike, and it would cancel.
    """
    negative_TR = negative_TR.masked_fill(targets_T[:, None] == negative_rows, COLLIDED * temperature)
    logits = torch.cat([positive_T[:, None], negative_TR], dim=1) / temperature
    if log_q is not None:
        drawn = log_q.negatives.expand_as(negative_TR)
        logits = logits - torch.cat([log_q.targets_T[:, None], drawn], dim=1)
    return (logits.logsumexp(dim=1) - logits[:, 0]).mean()


def full_softmax(states_TD: Tensor, index_ID: Tensor, targets_T: Tensor, temperature: float) -> Tensor:
    """Mean over positions of -log softmax of the target among all items; targets are lines of the index."""
    return F.cross_entropy(states_TD @ index_ID.T / temperature, targets_T)


def own_products(states_TD: Tensor, lines_UD: Tensor, places_TR: Tensor) -> Tensor:
    """(T, R) product of each state with the lines at its own places; gathers a few positions at a time, and
    again in the backward pass, since all gathered lines at once are gigabytes."""
    products: Tensor = _OwnProducts.apply(states_TD, lines_UD, places_TR)
    return products


class _OwnProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states_TD: Tensor, lines_UD: Tensor, places_TR: Tensor) -> Tensor:
        ctx.save_for_backward(states_TD, lines_UD, places_TR)
        parts = [
            torch.bmm(_at(lines_UD, places_tR), states_tD[:, :, None])[:, :, 0]
            for states_tD, places_tR in zip(*_few(states_TD, places_TR), strict=True)
        ]
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        states_TD, lines_UD, places_TR = ctx.saved_tensors
        to_lines_UD = torch.zeros_like(lines_UD)
        to_states = []
        for grad_tR, states_tD, places_tR in zip(*_few(states_TD, places_TR, grads[0]), strict=True):
            to_states.append(torch.bmm(grad_tR[:, None], _at(lines_UD, places_tR))[:, 0])
            each_tRD = grad_tR[:, :, None] * states_tD[:, None]
            to_lines_UD.index_add_(0, places_tR.flatten(), each_tRD.flatten(0, 1))
        return torch.cat(to_states), to_lines_UD, None


def _at(lines_UD: Tensor, places_tR: Tensor) -> Tensor:
    """(t, R, D); on a CPU 5 times faster than indexing."""
    return lines_UD.index_select(0, places_tR.flatten()).view(*places_tR.shape, -1)


def _few(states_TD: Tensor, places_TR: Tensor, *more: Tensor) -> list[tuple[Tensor, ...]]:
    size = max(1, GATHERED // max(1, places_TR.shape[1] * states_TD.shape[1]))
    return [torch.split(x, size) for x in (*more, states_TD, places_TR)]
