"""Warm start: from events to a model ready to publish, epoch by epoch, the best epoch kept.

Knows: the recipe of TrainConfig, when to stop, what progress to tell.
Does not know: files, topics, the stream that follows.
"""

# T = supervised positions, R = negatives, D = M * d

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from model.backbone import last, user_vector
from model.batch import padded, valid_mask
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW, ModelConfig, TrainConfig
from model.errors import NotEnoughData
from model.evaluate import target_ranks
from model.fuxi import FuxiBlock
from model.losses import draw_negatives, sampled_softmax
from model.metrics import summary
from model.mme import FuxiMME
from model.sequences import (
    HeldOut,
    Histories,
    Windows,
    batches,
    catalogue_of,
    data_digest,
    histories,
    hold_out,
)
from model.spectral import spectral_rows
from model.themes import Labels, fit_themes
from model.version import Trained, Weights

#: Fewer events than this make no model worth serving.
MIN_EVENTS = 100
#: Validation reads the newest events only: early stopping needs the order of epochs, not the last digit.
VALIDATION_EVENTS = 64
VALIDATION_BATCH = 256


class Progress(Protocol):
    """Told after every epoch; ``of`` and ``eta_s`` are upper bounds, since patience may end it sooner."""

    def __call__(self, epoch: int, of: int, loss: float, ndcg: float, eta_s: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One line of the learning curve."""

    epoch: int  # from 1
    loss: float
    ndcg: float  # validation nDCG@10
    full_ndcg: float  # validation nDCG over all ranks: decides which epoch is kept
    recall: float  # validation recall@10
    seconds: float  # since training began


@dataclass(slots=True)
class Best:
    """The best epoch so far, by full-rank nDCG: over a few hundred users nDCG@10 is mostly chance."""

    epoch: int = 0
    full_ndcg: float = -1.0
    weights: dict[str, Tensor] | None = None


def warm_start(
    columns: EventColumns,
    config: ModelConfig,
    train_config: TrainConfig,
    *,
    titles: Mapping[str, str] | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train on these events from nothing; titles and categories (by item id) only name the themes.

    On a CPU the same events, configuration, seed and number of threads give the same weights, unless
    ``budget_s`` cuts training short. Raises NotEnoughData below MIN_EVENTS events, or without two items and a
    user with two events.
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
    with _reproducible(train_config):
        model = FuxiMME(config, catalogue.num_rows)
        _forget_lags(model)
        if train_config.spectral_start:
            rows = spectral_rows(events, len(catalogue), config, train_config.seed)
            with torch.no_grad():
                model.items[FIRST_ITEM_ROW:] = torch.from_numpy(rows)
        curve = fit(model, events, questions, train_config, started_s, progress)
        index = model.item_index().detach().numpy().copy()
    popularity = np.bincount(everything.rows, minlength=catalogue.num_rows)[FIRST_ITEM_ROW:]
    return Trained(
        config=config,
        train_config=train_config,
        catalogue=catalogue,
        weights=weights_of(model),
        index=index,
        themes=fit_themes(
            index, catalogue, Labels(titles, categories, popularity), train_config.themes, train_config.seed
        ),
        popularity=popularity,
        learning_curve=[asdict(epoch) for epoch in curve],
        metrics=_metrics(curve, time.monotonic() - started_s),
        num_events=len(columns),
        data_digest=data_digest(columns),
    )


def _forget_lags(model: FuxiMME) -> None:
    """Start the weights by lag at zero: lags beyond the training window are never trained, and must not add
    noise to the longer sequences that are served."""
    with torch.no_grad():
        for block in model.blocks:
            assert isinstance(block, FuxiBlock)
            block.position_n.zero_()


def weights_of(model: FuxiMME) -> Weights:
    """The state dict as numpy arrays, copied."""
    return {name: tensor.detach().numpy().copy() for name, tensor in model.state_dict().items()}


def fit(
    model: FuxiMME,
    events: Histories,
    questions: HeldOut,
    config: TrainConfig,
    started_s: float,
    progress: Progress | None,
) -> list[Epoch]:
    """Train in place until patience, epochs or budget end; the model then holds its best epoch.

    AdamW with betas (0.9, 0.98) and no weight decay (FuXi-alpha's code). ``started_s`` (process time) is
    where the budget began.
    """
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True
    )
    random = np.random.default_rng(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    ends_s = started_s + config.budget_s if config.budget_s is not None else float("inf")
    curve: list[Epoch] = []
    best = Best()
    for number in range(1, config.max_epochs + 1):
        model.train()
        losses: list[float] = []
        for windows in batches(
            events,
            window=config.window,
            batch=config.batch,
            positions=config.positions,
            new_item_share=config.new_item_share,
            random=random,
        ):
            losses.append(_step(model, optimiser, windows, config, generator))
            if time.monotonic() > ends_s:
                break
        found = validate(model, questions)
        now_s = time.monotonic()
        epoch = Epoch(
            epoch=number,
            loss=float(np.mean(losses)),
            ndcg=found["ndcg@10"],
            full_ndcg=found["ndcg"],
            recall=found["recall@10"],
            seconds=now_s - started_s,
        )
        curve.append(epoch)
        if epoch.full_ndcg > best.full_ndcg or not len(questions.targets):
            copied = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            best = Best(number, epoch.full_ndcg, copied)
        if progress is not None:
            eta_s = (config.max_epochs - number) * epoch.seconds / number
            progress(number, config.max_epochs, epoch.loss, epoch.ndcg, max(0.0, min(eta_s, ends_s - now_s)))
        if number - best.epoch >= config.patience or now_s > ends_s:
            break
    if best.weights is not None:
        model.load_state_dict(best.weights)
    model.eval()
    return curve


def _step(
    model: FuxiMME,
    optimiser: torch.optim.Optimizer,
    windows: Windows,
    config: TrainConfig,
    generator: torch.Generator,
) -> float:
    """One update; returns the sampled softmax loss."""
    batch = padded(windows.sequences, model.config.max_events)
    encoded = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B)
    valid_BN = valid_mask(batch.lengths_B, batch.rows_BN.shape[1])
    states_TD = user_vector(encoded.states_BNMd[valid_BN])
    targets_T = torch.from_numpy(np.concatenate(windows.targets))
    negatives_R = draw_negatives(config.negatives, FIRST_ITEM_ROW, len(model.items), generator)
    lines = model.lines(torch.cat([targets_T, negatives_R]))
    loss = sampled_softmax(
        states_TD,
        lines[: len(targets_T)],
        lines[len(targets_T) :],
        targets_T,
        negatives_R,
        model.config.temperature,
    )
    total = loss + config.balance * encoded.balance + config.z_loss * encoded.z
    optimiser.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return float(loss.detach())


def validate(model: FuxiMME, questions: HeldOut) -> dict[str, float]:
    """metrics.summary over the held-out questions, the whole catalogue ranked, seen items filtered."""
    model.eval()
    index_ID = model.item_index().detach()
    order = np.argsort([len(rows) for rows, _ in questions.sequences], kind="stable")
    ranks: list[np.ndarray] = []
    for start in range(0, len(order), VALIDATION_BATCH):
        chosen = order[start : start + VALIDATION_BATCH]
        batch = padded([questions.sequences[place] for place in chosen], VALIDATION_EVENTS)
        with torch.inference_mode():
            encoded = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B)
            vectors_BD = user_vector(last(encoded.states_BNMd, batch.lengths_B))
        seen = [questions.seen[place] for place in chosen]
        ranks.append(target_ranks(vectors_BD, index_ID, questions.targets[chosen] - FIRST_ITEM_ROW, seen))
    return summary(np.concatenate(ranks) if ranks else np.zeros(0))


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
