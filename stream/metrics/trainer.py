"""What a trainer counts: cycles, what the gate and the watch said, how old an event is when weights know it.

Knows: names, labels, buckets. Does not know: how anything is trained, what a gate looks at.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from stream.metrics.exposition import LONG_SECONDS, Current, new_registry
from stream.metrics.versions import VersionMetrics

#: What the gate (model/gate.py) says of a candidate.
DECISIONS: Final = ("wait", "keep", "publish", "reject")
OUTCOMES: Final = ("done", "failed")


class TrainerMetrics:
    """The metrics of one trainer."""

    def __init__(self, data_dir: Path | None = None) -> None:
        """``data_dir``: whose file system is watched."""
        self.registry = registry = new_registry(data_dir)
        self.versions = VersionMetrics(registry)
        cycles = Counter(
            "hopstream_finetune_runs_total", "Training cycles, by outcome.", ["outcome"], registry=registry
        )
        self._cycles = {name: cycles.labels(name) for name in OUTCOMES}
        self._cycle_seconds = Histogram(
            "hopstream_finetune_seconds",
            "Time of one training cycle.",
            buckets=LONG_SECONDS,
            registry=registry,
        )
        decisions = Counter(
            "hopstream_gate_decisions_total", "What the gate said.", ["decision"], registry=registry
        )
        self._decisions = {name: decisions.labels(name) for name in DECISIONS}
        self._rollbacks = Counter(
            "hopstream_rollbacks_total",
            "Versions that the watch after publishing found worse and took back.",
            registry=registry,
        )
        self._event_to_weights = Histogram(
            "hopstream_event_to_weights_seconds",
            "From an event's record timestamp to the publication of weights that learned from it.",
            buckets=LONG_SECONDS,
            registry=registry,
        )
        self._trained = Counter(
            "hopstream_trained_events_total", "Events that training has read.", registry=registry
        )
        self._waiting = Gauge(
            "hopstream_trainer_waiting_events", "Events taken in and not trained on yet.", registry=registry
        )
        self._through = Gauge(
            "hopstream_model_trained_through_timestamp_seconds",
            "Record timestamp of the newest event that the published weights know, Unix time.",
            registry=registry,
        )
        self.lag = Current(
            registry,
            "hopstream_consumer_lag_records",
            "Records that the broker has and this role has not read.",
            ["topic", "partition"],
        )

    def cycle(self, outcome: str, seconds: float, num_events: int) -> None:
        """A cycle ended: "done" or "failed", after so long, over so many events."""
        self._cycles[outcome].inc()
        self._cycle_seconds.observe(seconds)
        self._trained.inc(num_events)

    def decided(self, decision: str) -> None:
        """The gate said "wait", "keep", "publish" or "reject"."""
        self._decisions[decision].inc()

    def published(self, version: str, epoch: int, now_s: float, written_s: Iterable[float]) -> None:
        """A version came out at ``now_s`` (Unix seconds); ``written_s``: record timestamps of the events that
        it is the first to know (Unix seconds; a sample will do)."""
        self.versions.wanted(epoch)
        self.versions.adopted(version, epoch, now_s)
        newest_s = 0.0
        for one_s in written_s:
            self._event_to_weights.observe(max(0.0, now_s - one_s))
            newest_s = max(newest_s, one_s)
        if newest_s:
            self._through.set(newest_s)

    def rolled_back(self) -> None:
        """A published version was worse and is withdrawn."""
        self._rollbacks.inc()

    def waiting(self, num_events: int) -> None:
        """Events that were taken in and wait for a cycle."""
        self._waiting.set(num_events)
