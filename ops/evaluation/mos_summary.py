"""Finished variants of MoS put together: figures over seeds, costs, themes, paired differences between them.

Knows: which variants are compared with which. Does not know: how a run came about, who reads the summary.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.metrics import FloatArray, Interval, bootstrap, full_ndcg, ndcg_at, recall_at
from model.mos_compare import AWARE
from model.stages import Stage
from ops.evaluation.records import Run, unpacked, unpacked_table

IntArray = npt.NDArray[np.int64]

#: Figures of ranks by name; "ndcg" is over the whole catalogue.
FIGURES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "recall@10": lambda ranks: recall_at(ranks, 10),
    "ndcg@10": lambda ranks: ndcg_at(ranks, 10),
    "ndcg": full_ndcg,
}
GAUC = "gauc"
#: (a variant, what it is compared with): what each kind of sequence adds, and the two controls of themes.
PAIRS = (
    ("+local", "global"),
    ("+theme", "global"),
    ("+theme", "+local"),
    ("+theme", "random themes"),
    ("+theme", "tokens"),
    (AWARE, "+theme"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantLine:
    """One variant over its seeds."""

    model: str
    variant: str
    seeds: list[int]
    figures: dict[str, Interval]  # FIGURES, and GAUC where there are impressions
    impressions: float | None  # that GAUC counted
    gflop: float  # of one request without a cache
    ms: float
    events: float  # read by one request
    minutes: float  # of the second stage, mean over seeds
    cpu_minutes: float
    routed_rightly: float | None  # where themes are known
    shares: list[list[float]]  # of the later sessions by theme, per seed; none without themes
    alarms: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantDifference:
    """One variant less another, on the same questions."""

    model: str
    variant: str
    against: str
    figure: str
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class MoSSummary:
    """One table."""

    dataset: str
    filter_seen: bool
    questions: int
    users: int
    lines: list[VariantLine]
    differences: list[VariantDifference]
    networks: dict[str, list[dict[str, float]]]  # model -> per seed: best epoch, minutes
    hopping: dict[str, list[dict[str, float]]]  # model -> per seed: fields of model.hopping.Hopping

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def mos_summary_of(finished: Sequence[tuple[Run, Stage]]) -> MoSSummary:
    """Seeds are averaged per question before users are redrawn."""
    first, stage = finished[0]
    users_E = stage.users()
    models: dict[str, dict[str, list[Run]]] = {}
    for run, _ in finished:
        models.setdefault(run.model, {}).setdefault(run.variant, []).append(run)
    plain = {model: variants["global"] for model, variants in models.items()}
    return MoSSummary(
        dataset=first.dataset,
        filter_seen=first.filter_seen,
        questions=len(users_E),
        users=len(np.unique(users_E)),
        lines=[_line(runs, stage) for variants in models.values() for runs in variants.values()],
        differences=[one for variants in models.values() for one in _differences(variants, stage)],
        networks={model: [run.notes["network"] for run in runs] for model, runs in plain.items()},
        hopping={model: [run.notes["hopping"] for run in runs] for model, runs in plain.items()},
    )


def _line(runs: list[Run], stage: Stage) -> VariantLine:
    figures = {figure: bootstrap(*_values(runs, stage, figure)) for figure in _figures(runs)}
    known = [run.notes["routed_rightly"] for run in runs if "routed_rightly" in run.notes]
    themes = [run.notes["themes"] for run in runs if "themes" in run.notes]
    gauc = runs[0].gauc
    return VariantLine(
        model=runs[0].model,
        variant=runs[0].variant,
        seeds=[run.seed for run in runs],
        figures=figures,
        impressions=None if gauc is None else gauc["impressions"],
        gflop=statistics.fmean(run.notes["cost"]["flops"] for run in runs) / 1e9,
        ms=statistics.fmean(run.notes["cost"]["ms"] for run in runs),
        events=statistics.fmean(run.notes["cost"]["events"] for run in runs),
        minutes=statistics.fmean(run.minutes for run in runs),
        cpu_minutes=statistics.fmean(run.cpu_minutes for run in runs),
        routed_rightly=statistics.fmean(known) if known else None,
        shares=[one["share"] for one in themes],
        alarms=[alarm for run in runs for alarm in run.notes.get("alarms", [])],
    )


def _differences(variants: dict[str, list[Run]], stage: Stage) -> Iterator[VariantDifference]:
    for one, other in PAIRS:
        for figure in _figures(variants[one]):
            values, users = _values(variants[one], stage, figure)
            against, _ = _values(variants[other], stage, figure)
            yield VariantDifference(
                model=variants[one][0].model,
                variant=one,
                against=other,
                figure=figure,
                interval=bootstrap(values - against, users),
            )


def _figures(runs: list[Run]) -> list[str]:
    return [*FIGURES, *([GAUC] if all("auc" in run.notes for run in runs) else [])]


def _values(runs: list[Run], stage: Stage, figure: str) -> tuple[FloatArray, IntArray]:
    """(a value per question or impression, averaged over seeds; whose it is)."""
    if figure != GAUC:
        return np.mean([FIGURES[figure](unpacked(run.ranks)) for run in runs], axis=0), stage.users()
    tables = [unpacked_table(run.notes["auc"], 3) for run in runs]
    users, counts = tables[0][:2].astype(np.int64)  # who counts is the same for every network
    auc_U = np.mean([table[2] for table in tables], axis=0)
    return np.repeat(auc_U, counts), np.repeat(users, counts)
