"""A table of leave-one-out or a time split, run by run: each model, seed and variant that is not there yet.

Knows: the order of runs, what each records, how far all is.
Does not know: options, what is printed, the stream (ops/evaluation/streaming.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model.backbone import Backbone
from model.columns import EventColumns
from model.families import Recipe
from model.fit import Progress
from model.metrics import bootstrap, user_auc
from model.sequences import data_digest
from model.stages import Answered, Stage, answer_together
from model.time_split import TEST_FROM, cut_at, impression_scores
from model.train import learn, learn_facets
from ops.evaluation.choices import Protocol
from ops.evaluation.impressions import Impressions
from ops.evaluation.naming import Named, changed
from ops.evaluation.protocols import DEFAULTS, baselines_of, stages_of
from ops.evaluation.records import Run, append, packed, read

#: Told how far the table is, in one line.
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What is to be run."""

    dataset: str
    columns: EventColumns
    gap_ms: int  # silence that ends a session
    protocol: Protocol
    models: Sequence[Named]
    seeds: int
    filter_seen: bool
    refit: bool
    threads: int
    impressions: Impressions | None  # asked for by the time protocol, where the data has some
    results: Path | None
    learning: Sequence[tuple[str, bool]] = ()  # ways to learn from a stream, and whether through the gate


def runs(table: Table, say: Say) -> Iterator[tuple[Run, Stage]]:
    """Each run when it is finished, with its stage; baselines first. What the results file has is not
    repeated.

    Raises NotEnoughData when the events cannot be cut as the protocol says.
    """
    done = read(table.results)
    blank = blank_of(table)
    jobs = [(named, seed) for named in table.models for seed in range(table.seeds)]
    for number, (named, seed) in enumerate(jobs, 1):
        recipe = named.recipe(DEFAULTS[table.protocol])
        trains = [replace(recipe.train, seed=own, threads=table.threads) for own in named.seeds(seed)]
        users = recipe.train.validation_users
        stages = stages_of(table.protocol, table.columns, users, table.filter_seen, table.refit)
        if number == 1:
            yield from _baselines(table, stages, blank, say)
        for stage in stages:
            one = replace(blank, model=str(named), recipe=changed(recipe), variant=stage.variant, seed=seed)
            if one.key() in done:
                one = done[one.key()]
            else:
                about = f"run {number} of {len(jobs)} · {named} seed {seed} {stage.variant}"
                one = _run(table, stage, one, [Recipe(recipe.model, train) for train in trains], about, say)
                append(table.results, one)
            if stage is stages[0]:
                trains = [
                    replace(train, max_epochs=best)
                    for train, best in zip(trains, one.best_epochs(), strict=True)
                ]
            yield one, stage


def told(about: str, validated: bool, say: Say) -> Progress:
    """Says after each epoch how far a run is."""

    def progress(epoch: int, of: int, loss: float, ndcg: float, eta_s: float) -> None:
        found = f"loss {loss:.3f}" + (f" · nDCG@10 {ndcg:.4f}" if validated else "")
        say(f"{about} · epoch {epoch} of at most {of} · {found} · {eta_s:.0f} s left of this run")

    return progress


def blank_of(table: Table) -> Run:
    """What all runs of a table have in common."""
    return Run(
        dataset=table.dataset,
        data=data_digest(table.columns)[:16],
        protocol=table.protocol.value,
        filter_seen=table.filter_seen,
        model="",
        recipe={},
        variant="",
        seed=0,
        best_epoch=0,
        epochs=0,
        minutes=0.0,
        cpu_minutes=0.0,
        parameters=0,
        item_parameters=0,
        groups={},
        gauc=None,
        ranks="",
    )


def _baselines(table: Table, stages: list[Stage], blank: Run, say: Say) -> Iterator[tuple[Run, Stage]]:
    for stage in stages:
        say(f"baselines {stage.variant}")
        for name, answered in baselines_of(table.protocol, table.columns, stage).items():
            yield judged(replace(blank, model=name, variant=stage.variant), stage, answered), stage


def judged(run: Run, stage: Stage, answered: Answered) -> Run:
    """The run with its figures by group and its ranks."""
    groups = {
        name: {"questions": float(chosen_E.sum()), **answered.figures(chosen_E, len(stage.catalogue))}
        for name, chosen_E in stage.groups.items()
    }
    return replace(run, groups=groups, ranks=packed(answered.ranks_E))


def _run(table: Table, stage: Stage, run: Run, recipes: Sequence[Recipe], about: str, say: Say) -> Run:
    """Train each member, ask them together, record."""
    validated = bool(len(stage.validation.targets))
    models, learned = [], []
    for number, recipe in enumerate(recipes, 1):
        member = f"{about} · member {number} of {len(recipes)}" if len(recipes) > 1 else about
        model, one = trained(stage, run, recipe, told(member, validated, say))
        models.append(model)
        learned.append(one)
    whole = replace(_together(learned), gauc=_gauc(table, stage, models))
    return judged(whole, stage, answer_together(models, stage))


def _together(learned: Sequence[Run]) -> Run:
    """What the members of one run cost."""
    if len(learned) == 1:
        return learned[0]
    return replace(
        learned[0],
        best_epoch=max(one.best_epoch for one in learned),
        epochs=max(one.epochs for one in learned),
        minutes=sum(one.minutes for one in learned),
        cpu_minutes=sum(one.cpu_minutes for one in learned),
        parameters=sum(one.parameters for one in learned),
        item_parameters=sum(one.item_parameters for one in learned),
        notes={"best epoch by member": [one.best_epoch for one in learned]},
    )


def trained(stage: Stage, run: Run, recipe: Recipe, progress: Progress) -> tuple[Backbone, Run]:
    """A network of the stage's training part, and the run with what it cost."""
    wall_s, cpu_s = time.monotonic(), time.process_time()
    model, curve = learn(
        stage.training, stage.validation, stage.catalogue, recipe.model, recipe.train, wall_s, progress
    )
    learn_facets(model, stage.training, stage.validation, recipe.train)
    validated = len(stage.validation.targets) > 0
    best = max(curve, key=lambda epoch: epoch.full_ndcg) if validated else curve[-1]
    return model, replace(
        run,
        best_epoch=best.epoch,
        epochs=len(curve),
        minutes=(time.monotonic() - wall_s) / 60,
        cpu_minutes=(time.process_time() - cpu_s) / 60,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        item_parameters=model.items.numel(),
    )


def _gauc(table: Table, stage: Stage, models: Sequence[Backbone]) -> dict[str, float] | None:
    """GAUC of the members' mean scores over the impressions after the cut, and how many it could count."""
    if table.impressions is None or table.protocol is not Protocol.TIME:
        return None
    asked = table.impressions.since(cut_at(table.columns, TEST_FROM))
    scores_E = np.mean(
        [impression_scores(model, stage, asked.shown, asked.before_E) for model in models], axis=0
    )
    scored = np.isfinite(scores_E)
    users_E = asked.shown.user[scored]
    auc_E = user_auc(scores_E[scored], asked.positive_E[scored], users_E)
    counted = np.isfinite(auc_E)
    if not counted.any():
        return None
    found = bootstrap(auc_E[counted], users_E[counted])
    return {
        "mean": found.mean,
        **({} if found.low is None or found.high is None else {"low": found.low, "high": found.high}),
        "users": float(found.users),
        "impressions": float(counted.sum()),
        "shown": float(len(asked.shown)),
    }
