"""Which items a position has to tell its target from: shared or its own, uniform or by popularity.

Knows: rows, counts, the probability of a draw. Does not know: vectors, losses, the network.

Negatives shared by the batch make a step 3.5 times faster on a CPU than fresh ones per position, 20 times
faster than fresh ones whose lines are all gathered at once (`hopstream bench train`; FuXi-alpha, arXiv
2502.03036, draws 128 per position). The price is that all positions of a step push away from the same rows.
"""

# T = supervised positions, R = negatives, I = real items

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.config import FIRST_ITEM_ROW, TrainConfig


class Sampler:
    """Draws negative rows from a generator of its own, on the CPU."""

    def __init__(self, config: TrainConfig, counts_I: npt.NDArray[np.int64]) -> None:
        """``counts_I``: events of each real item; an item without one is drawn like one with one."""
        self.generator = torch.Generator().manual_seed(config.seed)
        self._config = config
        self._num_items = len(counts_I)
        chance_I = torch.from_numpy(np.maximum(counts_I, 1)).double().pow(config.popularity_power)
        self._upto_I = chance_I.cumsum(0)
        self._log_q_I = (chance_I / chance_I.sum()).log().float()

    def draw(self, num_positions: int) -> Tensor:
        """Rows (R,) for all positions, or (T, R) of their own; int64.

        Uniform and shared: distinct, and all items if there are fewer than asked. Else with replacement.
        """
        num = self._config.negatives
        shared = self._config.negatives_per == "batch"
        if self._config.popularity_power:
            shape = (num,) if shared else (num_positions, num)
            points = torch.rand(shape, generator=self.generator, dtype=torch.float64) * self._upto_I[-1]
            items = torch.searchsorted(self._upto_I, points, right=True).clamp_max(self._num_items - 1)
        elif shared:
            items = torch.randperm(self._num_items, generator=self.generator)[: min(num, self._num_items)]
        else:
            items = torch.randint(self._num_items, (num_positions, num), generator=self.generator)
        return items + FIRST_ITEM_ROW

    def log_q(self, rows: Tensor) -> Tensor:
        """log of the probability that one draw gives each of these real items' rows; the shape of rows."""
        return self._log_q_I[rows - FIRST_ITEM_ROW]
