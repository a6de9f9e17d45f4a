"""How evenly the lists that went out used the experts, over the newest of them.

Knows: shares per layer and expert of each list; what dead means (model/health.py). Does not know: routers.

The window is the last one to two thousand lists: two blocks, the older one dropped when the newer is full.
"""

# L = layers, E = experts, N = lists

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry

from model.health import ENOUGH, entropy
from stream.metrics.exposition import Current

#: Lists of one block.
BLOCK: Final = 1000

Shares = Sequence[Sequence[float]]  # (L, E) of one list


class ExpertMetrics:
    """Load, evenness and dead experts of the version that serves."""

    def __init__(self, registry: CollectorRegistry, block: int = BLOCK) -> None:
        self._block = block
        self._load = Current(
            registry,
            "hopstream_expert_load_ratio",
            "Share of the newest tokens that went to an expert, mean over the newest lists.",
            ["layer", "expert"],
        )
        self._entropy = Current(
            registry,
            "hopstream_router_entropy_ratio",
            "Entropy of a layer's expert load over its largest value: 1 even, 0 one expert has all.",
            ["layer"],
        )
        self._dead = Current(
            registry,
            "hopstream_dead_experts",
            f"Experts of a layer that no newest token of at least {ENOUGH} lists went to.",
            ["layer"],
        )
        self.reset()

    def reset(self) -> None:
        """Another version serves: its experts are others."""
        self._older: npt.NDArray[Any] | None = None
        self._sums: npt.NDArray[Any] | None = None
        self._num = self._num_older = 0
        for gauge in (self._load, self._entropy, self._dead):
            gauge.set({})

    def listed(self, experts: Sequence[Shares]) -> None:
        """Lists of one batch; those without experts say nothing."""
        told = [one for one in experts if len(one)]
        if not told:
            return
        sums_LE = np.asarray(told, np.float64).sum(axis=0)
        if self._sums is None or self._sums.shape != sums_LE.shape:
            self.reset()
            self._sums = np.zeros_like(sums_LE)
        self._sums += sums_LE
        self._num += len(told)
        self._tell()
        if self._num >= self._block:
            self._older, self._num_older = self._sums, self._num
            self._sums, self._num = np.zeros_like(sums_LE), 0

    def _tell(self) -> None:
        assert self._sums is not None
        sums_LE = self._sums if self._older is None else self._sums + self._older
        num = self._num + self._num_older
        totals_L1 = sums_LE.sum(axis=1, keepdims=True)
        load_LE = np.divide(sums_LE, totals_L1, out=np.zeros_like(sums_LE), where=totals_L1 > 0)
        self._load.set(
            {
                (str(layer), str(expert)): share
                for layer, load_E in enumerate(load_LE.tolist())
                for expert, share in enumerate(load_E)
            }
        )
        if load_LE.shape[1] > 1:
            largest = math.log(load_LE.shape[1])
            self._entropy.set({(str(n),): entropy(load_E) / largest for n, load_E in enumerate(load_LE)})
        dead_L = (load_LE == 0).sum(axis=1) * (totals_L1[:, 0] > 0) * (num >= ENOUGH)
        self._dead.set({(str(layer),): float(dead) for layer, dead in enumerate(dead_L)})
