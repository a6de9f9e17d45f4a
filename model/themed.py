"""The second stage of a warm start: MoS over a trained network, and whether it is worth serving.

Knows: what a version with themes is made of, which held-out events decide.
Does not know: how MoS learns (model/mos_train.py), how the network did, files.
"""

# K = themes, D = width

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW, MoSConfig
from model.errors import NotEnoughData
from model.evaluate import judged_events
from model.metrics import FloatArray, summary
from model.mme import FuxiMME
from model.mos import MoS, neutral
from model.mos_losses import MoSTrainConfig
from model.mos_ranks import cuts_before, ranks_at
from model.mos_reading import Reader
from model.mos_sequences import Rules, Sessions, sessions_of
from model.mos_train import MoSEpoch, fit_mos, held_cuts
from model.prototypes import learned_table
from model.sequences import Histories, histories
from model.themes import Labels
from model.version import MoSWeights, Trained, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Themed:
    """A version with themes, and how it did where the first stage is judged too."""

    trained: Trained
    ndcg: float  # of the held-out events over all ranks, with MoS
    plain_ndcg: float  # of the same events, by the network alone
    events: int  # that were asked
    seconds: float

    @property
    def kept(self) -> bool:
        """No worse than the network alone."""
        return self.events > 0 and self.ndcg >= self.plain_ndcg

    def metrics(self) -> dict[str, float]:
        return {
            "themes_ndcg": self.ndcg,
            "themes_plain_ndcg": self.plain_ndcg,
            "themes_events": float(self.events),
            "themes_seconds": self.seconds,
        }


def learn_themes(
    first: Trained,
    columns: EventColumns,
    rules: Rules,
    *,
    titles: Mapping[str, str] | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    budget_s: float | None = None,
) -> Themed:
    """Learn MoS over ``first``, which was trained on the same events; its weights stay as they are.

    The held-out events are those of the first stage: the last one of the same users, by the same seed; the
    best epoch is chosen on them, which flatters MoS a little. Deterministic as `fit_mos` is, unless
    ``budget_s`` cuts it short. Raises NotEnoughData where no moment of these events would read a theme.
    """
    started_s = time.monotonic()
    events = histories(columns, first.catalogue)
    sessions = sessions_of(events, rules)
    num_themes = first.train_config.themes
    _check(events, sessions, num_themes)
    network = FuxiMME.from_weights(first.config, first.weights)
    recipe = MoSTrainConfig(
        seed=first.train_config.seed,
        validation_users=first.train_config.validation_users,
        budget_s=budget_s,
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(first.train_config.threads)
    try:
        mos, curve = fit_mos(network, events, sessions, rules, MoSConfig(num_themes=num_themes), recipe)
        readers = [
            Reader(network, one, events, sessions, rules, recipe.seed) for one in (mos, neutral(mos, network))
        ]
        cuts_T = held_cuts(readers[0], recipe)[1]
        ndcg, plain_ndcg = (summary(ranks_at(reader, cuts_T))["ndcg"] for reader in readers)
    finally:
        torch.set_num_threads(threads)
    labels = Labels(titles, categories, first.popularity)
    return Themed(
        trained=_published(first, mos, curve, labels),
        ndcg=ndcg,
        plain_ndcg=plain_ndcg,
        events=len(cuts_T),
        seconds=time.monotonic() - started_s,
    )


def themed_ranks(
    version: Version, columns: EventColumns, num_warm: int, rules: Rules, filter_seen: bool = True
) -> FloatArray:
    """(E,) rank of each judged event's item by a version with MoS, in the order of evaluate.judged_events."""
    assert version.mos is not None
    network = FuxiMME.from_weights(version.config, version.weights)
    mos = MoS.from_weights(version.mos.config, network, version.mos.weights)
    events = histories(columns, version.catalogue)
    reader = Reader(network, mos, events, sessions_of(events, rules), rules)
    cuts_T = cuts_before(reader, events.order >= num_warm)
    ranks_n = np.full(len(columns), np.nan)
    ranks_n[events.order[cuts_T + 1]] = ranks_at(reader, cuts_T, filter_seen=filter_seen)
    return ranks_n[judged_events(columns, num_warm)]


def _check(events: Histories, sessions: Sessions, num_themes: int) -> None:
    known = np.unique(sessions.of_event[events.rows >= FIRST_ITEM_ROW])
    if not sessions.applies.any() or len(known) < num_themes:
        raise NotEnoughData(
            f"No themes: {len(known)} sessions for {num_themes} themes, and {int(sessions.applies.sum())} "
            "moments with 20 events and two closed sessions before them."
        )


def _published(first: Trained, mos: MoS, curve: list[MoSEpoch], labels: Labels) -> Trained:
    weights = mos.weights()
    best = max(curve, key=lambda epoch: epoch.full_ndcg)
    return replace(
        first,
        metrics=first.metrics | {"best_epoch": float(best.epoch), "epochs": float(len(curve))},
        themes=learned_table(
            first.index, weights["router.w_r_DD"], weights["router.c_KD"], first.catalogue, labels
        ),
        learning_curve=[
            {
                "epoch": float(epoch.epoch),
                "loss": epoch.loss,
                "full_ndcg": epoch.full_ndcg,
                "seconds": epoch.seconds,
            }
            for epoch in curve
        ],
        mos=MoSWeights(config=mos.config, weights=weights),
    )
