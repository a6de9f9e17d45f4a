"""The second stage: router, prototypes, adapters and fusion learn over a network that stays as it is.

Knows: steps, noise, repair, which epoch is kept.
Does not know: the terms of the loss, how the network was trained, columns, files, what is published.

The stages and weights are our construction (of MoS, arXiv 2604.20858, only the abstract is known to us).
"""

# n = events of all histories, T = cuts, S = sessions, K = themes, D = width, R = negatives, I = items

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.backbone import Adaptable, unit
from model.config import FIRST_ITEM_ROW
from model.metrics import summary
from model.mos import MoS, MoSConfig
from model.mos_losses import MoSTrainConfig, step_loss
from model.mos_ranks import cuts_before, ranks_at
from model.mos_reading import Noise, Reader
from model.mos_sequences import Rules, Sessions
from model.prototypes import repair
from model.router import noise_scale
from model.sequences import Histories
from model.themes import prototypes

IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Cuts of one user that are learned at once: a long history becomes several pieces.
PIECE = 256
#: Sessions that first prototypes are made of, at most, and how often k-means starts anew.
MAX_FIRST = 20_000
FIRST_TRIES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class MoSEpoch:
    """One line of the learning curve."""

    epoch: int
    loss: float
    full_ndcg: float  # of the validation events, over all ranks
    share: tuple[float, ...]  # of closed sessions by theme
    seconds: float


@dataclass(slots=True)
class _Run:
    """One training."""

    reader: Reader
    config: MoSTrainConfig
    cuts: IntArray  # that are learned
    random: np.random.Generator
    generator: torch.Generator


def fit_mos(
    backbone: Adaptable,
    events: Histories,
    sessions: Sessions,
    rules: Rules,
    config: MoSConfig,
    train: MoSTrainConfig,
) -> tuple[MoS, list[MoSEpoch]]:
    """Learn MoS over a trained network: its rows and weights are frozen and stay frozen, dropout off.

    Every event but a user's first is a target; the last one of some users is kept for validation. Seeds
    torch's generator for a while; same events, seed and threads give the same weights. The weights of the
    epoch with the best validation nDCG over all ranks are kept; without validation users the last.
    """
    backbone.eval().requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(train.seed)
        mos = MoS(
            config, backbone, first_prototypes(backbone, events, sessions, config.num_themes, train.seed)
        )
    reader = Reader(backbone, mos.to(backbone.items.device), events, sessions, rules, train.seed)
    learned, asked = held_cuts(reader, train)
    run = _Run(
        reader=reader,
        config=train,
        cuts=learned,
        random=np.random.default_rng(train.seed),
        generator=torch.Generator().manual_seed(train.seed),
    )
    curve = _epochs(run, asked)
    mos.eval().requires_grad_(False)
    return mos, curve


def first_prototypes(
    backbone: Adaptable, events: Histories, sessions: Sessions, num_themes: int, seed: int
) -> Tensor:
    """(K, D): spherical k-means over session vectors, the tightest of FIRST_TRIES: one alone often puts two
    themes into one."""
    known = np.flatnonzero(events.rows >= FIRST_ITEM_ROW)
    sums_SD = np.zeros((len(sessions.lengths()), backbone.config.dim), np.float32)
    with torch.no_grad():
        lines_RD = unit(backbone.lines(torch.arange(len(backbone.items), device=backbone.items.device)))
    np.add.at(sums_SD, sessions.of_event[known], lines_RD.cpu().numpy()[events.rows[known]])
    norms_S = np.linalg.norm(sums_SD, axis=1)
    unit_SD = sums_SD[norms_S > 0] / norms_S[norms_S > 0, None]
    random = np.random.default_rng(seed)
    unit_SD = unit_SD[random.choice(len(unit_SD), min(len(unit_SD), MAX_FIRST), replace=False)]
    tries = [prototypes(unit_SD, num_themes, seed + number) for number in range(FIRST_TRIES)]
    tightness = [float((unit_SD @ c_KD.T).max(axis=1).mean()) for c_KD in tries]
    return torch.from_numpy(tries[int(np.argmax(tightness))])


def held_cuts(reader: Reader, train: MoSTrainConfig) -> tuple[IntArray, IntArray]:
    """(cuts that are learned, cuts whose next event is the last one of a validation user)."""
    events = reader.events
    able = np.flatnonzero(events.lengths() >= 3)
    if len(able) > train.validation_users:
        able = np.random.default_rng(train.seed).choice(able, train.validation_users, replace=False)
    held_n = np.zeros(len(events.rows), bool)
    held_n[events.starts[able + 1] - 1] = True
    return cuts_before(reader, ~held_n), cuts_before(reader, held_n)


def _epochs(run: _Run, asked: IntArray) -> list[MoSEpoch]:
    mos, train = run.reader.mos, run.config
    started_s = time.monotonic()
    routing = set(mos.router.parameters())
    groups: list[dict[str, Any]] = [
        {"params": list(mos.router.parameters()), "lr": train.router_rate * train.lr},
        {"params": [parameter for parameter in mos.parameters() if parameter not in routing]},
    ]
    optimiser = torch.optim.AdamW(groups, lr=train.lr, betas=(0.9, 0.98), weight_decay=0.0)
    curve: list[MoSEpoch] = []
    best: tuple[float, dict[str, Tensor]] = (-1.0, {})
    step, steps = 0, 0
    for epoch in range(1, train.max_epochs + 1):
        pieces = list(_pieces(run))
        steps = steps or train.max_epochs * len(pieces)
        losses = []
        mos.train()
        for cuts_T in pieces:
            noise = Noise(noise_scale(step, steps), run.generator)
            loss, ranking = step_loss(run.reader, cuts_T, noise, train, run.random)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            mos.router.renormalise()
            losses.append(float(ranking.detach()))
            step += 1
            if train.budget_s is not None and time.monotonic() - started_s > train.budget_s:
                break
        share = _after_epoch(run.reader)
        ndcg = summary(ranks_at(run.reader, asked))["ndcg"]
        seconds = time.monotonic() - started_s
        curve.append(
            MoSEpoch(epoch=epoch, loss=float(np.mean(losses)), full_ndcg=ndcg, share=share, seconds=seconds)
        )
        if ndcg > best[0] or not len(asked):
            best = (ndcg, {name: value.clone() for name, value in mos.state_dict().items()})
        over = train.budget_s is not None and seconds > train.budget_s
        if over or (len(asked) and _stale(curve) >= train.patience):
            break
    mos.load_state_dict(best[1])
    return curve


def _stale(curve: list[MoSEpoch]) -> int:
    """Epochs since the best one."""
    figures = [epoch.full_ndcg for epoch in curve]
    return len(figures) - 1 - figures.index(max(figures))


def _pieces(run: _Run) -> Iterator[IntArray]:
    """One epoch: cuts of some users together, in random order, ascending within a step."""
    events = run.reader.events
    user_T = np.searchsorted(events.starts, run.cuts, side="right") - 1
    number_T = np.arange(len(user_T)) - np.searchsorted(user_T, user_T)
    firsts = np.flatnonzero(number_T % PIECE == 0)
    pieces = np.split(run.cuts, firsts[1:]) if len(firsts) else []
    together: list[IntArray] = []
    for piece in run.random.permutation(len(pieces)).tolist():
        together.append(pieces[piece])
        if sum(len(cuts) for cuts in together) >= run.config.cuts:
            yield np.sort(np.concatenate(together))
            together = []
    if together:
        yield np.sort(np.concatenate(together))


def _after_epoch(reader: Reader) -> tuple[float, ...]:
    """Shares of closed sessions by theme; dead themes are repaired first."""
    mos = reader.mos
    with torch.no_grad():
        routed = reader.route(np.arange(len(reader.events)))
        theme_S = routed.theme_S
        counts_K = np.bincount(theme_S[theme_S >= 0], minlength=mos.config.num_themes)
        if mos.config.routing == "sessions" and "theme" in mos.config.kinds:
            session = torch.from_numpy(reader.sessions.of_event[routed.places_n])
            known = torch.from_numpy(routed.item_n)
            sums_SD = torch.zeros(len(theme_S), routed.unit_nD.shape[1])
            sums_SD.index_add_(0, session[known], routed.unit_nD.cpu()[known])
            turned_SD = mos.router.turned(sums_SD.to(reader.device)).cpu().numpy()
            c_KD, generation_K = repair(
                mos.router.c_KD.cpu().numpy(), mos.generation_K.cpu().numpy(), turned_SD, theme_S
            )
            mos.router.c_KD.copy_(torch.from_numpy(c_KD))
            mos.generation_K.copy_(torch.from_numpy(generation_K))
    return tuple((counts_K / max(1, counts_K.sum())).tolist())
