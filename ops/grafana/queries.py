"""Queries that panels share, with their legends.

Knows: PromQL, Grafana's rate interval. Does not know: which metrics there are.
"""

from __future__ import annotations

from typing import Final

RATE: Final = "[$__rate_interval]"


def rate(metric: str, by: str = "") -> str:
    """Sum over instances of a counter's growth per second."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{RATE}))"


def quantile(metric: str, share: float, by: str = "") -> str:
    """A quantile of a histogram, seconds where it is of seconds."""
    return f"histogram_quantile({share}, {rate(metric + '_bucket', 'le' + (f', {by}' if by else ''))})"


def quantiles(metric: str) -> tuple[tuple[str, str], ...]:
    """p50, p95 and p99 with their legends."""
    return tuple((quantile(metric, share), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99))


def heat(metric: str) -> tuple[tuple[str, str], ...]:
    """Buckets for a heat map."""
    return ((f"sum by (le) (increase({metric}_bucket{RATE}))", "{{le}}"),)


def newest(metric: str) -> tuple[tuple[str, str], ...]:
    """A figure of every line over the newest judged events."""
    return ((f'{metric}{{window="newest"}}', "{{line}}"),)
