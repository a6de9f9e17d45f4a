"""A board: how requests are answered, by stage, and how the objective is met.

Knows: which metrics stand there and how. Does not know: Grafana's JSON (panels.py).
"""

from __future__ import annotations

from ops.grafana.panels import Board, Panel
from ops.grafana.queries import RATE, quantile, quantiles, rate

SCORER = Board(
    "hopstream-scorer",
    "Hopstream: Scorer and SLOs",
    (
        Panel(
            "Lists within 0.5 s of their event",
            "The objective: 95 %.",
            "percentunit",
            (
                (
                    f'sum(rate(hopstream_event_to_list_seconds_bucket{{le="0.5"}}{RATE})) '
                    f"/ sum(rate(hopstream_event_to_list_seconds_count{RATE}))",
                    "share",
                ),
            ),
        ),
        Panel(
            "Requests and lists",
            "Per second.",
            "short",
            (
                (rate("hopstream_requests_total"), "requests"),
                (rate("hopstream_lists_total"), "lists"),
                (rate("hopstream_lists_held_back_total"), "held back"),
                ("sum(hopstream_requests_lost_total)", "requests lost so far"),
            ),
        ),
        Panel(
            "Degraded lists",
            "Per second, by what made them; and the server's labelled answers.",
            "short",
            (
                (rate("hopstream_lists_degraded_total", "fallback"), "{{fallback}}"),
                (rate("hopstream_degraded_answers_total", "label"), "answer: {{label}}"),
            ),
        ),
        Panel(
            "Stages, p95",
            "Of a batch; confirm: of a turn.",
            "s",
            ((quantile("hopstream_scorer_stage_seconds", 0.95, "stage"), "{{stage}}"),),
        ),
        Panel("Queue", "Before a batch begins.", "s", quantiles("hopstream_scorer_queue_seconds")),
        Panel("Requests of a batch", "Encoded together.", "short", quantiles("hopstream_scorer_batch_size")),
        Panel(
            "From the cache",
            "Positions that were not computed again.",
            "percentunit",
            (("hopstream:cache_hits:ratio5m", "share"),),
        ),
        Panel(
            "Positions",
            "Per second, by source.",
            "short",
            ((rate("hopstream_scorer_positions_total", "source"), "{{source}}"),),
        ),
        Panel(
            "Memory and users to score again",
            "Items of the fast memory; users who wait for a new version's list.",
            "short",
            (("hopstream_memory_items", "items"), ("hopstream_rescore_waiting_users", "users")),
        ),
        Panel(
            "Answers over HTTP",
            "Per second, by route and status.",
            "short",
            ((rate("hopstream_http_requests_total", "route, status"), "{{route}} {{status}}"),),
        ),
        Panel(
            "Time of an answer, p99",
            "By route.",
            "s",
            ((quantile("hopstream_http_request_seconds", 0.99, "route"), "{{route}}"),),
        ),
        Panel(
            "Taken and left out",
            "Events over HTTP and hits of rules, per second.",
            "short",
            (
                (rate("hopstream_http_events_total", "outcome"), "events {{outcome}}"),
                (rate("hopstream_rule_hits_total", "rule"), "rule {{rule}}"),
            ),
        ),
    ),
)
