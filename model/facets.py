"""FAME's facet gate over the streams of a trained Fuxi-MME: learned apart, kept only where it does not hurt.

Knows: states of a frozen network and what came next after each, the gate's loss, when it is kept.
Does not know: how states came about (one sequence, or several fused), columns, files.

The gate: FAME (arXiv 2411.01457, eq. 10, read in re-implementations). Over Fuxi-MME's streams, learned apart,
with a bonus for entropy at first, it is our construction. Learned along with the network it overfits.
"""

# n = events of all histories, T = moments, t = moments of a step, M = streams, d = their width, D = M * d

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.backbone import Backbone
from model.config import FIRST_ITEM_ROW, TrainConfig
from model.evaluate import target_ranks
from model.fit import asked_states
from model.metrics import summary
from model.mme import FuxiMME
from model.negatives import Sampler
from model.sequences import HeldOut, Histories
from model.states import states, states_before
from model.step import ranking_loss

IntArray = npt.NDArray[np.int64]

#: Moments that are learned from, at most: whole users, drawn by the seed.
MAX_MOMENTS = 20_000
#: Moments of one step, epochs at most, epochs without a better validation nDCG until the end.
STEP = 512
MAX_EPOCHS = 20
PATIENCE = 3
LR = 3e-3
WEIGHT_DECAY = 0.1
#: Of the mean entropy of the weights, in the first epoch: against an early collapse onto one stream.
ENTROPY = 1e-3


class Moments(NamedTuple):
    """States of users, and what came next after each."""

    states_TMd: Tensor  # each stream of length 1, on the network's device
    targets_T: IntArray  # rows
    seen: list[IntArray] | None = None  # rows that are out of the question; None: nothing is


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetFit:
    """What became of a gate, by validation nDCG over all ranks."""

    kept: bool
    even_ndcg: float  # streams count alike
    gated_ndcg: float  # of the gate's best epoch
    best_epoch: int
    seconds: float

    def metrics(self) -> dict[str, float]:
        """For the manifest."""
        return {
            "facets_kept": float(self.kept),
            "facets_even_ndcg": self.even_ndcg,
            "facets_gated_ndcg": self.gated_ndcg,
            "facets_best_epoch": float(self.best_epoch),
            "facets_seconds": self.seconds,
        }


def fit_facets(
    model: Backbone, events: Histories, questions: HeldOut, config: TrainConfig
) -> FacetFit | None:
    """Give a network trained on these events its gate, in place (see fit_gate); one pass over histories.

    None: not asked for, or nothing to weigh: another family, one stream, or a gate learned along.
    """
    able = isinstance(model, FuxiMME) and model.config.streams > 1 and not model.config.facet_gate
    if not (config.gate_apart and able):
        return None
    assert isinstance(model, FuxiMME)
    started_s = time.monotonic()
    found = fit_gate(model, moments_along(model, events, config.seed), asked(model, questions), config)
    return replace(found, seconds=time.monotonic() - started_s)


def fit_gate(model: FuxiMME, learned: Moments, questions: Moments, config: TrainConfig) -> FacetFit:
    """Learn W_g (D, M) and b_g (M,) over states that stay as they are; all else is frozen and left so.

    Softmax over the target and ``config.negatives`` shared ones, AdamW, the epoch with the best full-rank
    nDCG of the questions. Where that is below the even mean's, or there are no questions, ``model`` stays as
    it was; otherwise its config says facet_gate. ``states_TMd`` may be any that ``model.vectors`` is applied
    to. ``config.seed`` decides: on a CPU the same moments give the same gate. Raises ValueError where the
    network has its gate already.
    """
    if model.config.facet_gate:
        raise ValueError("this network has learned its gate along with everything else")
    started_s = time.monotonic()
    model.eval().requires_grad_(False)
    even_ndcg = _ndcg(model, questions)
    model.open_gate()
    gate = [model.facets_DM, model.facets_M]
    best, best_epoch, best_ndcg = [value.detach().clone() for value in gate], 0, -1.0
    run = _Run(model, learned, config)
    epoch = 0
    while len(questions.targets_T) and epoch < MAX_EPOCHS and epoch - best_epoch < PATIENCE:
        epoch += 1
        run.epoch(ENTROPY if epoch == 1 else 0.0)
        ndcg = _ndcg(model, questions)
        if ndcg > best_ndcg:
            best, best_epoch, best_ndcg = [value.detach().clone() for value in gate], epoch, ndcg
    kept = bool(len(questions.targets_T)) and best_ndcg >= even_ndcg
    if kept:
        with torch.no_grad():
            for value, at_best in zip(gate, best, strict=True):
                value.copy_(at_best)
        model.requires_grad_(False)
    else:
        model.close_gate()
    return FacetFit(
        kept=kept,
        even_ndcg=even_ndcg,
        gated_ndcg=best_ndcg,
        best_epoch=best_epoch,
        seconds=time.monotonic() - started_s,
    )


def moments_along(model: FuxiMME, events: Histories, seed: int) -> Moments:
    """The state before every event but a user's first, as a served sequence would have it; of some users
    where there are more than MAX_MOMENTS."""
    order = np.random.default_rng(seed).permutation(len(events))
    enough = int(np.searchsorted(np.cumsum(events.lengths()[order] - 1), MAX_MOMENTS, side="right"))
    chosen = np.zeros(len(events), bool)
    chosen[order[: max(1, enough)]] = True
    found = list(states(model, events, states_before(events, np.repeat(chosen, events.lengths()))))
    config = model.config
    empty = model.items.new_zeros((0, config.streams, config.stream_dim))
    after_T = np.concatenate([np.zeros(0, np.int64), *(one.after_T for one in found)])
    return Moments(torch.cat([empty, *(one.states_TMd for one in found)]), events.rows[after_T + 1])


def asked(model: FuxiMME, questions: HeldOut) -> Moments:
    """The questions as validation asks them."""
    config = model.config
    found = list(asked_states(model, questions))
    empty = model.items.new_zeros((0, config.streams, config.stream_dim))
    places = np.concatenate([np.zeros(0, np.int64), *(chosen for chosen, _ in found)])
    return Moments(
        torch.cat([empty, *(states_BMd for _, states_BMd in found)]),
        questions.targets[places],
        [questions.seen[place] for place in places],
    )


class _Run:
    """The steps of one training."""

    def __init__(self, model: FuxiMME, learned: Moments, config: TrainConfig) -> None:
        self._model, self._learned = model, learned
        self._config = replace(config, negatives_per="batch")
        gate = [model.facets_DM, model.facets_M]
        self._optimiser = torch.optim.AdamW(gate, lr=LR, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY)
        self._order = torch.Generator().manual_seed(config.seed)
        counts = np.bincount(learned.targets_T, minlength=len(model.items))[FIRST_ITEM_ROW:]
        self._sampler = Sampler(config, counts)

    def epoch(self, entropy: float) -> None:
        """Every moment whose next item is a real one, once."""
        model, learned = self._model, self._learned
        real = torch.from_numpy(np.flatnonzero(learned.targets_T >= FIRST_ITEM_ROW))
        targets_T = torch.from_numpy(learned.targets_T)
        for some_t in torch.split(real[torch.randperm(len(real), generator=self._order)], STEP):
            states_tMd = learned.states_TMd[some_t.to(learned.states_TMd.device)]
            loss = ranking_loss(
                model, model.vectors(states_tMd), targets_T[some_t], self._config, self._sampler
            )
            if entropy:
                loss = loss - entropy * torch.special.entr(model.facets(states_tMd)).sum(dim=-1).mean()
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()


def _ndcg(model: FuxiMME, questions: Moments) -> float:
    """Over all ranks of the catalogue."""
    with torch.inference_mode():
        vectors_TD = model.vectors(questions.states_TMd)
        ranks = target_ranks(
            vectors_TD, model.item_index(), questions.targets_T - FIRST_ITEM_ROW, questions.seen
        )
    return summary(ranks)["ndcg"]
