"""What the server counts of itself, as Prometheus metrics of one registry.

Knows: names, labels and buckets. Does not know: who looks, what a route does. Labels are bounded: route
templates, statuses, rules and reasons, never a user or an item.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import Counter, Gauge, Histogram, generate_latest

from ops.server.rules import RULES, Chosen
from stream.metrics.exposition import SECONDS, Current, new_registry
from stream.metrics.versions import VersionMetrics
from stream.metrics.worker import MAX_THEMES

#: Requests for paths that are none of ours.
NO_ROUTE = "none"


class Telemetry:
    """The metrics of one server."""

    def __init__(self) -> None:
        self.registry = new_registry()
        self.versions = VersionMetrics(self.registry)
        self._requests = Counter(
            "hopstream_http_requests_total",
            "Requests answered, by route template, method and status.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "hopstream_http_request_seconds",
            "Time from a request's head to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._hits = Counter(
            "hopstream_rule_hits_total",
            "Candidates that a rule kept out of an answer.",
            ["rule"],
            registry=self.registry,
        )
        self._events = Counter(
            "hopstream_http_events_total",
            "Events of POST /events, by what became of them.",
            ["outcome"],
            registry=self.registry,
        )
        self._degraded = Counter(
            "hopstream_degraded_answers_total",
            "Answers that were labelled, by label.",
            ["label"],
            registry=self.registry,
        )
        self._theme_items = Current(
            self.registry,
            "hopstream_theme_items",
            "Items of the version that serves by the theme that they belong to most.",
            ["theme", "label"],
        )
        self._theme_drift = Current(
            self.registry,
            "hopstream_theme_drift_ratio",
            "How far a theme's centre turned since the version before: 0 stayed, 1 a right angle.",
            ["theme", "label"],
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        for rule in RULES:
            self._hits.labels(rule)
        for outcome in ("accepted", "rejected"):
            self._events.labels(outcome)

    def watch(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """A gauge that is read when somebody asks."""
        Gauge(name, help_text, registry=self.registry).set_function(value)

    def themed(self, labels: Sequence[str], items: Sequence[int], drift: Sequence[float | None] = ()) -> None:
        """The themes of the version that serves; ``drift`` is empty without a version before."""
        names = [(str(theme), label) for theme, label in enumerate(labels)][:MAX_THEMES]
        self._theme_items.set({name: float(num) for name, num in zip(names, items, strict=False)})
        turned = zip(names, drift, strict=False)
        self._theme_drift.set({name: value for name, value in turned if value is not None})

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request came to its end."""
        key = (route, method, status)
        found = self._children.get(key)
        if found is None:  # as many as there are routes, methods and statuses
            found = self._requests.labels(route, method, str(status)), self._seconds.labels(route)
            self._children[key] = found
        found[0].inc()
        found[1].observe(seconds)

    def chosen(self, chosen: Chosen) -> None:
        """The rules were applied to candidates."""
        if chosen.left_out:
            for rule, num in chosen.hits.items():
                self._hits.labels(rule).inc(num)

    def labelled(self, label: str | None) -> None:
        """A list went out, degraded or (None) not."""
        if label is not None:
            self._degraded.labels(label).inc()

    def taken(self, accepted: int, rejected: int) -> None:
        """Events arrived."""
        self._events.labels("accepted").inc(accepted)
        self._events.labels("rejected").inc(rejected)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
