"""What a worker counts: records by what became of them, sessions, themes, lag, state, recovery.

Knows: names, labels, buckets; label children are made once. Does not know: Faust, what an event does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from stream.codec import NO_THEME
from stream.events import REASONS
from stream.metrics.exposition import SECONDS, Current, new_registry
from stream.metrics.versions import VersionMetrics

#: Themes told apart by a label; those beyond share one.
MAX_THEMES: Final = 64
TYPES: Final = ("positive", "negative", "neutral", "forget", "rescore")
#: Outcomes of stream/history.py and stream/agents.py that are a type under another name.
_TYPE_OF: Final = {"forgotten": "forget", "rescored": "rescore", "late": "positive"}


class WorkerMetrics:
    """The metrics of one worker."""

    def __init__(self, data_dir: Path | None = None) -> None:
        """``data_dir``: whose file system is watched."""
        self.registry = registry = new_registry(data_dir)
        self.versions = VersionMetrics(registry)
        events = Counter(
            "hopstream_events_total",
            "Records of the events topic that changed a state, by type.",
            ["type"],
            registry=registry,
        )
        duplicate = Counter(
            "hopstream_events_duplicate_total", "Events whose id was counted before.", registry=registry
        )
        late = Counter(
            "hopstream_events_late_total", "Events older than their user's last one.", registry=registry
        )
        too_late = Counter(
            "hopstream_events_too_late_total",
            "Events older than all that is kept of their user, dropped.",
            registry=registry,
        )
        redelivered = Counter(
            "hopstream_events_redelivered_total",
            "Records that had been applied before, as after a crash.",
            registry=registry,
        )
        dead = Counter(
            "hopstream_dead_letters_total",
            "Records refused and kept on the dead-letters topic, by reason.",
            ["reason"],
            registry=registry,
        )
        counted = {kind: (events.labels(kind).inc,) for kind in TYPES}
        self._seen: dict[str, tuple[Callable[[], None], ...]] = {
            **counted,
            **{outcome: counted[kind] for outcome, kind in _TYPE_OF.items()},
            "late": (*counted["positive"], late.inc),
            "duplicate": (duplicate.inc,),
            "too_late": (too_late.inc,),
            "again": (redelivered.inc,),
            "past": (redelivered.inc,),
            **{reason: (dead.labels(reason).inc,) for reason in REASONS},
        }
        self._closed = Counter(
            "hopstream_sessions_closed_total",
            "Sessions closed: by silence (gap) or by their number of events (full).",
            ["reason"],
            registry=registry,
        )
        self._by_gap, self._by_length = self._closed.labels("gap"), self._closed.labels("full")
        self._session_events = Histogram(
            "hopstream_session_events",
            "Events of a closed session.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=registry,
        )
        self._assigned = Counter(
            "hopstream_theme_assignments_total",
            "Closed sessions by the theme they were given.",
            ["theme"],
            registry=registry,
        )
        self._themes = {NO_THEME: self._assigned.labels("none")}
        self._switches = Counter(
            "hopstream_theme_switches_total",
            "Closed sessions of another theme than the user's session before.",
            registry=registry,
        )
        self.event_to_request = Histogram(
            "hopstream_event_to_request_seconds",
            "From an event's record timestamp to its request; loaded histories are left out.",
            buckets=SECONDS,
            registry=registry,
        )
        self.lag = Current(
            registry,
            "hopstream_consumer_lag_records",
            "Records that the broker has and this role has not read.",
            ["topic", "partition"],
        )
        self.state_bytes = Gauge(
            "hopstream_state_bytes", "Bytes of the local store of user states on disk.", registry=registry
        )
        self.recovery = Gauge(
            "hopstream_state_recovery_seconds",
            "How long the last recovery took, from having no partitions to reading events.",
            registry=registry,
        )
        self.stalled = Gauge(
            "hopstream_watchdog_stalled_seconds",
            "Seconds without progress although records wait; at worker.stall_ms the process ends.",
            registry=registry,
        )

    def seen(self, outcome: str) -> None:
        """One record of the events topic, by what became of it or why it was refused."""
        for count in self._seen[outcome]:
            count()

    def closed(self, num_events: int, theme: int, *, full: bool, switched: bool) -> None:
        """A session was closed with its theme; ``switched``: the user's session before had another one."""
        (self._by_length if full else self._by_gap).inc()
        self._session_events.observe(num_events)
        child = self._themes.get(theme)
        if child is None:
            name = str(theme) if theme < MAX_THEMES else "other"
            child = self._themes[theme] = self._assigned.labels(name)
        child.inc()
        if switched:
            self._switches.inc()

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that is read when somebody asks."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def lagging(self, topic: str, by_partition: Mapping[int, int]) -> None:
        """How many records wait in each partition of this process."""
        self.lag.set({(topic, str(number)): float(num) for number, num in by_partition.items()})
