"""The loss of one batch of windows, through the interface that every network has.

Knows: which states are supervised by what, the weights of the experts' losses.
Does not know: any one network, the optimiser, epochs.
"""

# B = windows, N = positions, T = supervised positions, R = negatives, U = distinct rows, D = M * d

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.backbone import Backbone
from model.batch import padded, valid_mask
from model.config import FIRST_ITEM_ROW, TrainConfig
from model.losses import LogQ, full_softmax, own_products, sampled_softmax
from model.negatives import Sampler
from model.precision import products_in
from model.sequences import Windows


class Losses(NamedTuple):
    """Scalars of one batch."""

    total: Tensor  # what is minimised
    ranking: Tensor  # the part that ranks items: what a learning curve shows


def losses_of(model: Backbone, windows: Windows, config: TrainConfig, sampler: Sampler) -> Losses:
    """Every position of every window ranks its target, among negatives or all items."""
    device = model.items.device
    max_events = model.config.max_events
    batch = padded(windows.sequences, max_events).to(device)
    asked_BN = None
    if model.config.query_time == "next":
        timed = [(rows, ms) for (rows, _), ms in zip(windows.sequences, windows.asked_ms, strict=True)]
        asked_BN = padded(timed, max_events).times_BN.to(device)
    with products_in(config.precision, device):
        encoded = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B, asked_BN)
    valid_BN = valid_mask(batch.lengths_B, batch.rows_BN.shape[1])
    states_TD = model.vectors(encoded.states_BNMd[valid_BN].float())
    ranking = ranking_loss(
        model, states_TD, torch.from_numpy(np.concatenate(windows.targets)), config, sampler
    )
    return Losses(ranking + config.balance * encoded.balance + config.z_loss * encoded.z, ranking)


def ranking_loss(
    model: Backbone, states_TD: Tensor, targets_T: Tensor, config: TrainConfig, sampler: Sampler
) -> Tensor:
    """Mean loss of user vectors whose targets are these rows (int64, on the CPU)."""
    device, temperature = model.items.device, model.config.temperature
    if len(model.items) - FIRST_ITEM_ROW <= config.full_softmax_items:
        return full_softmax(
            states_TD, model.item_index(), (targets_T - FIRST_ITEM_ROW).to(device), temperature
        )
    negatives = sampler.draw(len(targets_T))
    log_q = None
    if config.log_q:
        log_q = LogQ(sampler.log_q(targets_T).to(device), sampler.log_q(negatives).to(device))
    targets_T, negatives = targets_T.to(device), negatives.to(device)
    if negatives.dim() == 1:
        lines = model.lines(torch.cat([targets_T, negatives]))
        positives_TD, lines_RD = lines[: len(targets_T)], lines[len(targets_T) :]
        negative_TR = states_TD @ lines_RD.T
    else:
        met = torch.zeros(len(model.items), dtype=torch.bool, device=device)
        met[targets_T] = True
        met[negatives] = True
        places = met.cumsum(0) - 1
        lines_UD = model.lines(met.nonzero()[:, 0])
        positives_TD = lines_UD[places[targets_T]]
        negative_TR = own_products(states_TD, lines_UD, places[negatives])
    positive_T = (states_TD * positives_TD).sum(1)
    return sampled_softmax(positive_T, negative_TR, targets_T, negatives, temperature, log_q)
