"""What a trainer counts: cycles, what the gate and the watch said, how old an event is when weights know it.

Knows: names, labels, buckets. Does not know: how anything is trained, what a gate looks at.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from stream.metrics.exposition import LONG_SECONDS, Current, new_registry
from stream.metrics.versions import VersionMetrics

#: What the gate (model/gate.py) says of a candidate.
DECISIONS: Final = ("wait", "keep", "publish", "reject")
OUTCOMES: Final = ("done", "failed")
#: What a cycle says when the watch after publishing took a version back.
ROLL_BACK: Final = "roll back"


class TrainerMetrics:
    """The metrics of one trainer."""

    def __init__(self, data_dir: Path | None = None) -> None:
        """``data_dir``: whose file system is watched."""
        self._base: tuple[str, int] | None = None
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
            "hopstream_trainer_waiting_events",
            "Judged events that no cycle has taken yet.",
            registry=registry,
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

    def cycle(self, verdict: str, num_events: int, seconds: float, *, failed: bool) -> None:
        """A cycle over so many events ended: what the gate said, or "roll back", or "none" where nothing was
        judged; ``failed``: what it learned is dropped."""
        self._cycles["failed" if failed else "done"].inc()
        self._cycle_seconds.observe(seconds)
        self._trained.inc(num_events)
        if verdict in self._decisions:
            self._decisions[verdict].inc()
        elif verdict == ROLL_BACK:
            self._rollbacks.inc()

    def goes_on(self, version: str, epoch: int) -> None:
        """The version that is trained on serves in this epoch."""
        if (version, epoch) != self._base:
            self._base = version, epoch
            self.versions.adopted(version, epoch, time.time())

    def published(self, now_s: float, written_s: Sequence[float]) -> None:
        """A version came out at ``now_s`` (Unix seconds); ``written_s``: record timestamps of the events that
        it is the first to know (Unix seconds)."""
        for one_s in written_s:
            self._event_to_weights.observe(max(0.0, now_s - one_s))
        if written_s:
            self._through.set(max(written_s))

    def behind(self, judged: Mapping[int, int], learned: Mapping[int, int]) -> None:
        """Offsets by partition: before which everything may be learned, and before which it is."""
        waiting = {number: max(0, end - learned.get(number, 0)) for number, end in judged.items()}
        self._waiting.set(sum(waiting.values()))
        self.lag.set({("events", str(number)): float(num) for number, num in waiting.items()})
