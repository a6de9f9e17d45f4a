"""Do themes pay? Variants of MoS over one frozen network, each trained alike, judged on the same events.

Knows: the variants by name, ranks, costs, paired differences. Does not know: where events come from, files.

Every variant has the same second stage, so that more training is never mistaken for themes. FLOPs are those
of the matrix products that one request without a cache makes, 2 m n k each, as counted while it is made.
"""

# T = judged events, I = items, D = width

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.flop_counter import FlopCounterMode

from model.backbone import Adaptable
from model.config import FIRST_ITEM_ROW
from model.metrics import Interval, bootstrap, full_ndcg, ndcg_at, recall_at, summary
from model.mos import MoS, MoSConfig
from model.mos_losses import MoSTrainConfig
from model.mos_ranks import aware_states, cuts_before, ranks_at
from model.mos_reading import Reader, Routed
from model.mos_sequences import Rules, Sessions, by_theme
from model.mos_train import MoSEpoch, fit_mos
from model.prototypes import NO_THEME
from model.sequences import Histories

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

#: Variants with a training of their own, in the order in which they are made; "tokens" costs what "+theme"
#: costs, so it is the last.
VARIANTS = ("global", "+local", "+theme", "random themes", "tokens")
#: "+theme" asked once more: every candidate is scored by the vector that also reads the candidate's theme.
AWARE = "+theme, aware"
#: Requests whose cost is measured.
MEASURED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Histories cut into sessions."""

    events: Histories
    sessions: Sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one request without a cache: encode and fuse what it reads, rank the catalogue."""

    flops: float  # mean
    ms: float  # median, wall clock, with finding the sequences, which a served request brings along
    events: float  # mean length of all sequences together


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What all variants have in common."""

    backbone: Adaptable
    learned: Past  # both hold rows of the network's catalogue
    judged: Past
    asked_n: npt.NDArray[np.bool_]  # (n,) which events of ``judged`` are ranked; users' first ones are not
    rules: Rules
    config: MoSConfig
    train: MoSTrainConfig
    filter_seen: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One variant, trained, over the histories that it is judged on."""

    reader: Reader
    curve: list[MoSEpoch]
    cuts_T: IntArray  # right before the judged events, ascending

    @property
    def mos(self) -> MoS:
        return self.reader.mos


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How one variant did."""

    variant: Variant
    ranks_T: FloatArray
    figures: dict[str, float]  # metrics.summary
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All variants on the same T events."""

    variants: dict[str, Judged]
    users_T: IntArray

    def difference(self, one: str, other: str, statistic: str = "ndcg") -> Interval:
        """Paired mean of ``one`` minus ``other`` with a 90 % interval over users; statistic: ndcg (over all
        ranks), ndcg@10 or recall@10."""
        values = [_values(self.variants[name].ranks_T, statistic) for name in (one, other)]
        return bootstrap(values[0] - values[1], self.users_T)


def compare(trial: Trial, *, variants: Sequence[str] = VARIANTS) -> Comparison:
    """Train each variant and rank what is asked.

    Raises KeyError for an unknown variant, and for "tokens" before "global" and "+theme", whose costs decide
    its size.
    """
    found: dict[str, Judged] = {}
    users_T = np.zeros(0, np.int64)
    for name in variants:
        variant = trained(trial, name, {known: one.cost for known, one in found.items()})
        found[name] = judged(trial, variant)
        users_T = np.searchsorted(trial.judged.events.starts, variant.cuts_T, side="right") - 1
    return Comparison(variants=found, users_T=users_T)


def trained(trial: Trial, name: str, costs: Mapping[str, Cost]) -> Variant:
    """Learn the variant of this name; ``costs`` of "global" and "+theme" are needed for "tokens".

    Raises KeyError for another name, and where a cost is missing.
    """
    shaped = _shaped(name, trial, costs)
    mos, curve = fit_mos(
        trial.backbone, trial.learned.events, trial.learned.sessions, trial.rules, shaped, trial.train
    )
    past = trial.judged
    reader = Reader(trial.backbone, mos, past.events, past.sessions, trial.rules, trial.train.seed)
    return Variant(reader=reader, curve=curve, cuts_T=cuts_before(reader, trial.asked_n))


def judged(trial: Trial, variant: Variant, *, aware: bool = False) -> Judged:
    """Ranks and costs; ``aware``: candidates are scored by their own theme too."""
    ranks_T = ranks_at(variant.reader, variant.cuts_T, filter_seen=trial.filter_seen, aware=aware)
    return Judged(
        variant=variant,
        ranks_T=ranks_T,
        figures=summary(ranks_T),
        cost=cost(variant.reader, variant.cuts_T, aware=aware),
    )


def cost(reader: Reader, cuts_T: IntArray, *, aware: bool = False) -> Cost:
    """Mean over up to MEASURED cuts spread over ``cuts_T``, one request at a time.

    ``aware``: with a vector per theme; an item meets one of them, so ranking costs the same.
    """
    chosen = cuts_T[np.unique(np.linspace(0, len(cuts_T) - 1, MEASURED).astype(np.int64))]
    flops, times_s, lengths = [], [], []
    items, dim = len(reader.backbone.items) - FIRST_ITEM_ROW, reader.backbone.config.dim
    with torch.no_grad():
        for cut in chosen.tolist():
            user = np.searchsorted(reader.events.starts, [cut], side="right") - 1
            routed = reader.route(user)  # not counted: a worker adds a line of its table per event
            at = np.array([cut])
            with FlopCounterMode(display=False) as counter:
                lengths.append(_read(reader, routed, at, aware))
            flops.append(counter.get_total_flops() + 2 * items * dim)
            started_s = time.perf_counter()
            _read(reader, routed, at, aware)
            times_s.append(time.perf_counter() - started_s)
    return Cost(
        flops=float(np.mean(flops)),
        ms=1e3 * float(np.median(times_s)),
        events=float(np.mean(lengths)),
    )


def _read(reader: Reader, routed: Routed, cut_1: IntArray, aware: bool) -> int:
    """Make the vectors of one request; the events of all the sequences that it read."""
    views = reader.read(routed, cut_1)
    num = int(views.lengths_TS.sum())
    if aware:
        aware_states(reader, routed, views, cut_1)
        leading = reader.chosen(routed, cut_1).themes_T2[0, 0]
        others = [theme for theme in range(reader.mos.config.num_themes) if theme != leading]
        themes_1J = np.array([[leading, *others]]) if leading != NO_THEME else np.array([[NO_THEME]])
        found = by_theme(reader.sessions, reader.rules, cut_1, routed.theme_S, themes_1J)
        num += int((found.position_TJ[:, 1:] + 1).sum())
    return num


def _shaped(name: str, trial: Trial, costs: Mapping[str, Cost]) -> MoSConfig:
    """The configuration that a name stands for."""
    config = trial.config
    fields = {
        "global": replace(config, kinds=("global",)),
        "+local": replace(config, kinds=("global", "local")),
        "+theme": config,
        "random themes": replace(config, routing="random"),
        "tokens": replace(config, kinds=("global",), routing="tokens"),
    }
    if name == "tokens":
        rank = _equal_rank(costs["global"], costs["+theme"], trial.backbone, config)
        return replace(fields[name], token_rank=rank)
    return fields[name]


def _equal_rank(plain: Cost, themed: Cost, backbone: Adaptable, config: MoSConfig) -> int:
    """Rank with which K experts at every gate of the global sequence cost what local and theme sequences cost
    beside it: a unit of rank is K low-rank products more per position, layer and stream."""
    shape = backbone.config
    per_rank = 2 * sum(backbone.adapter_widths) * config.num_themes * shape.blocks * shape.streams
    return max(1, round((themed.flops - plain.flops) / (per_rank * max(1.0, plain.events))))


def _values(ranks_T: FloatArray, statistic: str) -> FloatArray:
    if statistic == "ndcg":
        return full_ndcg(ranks_T)
    return {"ndcg@10": ndcg_at, "recall@10": recall_at}[statistic](ranks_T, 10)
