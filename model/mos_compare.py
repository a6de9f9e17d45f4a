"""Do themes pay? Variants of MoS over one frozen network, each trained alike, judged on the same events.

Knows: the variants by name, ranks, costs, paired differences. Does not know: where events come from, files.

Every variant has the same second stage, so that more training is never mistaken for themes. FLOPs are those
of the matrix products that one request without a cache makes, 2 m n k each, as counted while it is made.
"""

# T = judged events, I = items, D = width

from __future__ import annotations

import time
from collections.abc import Sequence
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
from model.mos_ranks import cuts_before, ranks_at
from model.mos_reading import Reader
from model.mos_sequences import Rules, Sessions
from model.mos_train import MoSEpoch, fit_mos
from model.sequences import Histories

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

#: The variants in the order in which they are made; "tokens" costs what "+theme" costs, so it is the last.
VARIANTS = ("global", "+local", "+theme", "random themes", "tokens")
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
class Variant:
    """How one variant did."""

    mos: MoS
    curve: list[MoSEpoch]
    ranks_T: FloatArray
    figures: dict[str, float]  # metrics.summary
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All variants on the same T events."""

    variants: dict[str, Variant]
    users_T: IntArray

    def difference(self, one: str, other: str, statistic: str = "ndcg") -> Interval:
        """Paired mean of ``one`` minus ``other`` with a 90 % interval over users; statistic: ndcg (over all
        ranks), ndcg@10 or recall@10."""
        values = [_values(self.variants[name].ranks_T, statistic) for name in (one, other)]
        return bootstrap(values[0] - values[1], self.users_T)


def compare(
    backbone: Adaptable,
    learned: Past,
    judged: Past,
    asked_n: npt.NDArray[np.bool_],
    rules: Rules,
    config: MoSConfig,
    train: MoSTrainConfig,
    *,
    variants: Sequence[str] = VARIANTS,
    filter_seen: bool = True,
) -> Comparison:
    """Train each variant on ``learned`` and rank the events of ``judged`` that ``asked_n`` (n,) marks.

    Both hold rows of the network's catalogue. Users' first events are not judged. Raises KeyError for an
    unknown variant, and for "tokens" before "global" and "+theme", whose costs decide its size.
    """
    found: dict[str, Variant] = {}
    cuts_T = np.zeros(0, np.int64)
    for name in variants:
        shaped = _shaped(name, config, backbone, found)
        mos, curve = fit_mos(backbone, learned.events, learned.sessions, rules, shaped, train)
        reader = Reader(backbone, mos, judged.events, judged.sessions, rules, train.seed)
        cuts_T = cuts_before(reader, asked_n)
        ranks_T = ranks_at(reader, cuts_T, filter_seen=filter_seen)
        found[name] = Variant(
            mos=mos, curve=curve, ranks_T=ranks_T, figures=summary(ranks_T), cost=cost(reader, cuts_T)
        )
    users_T = np.searchsorted(judged.events.starts, cuts_T, side="right") - 1
    return Comparison(variants=found, users_T=users_T)


def cost(reader: Reader, cuts_T: IntArray) -> Cost:
    """Mean over up to MEASURED cuts spread over ``cuts_T``, one request at a time."""
    chosen = cuts_T[np.unique(np.linspace(0, len(cuts_T) - 1, MEASURED).astype(np.int64))]
    flops, times_s, lengths = [], [], []
    items, dim = len(reader.backbone.items) - FIRST_ITEM_ROW, reader.backbone.config.dim
    with torch.no_grad():
        for cut in chosen.tolist():
            user = np.searchsorted(reader.events.starts, [cut], side="right") - 1
            routed = reader.route(user)  # not counted: a worker adds a line of its table per event
            at = np.array([cut])
            with FlopCounterMode(display=False) as counter:
                views = reader.read(routed, at)
            flops.append(counter.get_total_flops() + 2 * items * dim)
            started_s = time.perf_counter()
            reader.read(routed, at)
            times_s.append(time.perf_counter() - started_s)
            lengths.append(views.lengths_TS[0].tolist())
    return Cost(
        flops=float(np.mean(flops)),
        ms=1e3 * float(np.median(times_s)),
        events=float(np.sum(lengths, axis=1).mean()),
    )


def _shaped(name: str, config: MoSConfig, backbone: Adaptable, found: dict[str, Variant]) -> MoSConfig:
    """The configuration that a name stands for."""
    fields = {
        "global": replace(config, kinds=("global",)),
        "+local": replace(config, kinds=("global", "local")),
        "+theme": config,
        "random themes": replace(config, routing="random"),
        "tokens": replace(config, kinds=("global",), routing="tokens"),
    }
    if name == "tokens":
        rank = _equal_rank(found["global"].cost, found["+theme"].cost, backbone, config)
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
