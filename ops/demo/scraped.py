"""Where the roles of a demo show their metrics: the configured ports, or free ones where somebody has those.

Knows: the settings of ports. Does not know: what is shown there.
"""

from __future__ import annotations

import os

from ops.ports import free_port, is_free
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
