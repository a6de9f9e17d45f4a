"""Epoch after epoch over any network, validated after each, until patience, epochs or budget end.

Knows: when to validate, to stop and to write a checkpoint, what progress to tell.
Does not know: any one network, how a step is made (model/run.py), what becomes of the weights.
"""

# B = questions of a batch, M = streams, d = their width, D = M * d

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.backbone import Backbone, last
from model.batch import padded
from model.checkpoint import Checkpoints, identity_of
from model.config import FIRST_ITEM_ROW, TrainConfig
from model.distributed import agreed, begin, processes, rank, told
from model.evaluate import target_ranks
from model.metrics import summary
from model.run import Epoch, Run
from model.sequences import HeldOut, Histories, batches

#: Validation reads the newest events only: early stopping needs the order of epochs, not the last digit.
VALIDATION_EVENTS = 64
VALIDATION_BATCH = 256


class Progress(Protocol):
    """Told after every epoch; ``of`` and ``eta_s`` are upper bounds, since patience may end it sooner."""

    def __call__(self, epoch: int, of: int, loss: float, ndcg: float, eta_s: float) -> None: ...


def fit(
    model: Backbone,
    events: Histories,
    questions: HeldOut,
    config: TrainConfig,
    started_s: float,
    progress: Progress | None,
    checkpoints: Checkpoints | None = None,
) -> list[Epoch]:
    """Train in place until patience, epochs or budget end; the model then holds its best epoch.

    AdamW with betas (0.9, 0.98) and no weight decay (FuXi-alpha's code). ``started_s`` (time.monotonic) is
    where the budget began. The model decides the device, the caller seeds torch's generator, which draws
    dropout. With ``checkpoints`` it goes on where the last one stood: on a CPU the weights are those of a
    training that was never interrupted. Raises ValueError when a training window is longer than the model's
    longest sequence, CheckpointMismatch when the checkpoint is of another training.
    """
    if config.window > model.config.max_events:
        raise ValueError(f"window {config.window} is longer than max_events {model.config.max_events}")
    begin(model, config.seed)
    run = Run(model, events, config)
    keeper = _Keeper(run, started_s, checkpoints)
    if checkpoints is not None:
        keeper.resume(identity_of(model.config, config, events, questions, processes()))
    late = False
    while len(run.curve) < config.max_epochs and not (run.curve and late):
        if run.curve and len(run.curve) - run.best.epoch >= config.patience:
            break
        _steps(run, events, keeper)
        means = told(validate(model, questions) if rank() == 0 else None)
        epoch = run.end_epoch(means, keeper.seconds(), questions)
        if progress is not None and rank() == 0:
            eta_s = (config.max_epochs - epoch.epoch) * epoch.seconds / epoch.epoch
            left_s = min(eta_s, keeper.budget_s - epoch.seconds)
            progress(epoch.epoch, config.max_epochs, epoch.loss, epoch.ndcg, max(0.0, left_s))
        late = keeper.late()
    if run.best.weights is not None:
        model.load_state_dict(run.best.weights)
    model.eval()
    return run.curve


def _steps(run: Run, events: Histories, keeper: _Keeper) -> None:
    """The steps of one epoch that are not done yet."""
    config = run.config
    run.model.train()
    done = len(run.losses)
    for place, windows in enumerate(
        batches(
            events,
            window=config.window,
            batch=config.batch,
            positions=config.positions,
            new_item_share=config.new_item_share,
            random=run.random,
        )
    ):
        if place >= done:
            run.step(windows)
            if keeper.late():
                break


class _Keeper:
    """Keeps the time of a run, and its checkpoints where there are any."""

    def __init__(self, run: Run, started_s: float, checkpoints: Checkpoints | None) -> None:
        self.budget_s = run.config.budget_s if run.config.budget_s is not None else float("inf")
        self._run = run
        self._started_s = started_s
        self._checkpoints = checkpoints
        self._identity: dict[str, str] = {}

    def resume(self, identity: dict[str, str]) -> None:
        """Bring the run to where the last checkpoint stood; the time before it counts."""
        self._identity = identity
        state = self._checkpoints.load(identity) if self._checkpoints is not None else None
        if state is not None:
            self._run.restore(state["run"])
            self._started_s -= state["seconds"]

    def seconds(self) -> float:
        return time.monotonic() - self._started_s

    def late(self) -> bool:
        """Whether the budget is spent; asked after every step and epoch, which are the places to be kept."""
        seconds, checkpoints = self.seconds(), self._checkpoints
        late, due = agreed([seconds > self.budget_s, checkpoints is not None and checkpoints.due()])
        if due and checkpoints is not None:
            state = self._run.state()  # every process has a part in it
            if rank() == 0:
                checkpoints.save(self._identity, {"run": state, "seconds": seconds})
        return late


def validate(model: Backbone, questions: HeldOut) -> dict[str, float]:
    """metrics.summary over the held-out questions, the whole catalogue ranked, seen items filtered.

    With query_time "next" a question is asked at the time of its target.
    """
    index_ID = model.item_index().detach()
    ranks: list[np.ndarray] = []
    for chosen, states_BMd in asked_states(model, questions):
        with torch.inference_mode():
            vectors_BD = model.vectors(states_BMd)
        seen = [questions.seen[place] for place in chosen]
        ranks.append(target_ranks(vectors_BD, index_ID, questions.targets[chosen] - FIRST_ITEM_ROW, seen))
    return summary(np.concatenate(ranks) if ranks else np.zeros(0))


def asked_states(model: Backbone, questions: HeldOut) -> Iterator[tuple[npt.NDArray[np.int64], Tensor]]:
    """Places (B,) of some questions and their states (B, M, d), shortest histories first; every question
    once. The network is left in evaluation mode."""
    model.eval()
    device = model.items.device
    max_events = min(VALIDATION_EVENTS, model.config.max_events)
    order = np.argsort([len(rows) for rows, _ in questions.sequences], kind="stable")
    for start in range(0, len(order), VALIDATION_BATCH):
        chosen = order[start : start + VALIDATION_BATCH]
        batch = padded([questions.sequences[place] for place in chosen], max_events).to(device)
        asked_BN = None
        if model.config.query_time == "next":
            asked_BN = padded([questions.asked(place) for place in chosen], max_events).times_BN.to(device)
        with torch.inference_mode():
            encoded = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B, asked_BN)
            states_BMd = last(encoded.states_BNMd, batch.lengths_B)
        yield chosen, states_BMd
