"""Finished runs put together: means and spread over seeds, intervals over users, differences to one model.

Knows: how runs of one protocol are compared. Does not know: how they came about, who reads them.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.metrics import FloatArray, Interval, bootstrap, ndcg_at, recall_at
from model.stages import Stage
from ops.evaluation.records import Run, unpacked

#: Figures that get intervals, by name; the others are means only.
JUDGED = {"recall@10": lambda ranks: recall_at(ranks, 10), "ndcg@10": lambda ranks: ndcg_at(ranks, 10)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One model in one variant, over its seeds; intervals are of the headline group, the stage's first."""

    model: str
    variant: str
    seeds: list[int]
    groups: dict[str, dict[str, float]]  # means over seeds
    spread: dict[str, float]  # standard deviation over seeds of the headline's figures; empty for one seed
    intervals: dict[str, Interval]  # of JUDGED, users redrawn, a user's values averaged over seeds
    gauc: list[dict[str, float]]  # per seed
    old_moments: int  # before the stream, that each version was asked about
    old_recalls: list[float]  # recall@10 there by version, means over seeds; empty unless weights learn
    best_epochs: list[int]  # seed by seed, and of each member
    minutes: list[float]
    cpu_minutes: list[float]
    parameters: int
    item_parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A model less the first one named, on the same questions."""

    model: str
    against: str
    variant: str
    figure: str
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One table."""

    dataset: str
    protocol: str
    filter_seen: bool
    headline: dict[str, str]  # variant -> group
    lines: list[Line]
    differences: list[Difference]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def summary_of(finished: Sequence[tuple[Run, Stage]], models: Sequence[str]) -> Summary:
    """``models``: as named, the first one is the reference of all differences; baselines are compared too."""
    runs: dict[tuple[str, str], list[Run]] = {}
    stages = {run.variant: stage for run, stage in finished}
    for run, _ in finished:
        runs.setdefault((run.variant, run.model), []).append(run)
    lines, differences = [], []
    for (variant, model), mine in runs.items():
        stage = stages[variant]
        lines.append(_line(mine, stage))
        reference = runs.get((variant, models[0]))
        if model == models[0] or reference is None:
            continue
        users_E, chosen_E = stage.users(), _headline(stage)
        for figure in JUDGED:
            less_E = _mean_values(mine, figure) - _mean_values(reference, figure)
            interval = bootstrap(less_E[chosen_E], users_E[chosen_E])
            differences.append(
                Difference(model=model, against=models[0], variant=variant, figure=figure, interval=interval)
            )
    first = finished[0][0]
    return Summary(
        dataset=first.dataset,
        protocol=first.protocol,
        filter_seen=first.filter_seen,
        headline={variant: next(iter(stage.groups)) for variant, stage in stages.items()},
        lines=sorted(lines, key=lambda line: line.variant),
        differences=sorted(differences, key=lambda difference: difference.variant),
    )


def _line(runs: list[Run], stage: Stage) -> Line:
    headline = next(iter(stage.groups))
    users_E, chosen_E = stage.users(), _headline(stage)
    figures = [run.groups[headline] for run in runs]
    several = len(runs) > 1
    old = [run.notes["old slice"] for run in runs if "old slice" in run.notes]
    return Line(
        model=runs[0].model,
        variant=runs[0].variant,
        seeds=[run.seed for run in runs],
        groups={
            group: {name: statistics.fmean(run.groups[group][name] for run in runs) for name in first}
            for group, first in runs[0].groups.items()
        },
        spread={name: statistics.stdev(one[name] for one in figures) for name in figures[0]}
        if several
        else {},
        intervals={
            figure: bootstrap(_mean_values(runs, figure)[chosen_E], users_E[chosen_E]) for figure in JUDGED
        },
        gauc=[run.gauc for run in runs if run.gauc is not None],
        old_moments=max((found["moments"] for found in old), default=0),
        old_recalls=np.mean([found["recall@10"] for found in old], axis=0).tolist() if old else [],
        best_epochs=[epoch for run in runs for epoch in run.best_epochs()],
        minutes=[run.minutes for run in runs],
        cpu_minutes=[run.cpu_minutes for run in runs],
        parameters=runs[0].parameters,
        item_parameters=runs[0].item_parameters,
    )


def _headline(stage: Stage) -> npt.NDArray[np.bool_]:
    return next(iter(stage.groups.values()))


def _mean_values(runs: list[Run], figure: str) -> FloatArray:
    """(E,) of a figure, averaged over the seeds."""
    values: FloatArray = np.mean([JUDGED[figure](unpacked(run.ranks)) for run in runs], axis=0)
    return values
