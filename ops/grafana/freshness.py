"""A board: how fast events become lists and weights, and what waits on the way.

Knows: which metrics stand there and how. Does not know: Grafana's JSON (panels.py).
"""

from __future__ import annotations

from ops.grafana.panels import Board, Panel
from ops.grafana.queries import heat, quantiles, rate

FRESHNESS = Board(
    "hopstream-freshness",
    "Hopstream: Freshness and pipeline",
    (
        Panel(
            "From event to list",
            "The promise: p95 below 0.5 s.",
            "s",
            quantiles("hopstream_event_to_list_seconds"),
        ),
        Panel(
            "From event to list, all of it",
            "Lists by time.",
            "s",
            heat("hopstream_event_to_list_seconds"),
            "heat",
        ),
        Panel(
            "From event to request",
            "The worker's part.",
            "s",
            quantiles("hopstream_event_to_request_seconds"),
        ),
        Panel(
            "From event to weights",
            "How old events are when weights know them.",
            "s",
            quantiles("hopstream_event_to_weights_seconds"),
        ),
        Panel(
            "Events",
            "Per second, by type.",
            "short",
            ((rate("hopstream_events_total", "type"), "{{type}}"),),
        ),
        Panel(
            "Events that change nothing",
            "Per second.",
            "short",
            (
                (rate("hopstream_events_duplicate_total"), "duplicate"),
                (rate("hopstream_events_late_total"), "late (applied)"),
                (rate("hopstream_events_too_late_total"), "too late"),
                (rate("hopstream_events_redelivered_total"), "redelivered"),
            ),
        ),
        Panel(
            "Lag",
            "Records that are not read yet, by role and topic.",
            "short",
            (
                ("sum by (job, topic) (hopstream_consumer_lag_records)", "{{job}}: {{topic}}"),
                ("sum(hopstream_events_in_flight)", "in flight"),
                ("hopstream_view_records_behind", "server's view"),
            ),
        ),
        Panel(
            "Dead letters",
            "Refused records per second, by reason.",
            "short",
            ((rate("hopstream_dead_letters_total", "job, reason"), "{{job}}: {{reason}}"),),
        ),
        Panel(
            "State and disk",
            "The store of user states, and what is left of the disk.",
            "bytes",
            (
                ("sum(hopstream_state_bytes)", "states"),
                ("hopstream_disk_free_bytes", "{{job}}: free"),
                ("hopstream_disk_size_bytes", "{{job}}: disk"),
            ),
        ),
        Panel(
            "Users in memory",
            "Decoded states of the worker; lists and states in the server's view.",
            "short",
            (
                ("hopstream_cached_users", "worker"),
                ("hopstream_view_lists", "server: lists"),
                ("hopstream_view_states", "server: states"),
            ),
        ),
        Panel(
            "Last recovery",
            "Until events were read.",
            "s",
            (("hopstream_state_recovery_seconds", "{{instance}}"),),
            "stat",
            6,
        ),
        Panel(
            "Without progress",
            "The watchdog's clock.",
            "s",
            (("hopstream_watchdog_stalled_seconds", "{{instance}}"),),
            "stat",
            6,
        ),
    ),
)
