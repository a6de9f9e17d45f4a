"""Where a demo's roles, and the replay in its own process, show their metrics: the configured ports, or free
ones where somebody has those.

Knows: the settings of ports, what a replay tells of itself. Does not know: what roles show.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ops.ports import free_port, is_free
from ops.replay import Progress
from stream.metrics.exposition import serve
from stream.metrics.replay import ReplayMetrics
from stream.settings import ENV_PREFIX, Settings

ROLES = ("worker", "scorer", "evaluator", "trainer")


def take_ports(settings: Settings) -> str:
    """Choose each role's port and tell the roles by their environment; returns the addresses, for people."""
    host = settings.metrics.host
    told = []
    for role in ROLES:
        port: int = getattr(settings.metrics, f"{role}_port")
        if port and not is_free(host, port):
            port = free_port(host)
            os.environ[f"{ENV_PREFIX}METRICS__{role.upper()}_PORT"] = str(port)
        if port:
            told.append(f"{role} http://{host}:{port}/metrics")
    return ", ".join(told) or "off"


@contextmanager
def replay_shown(settings: Settings, say: Callable[[str], None]) -> Iterator[Callable[[Progress], None]]:
    """Whatever the replay tells of its progress stands at `metrics.replay_port` until the end."""
    metrics = ReplayMetrics()

    def show(at: Progress) -> None:
        metrics.progress(at.acknowledged, at.total, at.seconds, at.event_ms / 1000, at.waiting)

    served = serve(metrics.registry, settings.metrics.host, settings.metrics.replay_port)
    if served is not None:
        say(f"[metrics] replay http://{settings.metrics.host}:{served.port}/metrics")
    try:
        yield show
    finally:
        if served is not None:
            served.close()
