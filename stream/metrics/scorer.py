"""What a scorer counts: requests, lists and why they were degraded, stages, cache, experts, memory, weights.

Knows: names, labels, buckets; label children are made once. Does not know: Kafka, torch, how a list is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from stream.metrics.experts import ExpertMetrics
from stream.metrics.exposition import SECONDS, Current, new_registry
from stream.metrics.versions import VersionMetrics

#: Parts of a turn: of a batch the first four, of a turn the last.
STAGES: Final = ("memory", "encode", "rank", "mix", "confirm")
#: Names that a list's `degraded` may have (stream/lists.py).
FALLBACKS: Final = ("no model yet", "memory", "popular")


class ScorerMetrics:
    """The metrics of one scorer."""

    def __init__(self, data_dir: Path | None = None) -> None:
        """``data_dir``: whose file system is watched."""
        self.registry = registry = new_registry(data_dir)
        self.versions = VersionMetrics(registry)
        self.experts = ExpertMetrics(registry)
        self.requests = Counter("hopstream_requests_total", "Requests that were read.", registry=registry)
        self.lists = Counter("hopstream_lists_total", "Lists that went out.", registry=registry)
        degraded = Counter(
            "hopstream_lists_degraded_total",
            "Lists that the model could not make, by what made them.",
            ["fallback"],
            registry=registry,
        )
        self._degraded = {name: degraded.labels(name) for name in FALLBACKS}
        self.held_back = Counter(
            "hopstream_lists_held_back_total",
            "Lists older than one that the user has already.",
            registry=registry,
        )
        self.judgements = Counter(
            "hopstream_judgements_total", "Judgements that went out.", registry=registry
        )
        self.dead_letters = Counter(
            "hopstream_dead_letters_total",
            "Records refused and kept on the dead-letters topic, by reason.",
            ["reason"],
            registry=registry,
        ).labels("bad_request")
        stages = Histogram(
            "hopstream_scorer_stage_seconds",
            "Time of one stage: of a batch, and for confirm of a turn.",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self.stages = {name: stages.labels(name) for name in STAGES}
        self.batch_size = Histogram(
            "hopstream_scorer_batch_size",
            "Requests that were encoded together.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
            registry=registry,
        )
        self.queue = Histogram(
            "hopstream_scorer_queue_seconds",
            "From a request's record timestamp to the start of its batch's encoding.",
            buckets=SECONDS,
            registry=registry,
        )
        self.event_to_list = Histogram(
            "hopstream_event_to_list_seconds",
            "From an event's record timestamp to the list that knows it; lists made again are left out.",
            buckets=SECONDS,
            registry=registry,
        )
        positions = Counter(
            "hopstream_scorer_positions_total",
            "Positions of encoded sequences, by where their keys and values came from.",
            ["source"],
            registry=registry,
        )
        self._computed, self._cached = positions.labels("computed"), positions.labels("cache")
        self.lag = Current(
            registry,
            "hopstream_consumer_lag_records",
            "Records that the broker has and this role has not read.",
            ["topic", "partition"],
        )
        self._weight = Current(
            registry,
            "hopstream_leader_weight_ratio",
            "Weight of the model in the served sum, for warm users and for those with under 3 events.",
            ["users"],
        )
        self._judged = Current(
            registry,
            "hopstream_leader_events_total",
            "Events that have judged the weights.",
            ["users"],
            kind="counter",
        )

    def went_out(self, degraded: str | None, age_s: float | None) -> None:
        """A list was made; ``age_s``: since the event that asked for it, None if it was made again."""
        self.lists.inc()
        if degraded is not None:
            self._degraded[degraded].inc()
        if age_s is not None:
            self.event_to_list.observe(max(0.0, age_s))

    def encoded(self, num: int, encode_ms: float, rank_ms: float, positions: int, tokens: int) -> None:
        """A batch of ``num`` requests; ``positions`` of their ``tokens`` were computed anew."""
        self.batch_size.observe(num)
        self.stages["encode"].observe(encode_ms / 1000)
        self.stages["rank"].observe(rank_ms / 1000)
        self._computed.inc(positions)
        self._cached.inc(max(0, tokens - positions))

    def weighed(self, warm: tuple[float, int], cold: tuple[float, int]) -> None:
        """The weight that serves and how many events chose it, for warm and for cold users."""
        told = {("warm",): warm, ("cold",): cold}
        self._weight.set({users: weight for users, (weight, _) in told.items()})
        self._judged.set({users: float(num) for users, (_, num) in told.items()})

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that is read when somebody asks; a counter where the name says so."""
        if name.endswith("_total"):
            Current(self.registry, name, text, kind="counter", values=lambda: {(): value()})
        else:
            Gauge(name, text, registry=self.registry).set_function(value)

    def lagging(self, topic: str, by_partition: Mapping[int, int]) -> None:
        """How many records wait in each partition of this process."""
        self.lag.set({(topic, str(number)): float(num) for number, num in by_partition.items()})
