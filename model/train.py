"""Warm start: from events to a model ready to publish.

Knows: what a version needs besides weights, where item rows start.
Does not know: epochs (model/fit.py), files, topics, the stream that follows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import numpy as np
import torch

from model.allocator import keep_freed_memory
from model.backbone import Backbone
from model.catalogue import Catalogue
from model.checkpoint import Checkpoints
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW, ModelConfig, TrainConfig
from model.cooccurrence import seed_arrays
from model.errors import NotEnoughData
from model.facets import FacetFit, fit_facets
from model.families import build
from model.fit import VALIDATION_EVENTS, Progress, fit, validate
from model.run import Epoch
from model.sequences import HeldOut, Histories, catalogue_of, data_digest, histories, hold_out
from model.spectral import spectral_rows
from model.themes import Labels, fit_themes
from model.version import Trained, Weights

__all__ = ["fit", "learn", "learn_facets", "validate", "warm_start", "weights_of"]

#: Fewer events than this make no model worth serving.
MIN_EVENTS = 100


def warm_start(
    columns: EventColumns,
    config: ModelConfig,
    train_config: TrainConfig,
    *,
    titles: Mapping[str, str] | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
) -> Trained:
    """Train on these events from nothing; titles and categories (by item id) only name the themes.

    On a CPU the same events, configuration, seed and number of threads give the same weights, unless
    ``budget_s`` cuts training short; with ``checkpoints`` an interrupted training goes on. Raises
    NotEnoughData below MIN_EVENTS events, or without two items and a user with two events.
    """
    started_s = time.monotonic()
    catalogue = catalogue_of(columns)
    everything = histories(columns, catalogue)
    longest = int(everything.lengths().max(initial=0))
    if len(columns) < MIN_EVENTS or len(catalogue) < 2 or longest < 2:
        raise NotEnoughData(
            f"{len(columns)} events, {len(catalogue)} items, longest history {longest}; "
            f"at least {MIN_EVENTS} events, 2 items and a user with 2 events are needed."
        )
    events, questions = hold_out(
        everything, train_config.validation_users, VALIDATION_EVENTS, train_config.seed
    )
    model, curve = learn(events, questions, catalogue, config, train_config, started_s, progress, checkpoints)
    facets = learn_facets(model, events, questions, train_config)
    index = model.item_index().detach().numpy().copy()
    popularity = np.bincount(everything.rows, minlength=catalogue.num_rows)[FIRST_ITEM_ROW:]
    return Trained(
        config=model.config,
        train_config=train_config,
        catalogue=catalogue,
        weights=weights_of(model),
        index=index,
        themes=fit_themes(
            index, catalogue, Labels(titles, categories, popularity), train_config.themes, train_config.seed
        ),
        popularity=popularity,
        learning_curve=[asdict(epoch) for epoch in curve],
        metrics=_metrics(curve, time.monotonic() - started_s) | (facets.metrics() if facets else {}),
        num_events=len(columns),
        data_digest=data_digest(columns),
        memory=seed_arrays(columns),
    )


def learn(
    events: Histories,
    questions: HeldOut,
    catalogue: Catalogue,
    config: ModelConfig,
    train_config: TrainConfig,
    started_s: float,
    progress: Progress | None,
    checkpoints: Checkpoints | None = None,
) -> tuple[Backbone, list[Epoch]]:
    """The network at its best epoch and the learning curve, from nothing (see fit).

    Without questions the last epoch is kept.
    """
    keep_freed_memory()
    with _reproducible(train_config):
        model = build(config, catalogue.num_rows)
        forget_lags(model)
        if train_config.spectral_start:
            rows = spectral_rows(events, len(catalogue), config, train_config.seed)
            with torch.no_grad():
                model.items[FIRST_ITEM_ROW:] = torch.from_numpy(rows)
        return model, fit(model, events, questions, train_config, started_s, progress, checkpoints)


def learn_facets(
    model: Backbone, events: Histories, questions: HeldOut, train_config: TrainConfig
) -> FacetFit | None:
    """Where the recipe asks for it, the facet gate over a trained network, in place (see fit_facets)."""
    with _reproducible(train_config):
        return fit_facets(model, events, questions, train_config)


def forget_lags(model: Backbone) -> None:
    """Start weights by lag (``position_n`` of a block, where a network has them) at zero: lags beyond the
    training window are never trained, and must not add noise to the longer sequences that are served."""
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if name.endswith("position_n"):
                weights.zero_()


def weights_of(model: Backbone) -> Weights:
    """The state dict as numpy arrays, copied."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in model.state_dict().items()}


def _metrics(curve: list[Epoch], seconds: float) -> dict[str, float]:
    best = max(curve, key=lambda epoch: epoch.full_ndcg)
    return {
        "validation_ndcg": best.full_ndcg,
        "validation_ndcg@10": best.ndcg,
        "validation_recall@10": best.recall,
        "best_epoch": float(best.epoch),
        "epochs": float(len(curve)),
        "seconds": seconds,
    }


@contextmanager
def _reproducible(config: TrainConfig) -> Iterator[None]:
    """Seeds torch for a while and sets its threads; both are as before afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            yield
    finally:
        torch.set_num_threads(threads)
