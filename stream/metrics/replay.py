"""What a replay tells: how far it is, which moment of the data set it is at, how fast that clock runs.

Knows: names of metrics. Does not know: data sets, Kafka.
"""

from __future__ import annotations

from prometheus_client import Gauge

from stream.metrics.exposition import Current, new_registry


class ReplayMetrics:
    """The metrics of one replay."""

    def __init__(self) -> None:
        self.registry = registry = new_registry()
        self._sent = Current(
            registry,
            "hopstream_replay_events_total",
            "Events that the broker has acknowledged.",
            kind="counter",
        )
        self._planned = Gauge("hopstream_replay_planned_events", "Events to be sent.", registry=registry)
        self._clock = Gauge(
            "hopstream_replay_clock_timestamp_seconds",
            "The events' own time of the newest one sent, Unix time.",
            registry=registry,
        )
        self._speed = Gauge(
            "hopstream_replay_speed_ratio",
            "Seconds of the events' own time per second, since the start.",
            registry=registry,
        )
        self._waits = Gauge(
            "hopstream_replay_waiting", "1 while the replay waits for the scorer.", registry=registry
        )
        self._began_s: float | None = None

    def progress(self, sent: int, planned: int, seconds: float, event_s: float, waiting: bool) -> None:
        """``seconds`` since the start; ``event_s``: own time of the newest event, Unix seconds."""
        self._sent.set({(): float(sent)})
        self._planned.set(planned)
        self._waits.set(waiting)
        if sent == 0:
            return
        self._clock.set(event_s)
        if self._began_s is None:
            self._began_s = event_s
        self._speed.set((event_s - self._began_s) / seconds if seconds > 0 else 0.0)
