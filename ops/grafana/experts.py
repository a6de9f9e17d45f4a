"""A board: how evenly experts and themes are used, which versions serve and what the gate said.

Knows: which metrics stand there and how. Does not know: Grafana's JSON (panels.py).
"""

from __future__ import annotations

from ops.grafana.panels import Board, Panel
from ops.grafana.queries import quantiles, rate

EXPERTS = Board(
    "hopstream-experts",
    "Hopstream: Experts and themes",
    (
        Panel(
            "Load of experts",
            "Share of the newest tokens; even is best.",
            "percentunit",
            (("hopstream_expert_load_ratio", "layer {{layer}}, expert {{expert}}"),),
        ),
        Panel(
            "Evenness",
            "Entropy of the load over its largest value: 1 even, 0 one has all.",
            "percentunit",
            (("hopstream_router_entropy_ratio", "layer {{layer}}"),),
        ),
        Panel(
            "Dead experts",
            "Get no tokens.",
            "short",
            (("hopstream_dead_experts", "layer {{layer}}"),),
            "stat",
        ),
        Panel(
            "Shares of themes",
            "Of sessions closed in a quarter of an hour.",
            "percentunit",
            (("hopstream:theme_share:ratio15m", "theme {{theme}}"),),
        ),
        Panel(
            "Size of themes",
            "Items of the version that serves, by theme.",
            "short",
            (("hopstream_theme_items", "{{theme}} {{label}}"),),
        ),
        Panel(
            "Drift of themes",
            "How far each centre turned since the version before: 0 stayed, 1 a right angle.",
            "short",
            (("hopstream_theme_drift_ratio", "{{theme}} {{label}}"),),
        ),
        Panel(
            "Sessions by theme",
            "Closed per second.",
            "short",
            ((rate("hopstream_theme_assignments_total", "theme"), "theme {{theme}}"),),
        ),
        Panel(
            "Entropy of themes",
            "Nats; the logarithm of their number when even.",
            "short",
            (("hopstream:theme_entropy:nats", "entropy"),),
        ),
        Panel(
            "Sessions",
            "Closed per second, by why; and those of another theme than the one before.",
            "short",
            (
                (rate("hopstream_sessions_closed_total", "reason"), "{{reason}}"),
                (rate("hopstream_theme_switches_total"), "theme switched"),
            ),
        ),
        Panel(
            "Events of a session", "How long sessions are.", "short", quantiles("hopstream_session_events")
        ),
        Panel(
            "Versions",
            "Epoch in use by role; higher in the registry: not adopted yet.",
            "short",
            (
                ("hopstream_model_epoch", "{{job}}"),
                ("hopstream_registry_epoch", "{{job}}: registry"),
                ("hopstream_versions_refused_total", "refused"),
                ("hopstream_contenders_refused_total", "not judged"),
            ),
        ),
        Panel(
            "In use", "Version by role.", "short", (("hopstream_model_info", "{{job}}: {{version}}"),), "stat"
        ),
        Panel(
            "Adopted, and trained through",
            "Age of the version in use, and of the newest event that weights know.",
            "s",
            (
                ("time() - (hopstream_model_adopted_timestamp_seconds > 0)", "{{job}}"),
                ("time() - (hopstream_model_trained_through_timestamp_seconds > 0)", "trained through"),
            ),
        ),
        Panel(
            "The gate",
            "Decisions so far, and versions taken back.",
            "short",
            (
                ("hopstream_gate_decisions_total", "{{decision}}"),
                ("hopstream_rollbacks_total", "rolled back"),
                ("hopstream_finetune_runs_total", "cycles {{outcome}}"),
            ),
        ),
        Panel("A cycle", "Time of one.", "s", quantiles("hopstream_finetune_seconds")),
        Panel(
            "Learning",
            "Events learned and waiting.",
            "short",
            (
                ("hopstream_trained_events_total", "learned"),
                ("hopstream_trainer_waiting_events", "waiting"),
            ),
        ),
    ),
)
