"""Settings of counters and served sum: chosen on the last tenth of the warm part, never on the stream.

Knows: a few values of each setting, nDCG@10. Does not know: the stream, files, training.

One setting after the other, each at its best before the next is tried: a grid would cost dozens of passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from model.columns import EventColumns
from model.cooccurrence import CoOccurrence
from model.evaluate import choose_half_life
from model.factorisation import FactorConfig, Factorisation
from model.memory import DAY_MS, MemoryConfig
from model.metrics import summary
from model.prequential import Choices, FrozenModel, ranks_along, sums_along
from model.recommender import Recommender
from model.session_knn import SessionConfig, SessionKnn

Config = TypeVar("Config", MemoryConfig, SessionConfig, FactorConfig)

#: Share of the warm part that is learned before the questions begin.
LEARNED_SHARE = 0.9
DAMPINGS = (5.0, 10.0, 20.0, 40.0)
HALF_LIVES_MS = (3650 * DAY_MS, 365 * DAY_MS, 180 * DAY_MS, 90 * DAY_MS)
FADES = (0.9, 0.8, 0.7)
NEIGHBOURS = (100, 500)
RATES = (0.01, 0.03, 0.1)
EPSILONS = (0.001, 0.01, 0.1)


def choose(columns: EventColumns, num_warm: int, gap_ms: int, filter_seen: bool = True) -> Choices:
    """Settings of all counters; epsilon stays as it is, because it needs a model (choose_epsilon).

    ``gap_ms``: the silence that ends a session of this data set; "none ever ends" is tried beside it.
    """
    warm = columns.slice(0, num_warm)
    cut = int(LEARNED_SHARE * num_warm)

    def search(config: Config, make: Callable[[Config], Recommender], **tried: Sequence[Any]) -> Config:
        for name, values in tried.items():
            found = [replace(config, **{name: value}) for value in values]
            # vectors that a rate too high for the set drives to infinity rank nothing, so it is not chosen
            with np.errstate(over="ignore", invalid="ignore"):
                judged = [summary(ranks_along(make(one), warm, cut, filter_seen))["ndcg@10"] for one in found]
            config = found[judged.index(max(judged))]
        return config

    return Choices(
        memory=search(MemoryConfig(), CoOccurrence, damping=DAMPINGS, half_life_ms=HALF_LIVES_MS, fade=FADES),
        sessions=search(SessionConfig(), SessionKnn, gap_ms=(gap_ms, 2**62), neighbours=NEIGHBOURS),
        factors=search(FactorConfig(), Factorisation, rate=RATES),
        half_life_ms=choose_half_life(columns, num_warm, filter_seen),
    )


def choose_epsilon(
    model: FrozenModel, columns: EventColumns, num_learned: int, choices: Choices, filter_seen: bool = True
) -> float:
    """The epsilon with the best nDCG@10 of the served line on warm ``columns`` from ``num_learned`` on.

    ``model`` must have been trained on the events before alone: one that knows the answers makes the memory
    look useless.
    """
    found = {
        epsilon: summary(
            sums_along(model, columns, num_learned, replace(choices, epsilon=epsilon), filter_seen).served_E
        )["ndcg@10"]
        for epsilon in EPSILONS
    }
    return max(found, key=lambda epsilon: found[epsilon])
