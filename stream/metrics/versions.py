"""Which version a role works with, and whether that is the one the registry wants.

Knows: names and epochs of versions. Does not know: registries, how a version is adopted.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from stream.metrics.exposition import Current


class VersionMetrics:
    """The same four gauges in every role that follows versions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._info = Current(registry, "hopstream_model_info", "1 for the version in use.", ["version"])
        self._epoch = Gauge(
            "hopstream_model_epoch",
            "Epoch of the registry in which the version in use came to serve; 0 without one.",
            registry=registry,
        )
        self._wanted = Gauge(
            "hopstream_registry_epoch",
            "Epoch of the registry as this role read it last; higher than the model's: not adopted yet.",
            registry=registry,
        )
        self._adopted = Gauge(
            "hopstream_model_adopted_timestamp_seconds",
            "When the version in use was adopted, Unix time; 0 without one.",
            registry=registry,
        )

    def wanted(self, epoch: int) -> None:
        """The registry was read."""
        self._wanted.set(epoch)

    def again(self, epoch: int) -> None:
        """The version in use serves in this epoch too, as after a rollback to it."""
        self._epoch.set(epoch)

    def adopted(self, version: str, epoch: int, now_s: float) -> None:
        """From now on (Unix seconds) this version is in use."""
        self._info.set({(version,): 1.0})
        self._epoch.set(epoch)
        self._adopted.set(now_s)
