"""Do themes pay? A network per model and seed, then MoS over it, variant by variant, on the last fifth.

Knows: the order of runs, what each records, what a results file spares.
Does not know: how a variant learns or ranks (model/mos_compare.py), how runs are put together
(ops/evaluation/mos_summary.py), options.
"""

# n = events of all histories, E = impressions, S = sessions, T = questions

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from model.backbone import Adaptable
from model.families import FAMILIES, Recipe
from model.health import Health, theme_health
from model.hopping import hopping
from model.metrics import FloatArray, bootstrap, user_auc
from model.mos import MoSConfig
from model.mos_compare import AWARE, VARIANTS, Cost, Past, Trial, Variant, judged, trained
from model.mos_losses import MoSTrainConfig
from model.mos_ranks import scores_at
from model.mos_sequences import Rules, sessions_of
from model.mos_truth import routing_accuracy
from model.sequences import WARM_SHARE, Histories, histories
from model.stages import Answered, Stage
from model.time_split import candidates, stream_stage
from ops.evaluation.choices import Protocol
from ops.evaluation.naming import ModelNameInvalid, Named, changed
from ops.evaluation.protocols import DEFAULTS
from ops.evaluation.records import Key, Run, append, packed_table, read
from ops.evaluation.running import Say, Table, blank_of, told
from ops.evaluation.running import judged as recorded
from ops.evaluation.running import trained as trained_network
from stream.sessions import closes
from stream.windows import GLOBAL_MAX, MAX_OPEN, moved_global, moved_history, moved_theme

#: Closed events that a history keeps: the default of `history.keep_events`.
KEEP_EVENTS = 512
#: Cuts of a step of the second stage. All its epochs are run and the best is kept: ended by the first epoch
#: without a better validation figure, one variant stopped after two where another went on to the fifth.
CUTS = 1024
#: What one run of a network is followed by; AWARE asks "+theme" again, so both are one job.
JOBS: tuple[tuple[str, ...], ...] = tuple((name, AWARE) if name == "+theme" else (name,) for name in VARIANTS)

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """One trained network and all that its variants are asked."""

    table: Table
    stage: Stage
    trial: Trial
    blank: Run  # with what the network cost
    truth_n: IntArray | None  # true theme of each event of the judged histories
    impressions: tuple[IntArray, IntArray, npt.NDArray[np.bool_], IntArray] | None


def mos_runs(table: Table, truth_n: IntArray | None, say: Say) -> Iterator[tuple[Run, Stage]]:
    """Each run when it is finished. Variants of the results file are not trained again, nor is a network all
    of whose variants are there.

    ``truth_n``: true theme of each of the table's events, where it is known. Raises NotEnoughData when the
    events cannot be cut so, ModelNameInvalid for a network that MoS cannot stand on.
    """
    done = read(table.results)
    for named in table.models:
        _check(named)
    jobs = [(named, seed) for named in table.models for seed in range(table.seeds)]
    for number, (named, seed) in enumerate(jobs, 1):
        found = named.recipe(DEFAULTS[Protocol.MOS])
        recipe = Recipe(found.model, replace(found.train, seed=seed, threads=table.threads))
        stage = stream_stage(table.columns, recipe.train.validation_users, table.filter_seen)
        blank = replace(blank_of(table), model=str(named), recipe=changed(found), seed=seed)
        about = f"run {number} of {len(jobs)} · {named} seed {seed}"
        parts: _Parts | None = None
        costs: dict[str, Cost] = {}
        for names in JOBS:
            keys = [replace(blank, variant=name).key() for name in names]
            if any(key not in done for key in keys):
                if parts is None:
                    parts = _prepared(table, stage, blank, recipe, truth_n, about, say)
                say(f"{about} · {names[0]}")
                done.update(_job(parts, names, costs))
            for name, key in zip(names, keys, strict=True):
                costs[name] = Cost(**done[key].notes["cost"])
                yield done[key], stage


def _check(named: Named) -> None:
    """Raises ModelNameInvalid."""
    model = named.recipe(DEFAULTS[Protocol.MOS]).model
    if not issubclass(FAMILIES[model.family], Adaptable):
        raise ModelNameInvalid(
            f"{named}: MoS needs gates, or values, that take an addition; {model.family} has none."
        )
    if model.query_time != "own" or model.max_events < GLOBAL_MAX:
        raise ModelNameInvalid(f"{named}: MoS needs query_time=own and max_events of at least {GLOBAL_MAX}.")


def _prepared(
    table: Table, stage: Stage, blank: Run, recipe: Recipe, truth_n: IntArray | None, about: str, say: Say
) -> _Parts:
    """Train the network; cut histories into sessions."""
    model, learned = trained_network(stage, blank, recipe, told(f"{about} · the network", True, say))
    assert isinstance(model, Adaptable)  # _check
    cut = int(WARM_SHARE * len(table.columns))
    rules = _rules(table.gap_ms)
    trial = Trial(
        backbone=model,
        learned=_past(histories(table.columns.slice(0, cut), stage.catalogue), rules),
        judged=_past(stage.events, rules),
        asked_n=stage.asked_n,
        rules=rules,
        config=MoSConfig(num_themes=recipe.train.themes),
        train=MoSTrainConfig(seed=recipe.train.seed, cuts=CUTS),
        filter_seen=table.filter_seen,
    )
    network = {name: getattr(learned, name) for name in ("best_epoch", "epochs", "minutes", "cpu_minutes")}
    hops = hopping(model.item_index().detach().numpy(), trial.judged.events, trial.judged.sessions)
    asked = None
    if table.impressions is not None:
        since = table.impressions.since(cut)
        asked = (
            *candidates(stage.events, stage.catalogue, since.shown, since.before_E),
            since.positive_E,
            since.shown.user.astype(np.int64),
        )
    return _Parts(
        table=table,
        stage=stage,
        trial=trial,
        blank=replace(learned, notes={"network": network, "hopping": asdict(hops)}),
        truth_n=None if truth_n is None else truth_n[stage.events.order],
        impressions=asked,
    )


def _past(events: Histories, rules: Rules) -> Past:
    return Past(events=events, sessions=sessions_of(events, rules))


def _rules(gap_ms: int) -> Rules:
    """The worker's rules under its default settings and this gap."""
    return Rules(
        closes=lambda num, last_ms, ts_ms: closes(num, last_ms, ts_ms, gap_ms, MAX_OPEN),
        moved_global=moved_global,
        moved_theme=moved_theme,
        moved_history=lambda lengths: moved_history(lengths, KEEP_EVENTS),
    )


def _job(parts: _Parts, names: tuple[str, ...], costs: Mapping[str, Cost]) -> dict[Key, Run]:
    """Train one variant and record it under each of its names."""
    made: dict[Key, Run] = {}
    with _threads(parts.table.threads):
        wall_s, cpu_s = time.monotonic(), time.process_time()
        variant = trained(parts.trial, names[0], costs)
        minutes, cpu_minutes = (time.monotonic() - wall_s) / 60, (time.process_time() - cpu_s) / 60
        for name in names:
            run = replace(
                parts.blank,
                variant=name,
                best_epoch=max(variant.curve, key=lambda epoch: epoch.full_ndcg).epoch,
                epochs=len(variant.curve),
                minutes=minutes,
                cpu_minutes=cpu_minutes,
                parameters=sum(parameter.numel() for parameter in variant.mos.parameters()),
                item_parameters=0,
            )
            run = _recorded(parts, run, variant, aware=name == AWARE)
            append(parts.table.results, run)
            made[run.key()] = run
    return made


def _recorded(parts: _Parts, run: Run, variant: Variant, *, aware: bool) -> Run:
    """The run with its ranks, costs, themes, and impressions where there are any."""
    found = judged(parts.trial, variant, aware=aware)
    order = np.argsort(parts.stage.events.order[variant.cuts_T + 1])  # questions in order of the columns
    notes = {**run.notes, "cost": asdict(found.cost), **({} if aware else _themes(parts, variant))}
    gauc, told_users = _gauc(parts, variant, aware)
    if told_users is not None:
        notes["auc"] = packed_table(told_users)
    run = replace(run, notes=notes, gauc=gauc)
    return recorded(run, parts.stage, Answered(ranks_E=found.ranks_T[order], lists=None))


def _themes(parts: _Parts, variant: Variant) -> dict[str, object]:
    """Shares of the later sessions by theme, alarms, how many have the true one; nothing without themes."""
    if "theme" not in variant.mos.config.kinds:
        return {}
    past = parts.trial.judged
    with torch.no_grad():
        theme_S = variant.reader.route(np.arange(len(past.events))).theme_S
    starts_S = past.sessions.starts[:-1]
    learned_S = past.events.order[starts_S] < int(WARM_SHARE * len(parts.table.columns))
    counts = [
        np.bincount(theme_S[part & (theme_S >= 0)], minlength=variant.mos.config.num_themes)
        for part in (learned_S, ~learned_S)
    ]
    health = theme_health(counts[1], unit="sessions", before_K=counts[0])
    spread = {"share": list(health.share), "sessions": health.total, "drift": health.drift}
    found: dict[str, object] = {"themes": spread, "alarms": Health(themes=health).alarms}
    if parts.truth_n is not None:
        found["routed_rightly"] = routing_accuracy(theme_S, parts.truth_n[starts_S], learned_S, ~learned_S)
    return found


def _gauc(parts: _Parts, variant: Variant, aware: bool) -> tuple[dict[str, float] | None, FloatArray | None]:
    """(mean and counts, (3, U) user codes, their impressions, their AUC); None without impressions."""
    if parts.impressions is None:
        return None, None
    after_E, lines_E, positive_E, users_E = parts.impressions
    scores_E = scores_at(variant.reader, after_E, lines_E, aware=aware)
    scored = np.isfinite(scores_E)
    auc_E = user_auc(scores_E[scored], positive_E[scored], users_E[scored])
    counted = np.isfinite(auc_E)
    if not counted.any():
        return None, None
    users, first, counts = np.unique(users_E[scored][counted], return_index=True, return_counts=True)
    interval = bootstrap(auc_E[counted], users_E[scored][counted])
    bounds = (
        {} if interval.low is None or interval.high is None else {"low": interval.low, "high": interval.high}
    )
    told_users = np.stack([users.astype(float), counts.astype(float), auc_E[counted][first]])
    return {
        "mean": interval.mean,
        **bounds,
        "users": float(interval.users),
        "impressions": float(counted.sum()),
        "shown": float(len(scores_E)),
    }, told_users


@contextmanager
def _threads(num: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(num)
    try:
        yield
    finally:
        torch.set_num_threads(before)
