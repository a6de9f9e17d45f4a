"""The loss of one batch of windows, through the interface that every network has.

Knows: which states are supervised by what, the weights of the experts' losses.
Does not know: any one network, the optimiser, epochs.
"""

# B = windows, N = positions, T = supervised positions, R = negatives, D = M * d

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.backbone import Backbone
from model.batch import padded, valid_mask
from model.config import FIRST_ITEM_ROW, TrainConfig
from model.losses import draw_negatives, sampled_softmax
from model.sequences import Windows


class Losses(NamedTuple):
    """Scalars of one batch."""

    total: Tensor  # what is minimised
    ranking: Tensor  # the part that ranks items: what a learning curve shows


def losses_of(model: Backbone, windows: Windows, config: TrainConfig, generator: torch.Generator) -> Losses:
    """Every position ranks its target among negatives that ``generator`` (on the CPU) draws."""
    device = model.items.device
    max_events = model.config.max_events
    batch = padded(windows.sequences, max_events).to(device)
    asked_BN = None
    if model.config.query_time == "next":
        timed = [(rows, ms) for (rows, _), ms in zip(windows.sequences, windows.asked_ms, strict=True)]
        asked_BN = padded(timed, max_events).times_BN.to(device)
    encoded = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B, asked_BN)
    valid_BN = valid_mask(batch.lengths_B, batch.rows_BN.shape[1])
    states_TD = model.vectors(encoded.states_BNMd[valid_BN])
    targets_T = torch.from_numpy(np.concatenate(windows.targets)).to(device)
    negatives_R = draw_negatives(config.negatives, FIRST_ITEM_ROW, len(model.items), generator).to(device)
    lines = model.lines(torch.cat([targets_T, negatives_R]))
    ranking = sampled_softmax(
        states_TD,
        lines[: len(targets_T)],
        lines[len(targets_T) :],
        targets_T,
        negatives_R,
        model.config.temperature,
    )
    return Losses(ranking + config.balance * encoded.balance + config.z_loss * encoded.z, ranking)
