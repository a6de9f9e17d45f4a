"""The router of MoS while it learns: item lines → theme logits of every moment of every session.

Knows: W_r and the prototypes as parameters, straight-through noise, the losses that keep themes apart.
Does not know: sequences, the network that reads them, the published table (model/prototypes.py).

Routing by session, its temperature, noise and losses are our construction (of MoS, arXiv 2604.20858, only
the abstract is known to us); the balance loss is the Switch Transformer's (arXiv 2101.03961, eq. 4) over
sessions, the contrastive one InfoNCE (arXiv 1807.03748) between two random halves of one session.
"""

# n = events side by side, S = sessions, K = themes, D = width

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.backbone import unit
from model.themes import THEME_TEMPERATURE

#: Scale of the Gumbel noise at the first step of training, and from this share of the steps on.
NOISE_FIRST, NOISE_LAST, NOISE_ENDS = 1.0, 0.1, 0.2


class Router(nn.Module):
    """W_r (D, D), the identity at first, and prototypes C (K, D) of length 1. Always in fp32."""

    def __init__(self, c_KD: Tensor) -> None:
        super().__init__()
        self.w_r_DD = nn.Parameter(torch.eye(c_KD.shape[1]))
        self.c_KD = nn.Parameter(unit(c_KD.float()))

    def turned(self, z_SD: Tensor) -> Tensor:
        """(S, D): W_r z."""
        with torch.autocast(z_SD.device.type, enabled=False):
            return z_SD.float() @ self.w_r_DD.T

    def forward(self, unit_nD: Tensor) -> Tensor:
        """(n, K) logits of vectors: unit item lines, or means of them; linear, so either way round."""
        with torch.autocast(unit_nD.device.type, enabled=False):
            return self.turned(unit_nD) @ self.c_KD.T / THEME_TEMPERATURE

    @torch.no_grad()
    def renormalise(self) -> None:
        """Prototypes back to length 1; after every step."""
        self.c_KD.copy_(unit(self.c_KD))


def running_means(logits_nK: Tensor, known_n: Tensor, first_n: Tensor) -> tuple[Tensor, Tensor]:
    """(n, K) mean logits of each event's session up to and including the event, (n,) how many items it has.

    Sessions stand in one piece; ``first_n``: index of the first event of each event's session. Only items
    that ``known_n`` (bool) marks count; zeros where there are none. In double precision: nothing that comes
    later or in other sessions may show.
    """
    weight_n = known_n.to(torch.float64)
    own_nK = logits_nK.to(torch.float64) * weight_n[:, None]
    sum_nK, count_n = own_nK.cumsum(0), weight_n.cumsum(0)
    sum_nK = sum_nK - (sum_nK - own_nK)[first_n]
    count_n = count_n - (count_n - weight_n)[first_n]
    return (sum_nK / count_n.clamp_min(1)[:, None]).to(logits_nK.dtype), count_n.long()


def gumbel(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise, drawn on the CPU."""
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64).clamp_(1e-12, 1 - 1e-12)
    return -torch.log(-torch.log(uniform)).float()


def noise_scale(step: int, steps: int) -> float:
    """From NOISE_FIRST in a straight line to NOISE_LAST over the first NOISE_ENDS of the steps; then that."""
    done = min(1.0, step / max(1.0, NOISE_ENDS * steps))
    return NOISE_FIRST + (NOISE_LAST - NOISE_FIRST) * done


def straight_through(p_n: Tensor) -> Tensor:
    """p / stopgrad(p): 1 forward, the gradient of log p backward. p must be above 0."""
    return p_n / p_n.detach()


def balance(p_SK: Tensor) -> Tensor:
    """K · sum over k of f_k · mean p_k over sessions: 1 when even, K when one theme has all; f without
    gradient."""
    K = p_SK.shape[1]
    share_K = F.one_hot(p_SK.argmax(dim=1), K).to(p_SK.dtype).mean(0)
    return K * (share_K * p_SK.mean(0)).sum()


def spread(c_KD: Tensor) -> Tensor:
    """||C C^T - I||² / K²: 0 when prototypes are orthogonal."""
    K = len(c_KD)
    return (c_KD @ c_KD.T - torch.eye(K, device=c_KD.device)).square().sum() / K**2


def contrastive(one_SD: Tensor, other_SD: Tensor, theme_S: Tensor) -> Tensor:
    """InfoNCE: a session's first half must find its second half among those of other themes, and back.

    Vectors of any length; cosines over the router's temperature. Sessions of one theme (int64) are not held
    against each other: telling them apart would undo the theme.
    """
    logits_SS = unit(one_SD) @ unit(other_SD).T / THEME_TEMPERATURE
    own_S = torch.arange(len(one_SD), device=one_SD.device)
    alike_SS = theme_S[:, None] == theme_S
    alike_SS.fill_diagonal_(False)
    logits_SS = logits_SS.masked_fill(alike_SS, -torch.inf)
    return (F.cross_entropy(logits_SS, own_S) + F.cross_entropy(logits_SS.T, own_S)) / 2


def halves(
    session_n: npt.NDArray[np.int64], known_n: npt.NDArray[np.bool_], random: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(half, number) of each event: two random halves of its session, numbered among sessions with two known
    items or more.

    Sessions stand in one piece, ``session_n`` never decreases. half is 0 or 1, and -1 for an event that is
    unknown or alone; the first half is the larger one of an odd number. number is -1 there too.
    """
    half_n = np.full(len(session_n), -1, np.int64)
    number_n = np.full(len(session_n), -1, np.int64)
    at = np.flatnonzero(known_n)
    at = at[np.lexsort((random.random(len(at)), session_n[at]))]
    _, first, counts = np.unique(session_n[at], return_index=True, return_counts=True)
    rank = np.arange(len(at)) - np.repeat(first, counts)
    enough = np.repeat(counts >= 2, counts)
    half_n[at[enough]] = rank[enough] % 2
    number_n[at[enough]] = np.repeat(np.cumsum(counts >= 2) - 1, counts)[enough]
    return half_n, number_n


def half_sums(
    unit_nD: Tensor, half_n: npt.NDArray[np.int64], number_n: npt.NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """Two (S, D): sums of the vectors of each session's first and second half."""
    sums = []
    for half in (0, 1):
        chosen = torch.from_numpy(np.flatnonzero(half_n == half)).to(unit_nD.device)
        number = torch.from_numpy(number_n).to(unit_nD.device)[chosen]
        zeros = unit_nD.new_zeros((int(number_n.max(initial=-1)) + 1, unit_nD.shape[1]))
        sums.append(zeros.index_add(0, number, unit_nD[chosen]))
    return sums[0], sums[1]
