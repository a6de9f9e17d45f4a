"""Epoch after epoch over any network, validated after each, until patience, epochs or budget end.

Knows: the recipe of TrainConfig, when to stop, which epoch is kept, what progress to tell.
Does not know: any one network, columns, files, what becomes of the weights.
"""

# B = questions of a batch, D = M * d

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from model.backbone import Backbone, last
from model.batch import padded
from model.config import FIRST_ITEM_ROW, TrainConfig
from model.evaluate import target_ranks
from model.metrics import summary
from model.negatives import Sampler
from model.sequences import HeldOut, Histories, batches
from model.step import losses_of

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


def fit(
    model: Backbone,
    events: Histories,
    questions: HeldOut,
    config: TrainConfig,
    started_s: float,
    progress: Progress | None,
) -> list[Epoch]:
    """Train in place until patience, epochs or budget end; the model then holds its best epoch.

    AdamW with betas (0.9, 0.98) and no weight decay (FuXi-alpha's code). ``started_s`` (time.monotonic) is
    where the budget began. The model decides the device, the caller seeds torch's generator, which draws
    dropout. Raises ValueError when a training window is longer than the model's longest sequence.
    """
    if config.window > model.config.max_events:
        raise ValueError(f"window {config.window} is longer than max_events {model.config.max_events}")
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True
    )
    random = np.random.default_rng(config.seed)
    counts = np.bincount(events.rows, minlength=len(model.items))[FIRST_ITEM_ROW:]
    sampler = Sampler(config, counts)
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
            found = losses_of(model, windows, config, sampler)
            optimiser.zero_grad(set_to_none=True)
            found.total.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses.append(float(found.ranking.detach()))
            if time.monotonic() > ends_s:
                break
        means = validate(model, questions)
        now_s = time.monotonic()
        epoch = Epoch(
            epoch=number,
            loss=float(np.mean(losses)),
            ndcg=means["ndcg@10"],
            full_ndcg=means["ndcg"],
            recall=means["recall@10"],
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


def validate(model: Backbone, questions: HeldOut) -> dict[str, float]:
    """metrics.summary over the held-out questions, the whole catalogue ranked, seen items filtered.

    With query_time "next" a question is asked at the time of its target.
    """
    model.eval()
    index_ID = model.item_index().detach()
    max_events = min(VALIDATION_EVENTS, model.config.max_events)
    order = np.argsort([len(rows) for rows, _ in questions.sequences], kind="stable")
    ranks: list[np.ndarray] = []
    for start in range(0, len(order), VALIDATION_BATCH):
        chosen = order[start : start + VALIDATION_BATCH]
        batch = padded([questions.sequences[place] for place in chosen], max_events).to(index_ID.device)
        asked_BN = None
        if model.config.query_time == "next":
            asked_BN = padded([questions.asked(place) for place in chosen], max_events).times_BN
            asked_BN = asked_BN.to(index_ID.device)
        with torch.inference_mode():
            encoded = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B, asked_BN)
            vectors_BD = model.vectors(last(encoded.states_BNMd, batch.lengths_B))
        seen = [questions.seen[place] for place in chosen]
        ranks.append(target_ranks(vectors_BD, index_ID, questions.targets[chosen] - FIRST_ITEM_ROW, seen))
    return summary(np.concatenate(ranks) if ranks else np.zeros(0))
