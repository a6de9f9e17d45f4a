"""Every role's metrics with some of each number in them: what the tests of tables, rules and boards scrape.

Knows: the constructors and what they are told. Does not know: brokers, HTTP.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from ops.server.telemetry import Telemetry
from stream.codec import NO_THEME
from stream.events import REASONS
from stream.metrics.evaluator import EvaluatorMetrics
from stream.metrics.replay import ReplayMetrics
from stream.metrics.scorer import FALLBACKS, STAGES, ScorerMetrics
from stream.metrics.trainer import DECISIONS, ROLL_BACK, TrainerMetrics
from stream.metrics.worker import TYPES, WorkerMetrics

#: Gauges and counters that the compositions add, because only there the number is at hand; the documented
#: ones of app.py, scorer_app.py and ops/server/run.py (a test on the broker compares them).
WATCHED = {
    "worker": ("hopstream_events_in_flight", "hopstream_cached_users"),
    "scorer": (
        "hopstream_memory_items",
        "hopstream_rescore_waiting_users",
        "hopstream_requests_lost_total",
        "hopstream_versions_refused_total",
        "hopstream_contenders_refused_total",
    ),
    "server": ("hopstream_view_lists", "hopstream_view_states", "hopstream_view_records_behind"),
}
FIGURES = {
    "recall@10": 0.2,
    "low": 0.18,
    "high": 0.22,
    "ndcg@10": 0.1,
    "mrr": 0.07,
    "events": 4000,
    "coverage@10": 0.3,
    "novelty": 9.5,
}


def worker(folder: Path) -> WorkerMetrics:
    metrics = WorkerMetrics(folder)
    metrics.lagging("events", {0: 3, 1: 0})
    metrics.versions.wanted(2)
    metrics.versions.adopted("000001", 1, 1_700_000_000.0)
    for name in WATCHED["worker"]:
        metrics.watch(name, "A number that is at hand in the composition.", lambda: 1.0)
    work(metrics)
    return metrics


def work(metrics: WorkerMetrics) -> None:
    """Records of every kind, and sessions of some themes."""
    for outcome in (*TYPES, "late", "duplicate", "too_late", "again", "past", "forgotten", "rescored"):
        metrics.seen(outcome)
    for reason in REASONS:
        metrics.seen(reason)
    for theme in (NO_THEME, 0, 3):
        metrics.closed(5, theme, full=theme == 0, switched=theme == 3)
    metrics.event_to_request.observe(0.003)


def scorer(folder: Path) -> ScorerMetrics:
    metrics = ScorerMetrics(folder)
    metrics.versions.wanted(1)
    metrics.versions.adopted("000001", 1, 1_700_000_000.0)
    metrics.experts.listed([[[0.5, 0.5], [1.0, 0.0]]] * 200)
    metrics.weighed((0.3, 900), (0.8, 40))
    metrics.lagging("requests", {0: 3, 1: 0})
    for name in WATCHED["scorer"]:
        metrics.watch(name, "A number that is at hand in the composition.", lambda: 1.0)
    score(metrics)
    return metrics


def score(metrics: ScorerMetrics) -> None:
    """A batch, and lists of every kind."""
    metrics.requests.inc()
    for fallback in (None, *FALLBACKS):
        metrics.went_out(fallback, 0.02)
    metrics.encoded(3, 2.0, 1.0, 4, 60)
    for stage in STAGES:
        metrics.stages[stage].observe(0.001)
    metrics.queue.observe(0.004)


def report(lines: tuple[str, ...] = ("served", "model", "popular"), more: int = 0) -> dict[str, Any]:
    """What an evaluator reports, as far as metrics read it."""
    figures = {line: dict(FIGURES) for line in lines}
    return {
        "lines": figures,
        "window": figures,
        "judged": {"events": 4000 + more, "without_list": 7, "late": 20, "waiting": 12},
        "overlap": {"events": 3, "unchecked": 0, "examples": []},
        "records": {"bad_records": 1, "foreign": 0, "missed": 2},
    }


def evaluator(folder: Path) -> EvaluatorMetrics:
    metrics = EvaluatorMetrics(folder)
    metrics.reported(report())
    metrics.refused("bad_list")
    metrics.lagging({("events", 0): 5, ("judgements", 0): 2})
    return metrics


def trainer(folder: Path) -> TrainerMetrics:
    metrics = TrainerMetrics(folder)
    metrics.versions.wanted(2)
    metrics.goes_on("000002", 2)
    for verdict in (*DECISIONS, ROLL_BACK, "none"):
        metrics.cycle(verdict, 500, 12.0, failed=verdict == "reject")
    metrics.published(1_700_000_100.0, [1_700_000_000.0, 1_700_000_050.0])
    metrics.behind({0: 12, 1: 9}, {0: 4})
    return metrics


def replay() -> ReplayMetrics:
    metrics = ReplayMetrics()
    metrics.progress(0, 1000, 0.1, 0.0, False)
    metrics.progress(100, 1000, 1.0, 1_600_000_000.0, False)
    metrics.progress(200, 1000, 2.0, 1_600_003_600.0, True)
    return metrics


def server() -> Telemetry:
    telemetry = Telemetry()
    telemetry.versions.wanted(1)
    telemetry.versions.adopted("000001", 1, 1_700_000_000.0)
    telemetry.themed(["Drama", "Noir"], [30, 10], [0.02, None])
    telemetry.answered("/recommend/{user}", "GET", 200, 0.004)
    telemetry.labelled("popular")
    telemetry.taken(3, 1)
    for name in WATCHED["server"]:
        telemetry.watch(name, "A number that is at hand in the composition.", lambda: 1.0)
    return telemetry


def registries(folder: Path) -> dict[str, CollectorRegistry]:
    """Role → its registry, every label with a value."""
    return {
        "worker": worker(folder).registry,
        "scorer": scorer(folder).registry,
        "evaluator": evaluator(folder).registry,
        "trainer": trainer(folder).registry,
        "replay": replay().registry,
        "server": server().registry,
    }
