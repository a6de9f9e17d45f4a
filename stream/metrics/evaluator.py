"""What an evaluator tells: how every line stands with its band, and how much of the stream is judged.

Knows: the evaluator's report (stream/evaluator.py) by its keys, names of metrics. Does not know: verdicts.
The report survives restarts in a snapshot, so its counts do too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from prometheus_client import Counter, Gauge

from stream.metrics.exposition import Current, new_registry

#: Metric → (key in the report, meaning).
_FIGURES: Final = {
    "hopstream_prequential_recall_ratio": (
        "recall@10",
        "Events whose item was among the list's first ten.",
    ),
    "hopstream_prequential_recall_low_ratio": ("low", "Lower end of recall's 90 % interval over users."),
    "hopstream_prequential_recall_high_ratio": ("high", "Upper end of recall's 90 % interval over users."),
    "hopstream_prequential_ndcg_ratio": ("ndcg@10", "Mean nDCG at ten."),
    "hopstream_prequential_mrr_ratio": ("mrr", "Mean reciprocal rank within ten."),
    "hopstream_prequential_events": ("events", "Judged events that the line's figures stand on."),
    "hopstream_catalog_coverage_ratio": ("coverage@10", "Items taken by anybody that some list showed."),
    "hopstream_novelty": ("novelty", "Mean surprise of a shown item in bits, by how often it was taken."),
}
_SCOPES: Final = {"newest": "window", "all": "lines"}  # label → key of the report
REASONS: Final = ("bad_judgement", "bad_list")


class EvaluatorMetrics:
    """The metrics of one evaluator."""

    def __init__(self, data_dir: Path | None = None) -> None:
        """``data_dir``: whose file system is watched."""
        self.registry = registry = new_registry(data_dir)
        self._figures = {
            name: Current(registry, name, text, ["line", "window"]) for name, (_, text) in _FIGURES.items()
        }
        self._judged = Current(
            registry,
            "hopstream_judged_events_total",
            "Events with a verdict, by what judged them: a list in time, a late one, none.",
            ["list"],
            kind="counter",
        )
        self._missed = Current(
            registry,
            "hopstream_judgements_missed_total",
            "Judgements that were gone before they were read.",
            kind="counter",
        )
        self._overlap = Current(
            registry,
            "hopstream_judged_after_training_events_total",
            "Events that judged a version which had been trained through them; there must be none.",
            kind="counter",
        )
        self._waiting = Gauge(
            "hopstream_judge_waiting_events", "Events without a verdict so far.", registry=registry
        )
        dead = Counter(
            "hopstream_dead_letters_total",
            "Records refused and kept on the dead-letters topic, by reason.",
            ["reason"],
            registry=registry,
        )
        self._dead = {reason: dead.labels(reason) for reason in REASONS}
        self.lag = Current(
            registry,
            "hopstream_consumer_lag_records",
            "Records that the broker has and this role has not read.",
            ["topic", "partition"],
        )

    def refused(self, reason: str) -> None:
        """A record that cannot be read was kept as a dead letter."""
        self._dead[reason].inc()

    def reported(self, report: Mapping[str, Any]) -> None:
        """The newest report; figures that are not known yet have no sample."""
        for name, (key, _) in _FIGURES.items():
            self._figures[name].set(
                {
                    (line, scope): float(figures[key])
                    for scope, where in _SCOPES.items()
                    for line, figures in report[where].items()
                    if figures.get(key) is not None
                }
            )
        judged = report["judged"]
        self._judged.set(
            {
                ("in_time",): float(judged["events"] - judged["late"]),
                ("late",): float(judged["late"]),
                ("none",): float(judged["without_list"]),
            }
        )
        self._waiting.set(judged["waiting"])
        self._overlap.set({(): float(report["overlap"]["events"])})
        self._missed.set({(): float(report["records"]["missed"])})

    def lagging(self, waiting: Mapping[tuple[str, int], int]) -> None:
        """(topic, partition) → records that are not read."""
        self.lag.set({(topic, str(number)): float(num) for (topic, number), num in waiting.items()})
