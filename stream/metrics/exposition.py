"""How a role's numbers are kept and shown to Prometheus: registries, buckets, one HTTP port per process.

Knows: prometheus-client. Does not know: what any role counts. Importing it makes nothing: whoever wants
metrics makes a registry, and whoever makes none pays nothing.
"""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Final, Literal
from wsgiref.simple_server import WSGIServer

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

log = logging.getLogger("hopstream.metrics")

#: Seconds of anything on a click's way; native histograms cannot be made from Python.
SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
#: Seconds of training and of the way from an event into weights: 1 s to 6 h.
LONG_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0)


def new_registry(data_dir: Path | None = None) -> CollectorRegistry:
    """An empty registry with the process's own memory, CPU time and files, and, given a directory, the free
    bytes of its file system."""
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    if data_dir is not None:
        free = "Bytes free in the file system of the role's data directory."
        size = "Bytes of the file system of the role's data directory."
        Gauge("hopstream_disk_free_bytes", free, registry=registry).set_function(lambda: _disk(data_dir).free)
        Gauge("hopstream_disk_size_bytes", size, registry=registry).set_function(
            lambda: _disk(data_dir).total
        )
    return registry


def _disk(path: Path) -> Any:
    """Usage of the file system where ``path`` is or will be."""
    there = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
    return shutil.disk_usage(there)


Values = Mapping[tuple[str, ...], float]


class Current(Collector):
    """One metric whose samples are replaced all at once: label values → value.

    For what comes and goes as a whole: partitions of this process, lines of a report, the version that
    serves. A scrape sees the old samples or the new ones, never half of each.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        *,
        kind: Literal["gauge", "counter"] = "gauge",
        values: Callable[[], Values] | None = None,
    ) -> None:
        """``values``: asked at each scrape; without it, `set` says what stands."""
        self._name, self._text, self._labels, self._kind = name, text, tuple(labels), kind
        self._values: Values = {}
        self._ask = values
        registry.register(self)

    def set(self, values: Values) -> None:
        """From now on these samples and no others."""
        self._values = dict(values)

    def describe(self) -> Iterable[Metric]:
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for labels, value in (self._values if self._ask is None else self._ask()).items():
            family.add_metric(labels, value)
        return [family]

    def _family(self) -> CounterMetricFamily | GaugeMetricFamily:
        if self._kind == "counter":
            return CounterMetricFamily(self._name.removesuffix("_total"), self._text, labels=self._labels)
        return GaugeMetricFamily(self._name, self._text, labels=self._labels)


@dataclass(frozen=True, slots=True)
class Served:
    """A registry that answers at a port until it is closed."""

    port: int
    _server: WSGIServer
    _thread: Thread

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve(registry: CollectorRegistry, host: str, port: int) -> Served | None:
    """Answer GET /metrics from a thread of its own; None for port 0, which turns it off.

    A port that somebody has, as a second worker on one machine will find it, is no reason to end: a free one
    is taken instead, and the log names it.
    """
    if port == 0:
        return None
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        server, thread = start_http_server(0, addr=host, registry=registry)
        log.warning("port %d is taken: metrics at http://%s:%d/metrics", port, host, server.server_port)
    else:
        log.info("metrics at http://%s:%d/metrics", host, port)
    return Served(server.server_port, server, thread)
