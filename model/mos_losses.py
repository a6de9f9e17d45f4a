"""What MoS learns from in one step: ranking by the fused vector, by each expert, and themes that stay apart.

Knows: cuts and their targets, weights of the losses. Does not know: steps, epochs, which weights are kept.

The terms and their weights are our construction (of MoS, arXiv 2604.20858, only the abstract is known to us).
"""

# n = events of some users, T = cuts, S = sessions, K = themes, D = width, R = negatives

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.adapters import KINDS
from model.config import FIRST_ITEM_ROW
from model.losses import full_softmax, sampled_softmax
from model.mos_reading import Noise, Reader, Routed
from model.router import balance, contrastive, half_sums, halves, spread

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MoSTrainConfig:
    """The recipe of the second stage."""

    seed: int = 0
    max_epochs: int = 5
    patience: int = 5  # epochs without a better validation figure that end it
    lr: float = 1e-3
    router_rate: float = 0.1  # of lr, for W_r and C: faster, ranking pulls themes that were found apart
    cuts: int = 256  # of a step, about
    negatives: int = 512  # shared by a step; all items are ranked where there are no more
    alone: float = 0.1  # weight of each expert's own loss
    balance: float = 0.01
    spread: float = 0.01
    contrastive: float = 0.1
    validation_users: int = 2000  # whose last event decides which epoch is kept
    budget_s: float | None = None


def step_loss(
    reader: Reader, cuts_T: IntArray, noise: Noise | None, train: MoSTrainConfig, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """(what is minimised, the part that ranks items) over these ascending cuts.

    Ranking of the fused vector + alone · that of each expert that is fused + for routing by sessions:
    balance, spread and contrastive terms over the sessions of the cuts' users.
    """
    users = np.unique(np.searchsorted(reader.events.starts, cuts_T, side="right") - 1)
    routed = reader.route(users, noise)
    views = reader.read(routed, cuts_T)
    targets_T = torch.from_numpy(reader.events.rows[cuts_T + 1]).to(reader.device)
    known_T = targets_T >= FIRST_ITEM_ROW
    rank = _Ranking(reader, targets_T, known_T, train, random)
    ranking = rank.loss(views.fused.states_TMd, known_T)
    total = ranking
    for at, kind in enumerate(KINDS):
        read_T = known_T & (views.lengths_TS[:, at] > 0)
        if kind in reader.mos.config.kinds and bool(read_T.any()):
            total = total + train.alone * rank.loss(views.states_TSMd[:, at], read_T)
    if reader.mos.config.routing == "sessions" and "theme" in reader.mos.config.kinds:
        total = total + _routing_loss(reader, routed, train, random)
    return total, ranking


class _Ranking:
    """Sampled softmax against negatives that all experts of a step share."""

    def __init__(
        self,
        reader: Reader,
        targets_T: Tensor,
        known_T: Tensor,
        train: MoSTrainConfig,
        random: np.random.Generator,
    ) -> None:
        self._backbone = reader.backbone
        self._targets_T = targets_T
        num_items = len(reader.backbone.items) - FIRST_ITEM_ROW
        self._negatives_R = None
        if num_items > train.negatives:
            drawn = FIRST_ITEM_ROW + random.choice(num_items, train.negatives, replace=False)
            self._negatives_R = torch.from_numpy(drawn).to(reader.device)
        with torch.no_grad():
            self._lines_TD = reader.backbone.lines(targets_T * known_T)
            self._others_RD = (
                reader.backbone.item_index()
                if self._negatives_R is None
                else reader.backbone.lines(self._negatives_R)
            )

    def loss(self, states_TMd: Tensor, chosen_T: Tensor) -> Tensor:
        """Mean over the chosen cuts."""
        states_TD = self._backbone.vectors(states_TMd[chosen_T])
        targets_T, temperature = self._targets_T[chosen_T], self._backbone.config.temperature
        if self._negatives_R is None:
            return full_softmax(states_TD, self._others_RD, targets_T - FIRST_ITEM_ROW, temperature)
        positive_T = (states_TD * self._lines_TD[chosen_T]).sum(1)
        negative_TR = states_TD @ self._others_RD.T
        return sampled_softmax(positive_T, negative_TR, targets_T, self._negatives_R, temperature)


def _routing_loss(
    reader: Reader, routed: Routed, train: MoSTrainConfig, random: np.random.Generator
) -> Tensor:
    router = reader.mos.router
    last_s = routed.last_s[routed.known_n[routed.last_s]]
    session_n = reader.sessions.of_event[routed.places_n]
    half_n, number_n = halves(session_n, routed.item_n, random)
    one_SD, other_SD = half_sums(routed.unit_nD, half_n, number_n)
    theme_S = np.empty(len(one_SD), np.int64)
    theme_S[number_n[number_n >= 0]] = routed.theme_S[session_n[number_n >= 0]]
    loss = train.spread * spread(router.c_KD)
    if len(last_s):
        p_SK = routed.p_nK[torch.from_numpy(last_s).to(reader.device)]
        loss = loss + train.balance * balance(p_SK)
    if len(one_SD) > 1:
        themes = torch.from_numpy(theme_S).to(reader.device)
        loss = loss + train.contrastive * contrastive(router.turned(one_SD), router.turned(other_SD), themes)
    return loss
