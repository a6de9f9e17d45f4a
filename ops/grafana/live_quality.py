"""A board: what lists are worth, line by line, and the replay that they are judged on.

Knows: which metrics stand there and how. Does not know: Grafana's JSON (panels.py).
"""

from __future__ import annotations

from ops.grafana.panels import Board, Panel
from ops.grafana.queries import newest, rate

QUALITY = Board(
    "hopstream-quality",
    "Hopstream: Live quality",
    (
        Panel(
            "Recall@10, newest events",
            "Next-event prediction on a replay: users did not see these lists. The band is 90 % over users.",
            "percentunit",
            (
                ('hopstream_prequential_recall_ratio{window="newest"}', "{{line}}"),
                ('hopstream_prequential_recall_low_ratio{window="newest", line="served"}', "served, low"),
                ('hopstream_prequential_recall_high_ratio{window="newest", line="served"}', "served, high"),
            ),
            width=24,
        ),
        Panel(
            "nDCG@10",
            "Places count, not only hits.",
            "percentunit",
            newest("hopstream_prequential_ndcg_ratio"),
        ),
        Panel(
            "MRR@10", "Where the first hit stands.", "percentunit", newest("hopstream_prequential_mrr_ratio")
        ),
        Panel(
            "Coverage@10",
            "Items that somebody took and some list showed.",
            "percentunit",
            newest("hopstream_catalog_coverage_ratio"),
        ),
        Panel("Novelty", "Bits of surprise of a shown item.", "short", newest("hopstream_novelty")),
        Panel(
            "Judged by",
            "Shares of events with a list in time, a late one, none.",
            "percentunit",
            (("hopstream:judged_events:ratio5m", "{{list}}"),),
        ),
        Panel(
            "Judged events",
            "Waiting and missed ones beside those that the figures stand on; none may be known to its judge.",
            "short",
            (
                ('hopstream_prequential_events{line="served"}', "{{window}}"),
                ("hopstream_judge_waiting_events", "waiting"),
                ("hopstream_judgements_missed_total", "missed"),
                ("hopstream_judged_after_training_events_total", "trained through"),
                (rate("hopstream_judged_events_total"), "judged per s"),
                (rate("hopstream_judgements_total"), "judgements per s"),
            ),
        ),
        Panel(
            "Weight of the model in the sum",
            "What leads: 1 is the model alone, 0 the memory alone.",
            "percentunit",
            (("hopstream_leader_weight_ratio", "{{users}}"),),
        ),
        Panel(
            "Events that judged the weights",
            "Per second, by kind of user.",
            "short",
            ((rate("hopstream_leader_events_total", "users"), "{{users}}"),),
        ),
        Panel(
            "Replay",
            "Events sent and planned; 1 while it waits for the scorer.",
            "short",
            (
                ("hopstream_replay_events_total", "sent"),
                ("hopstream_replay_planned_events", "planned"),
                ("hopstream_replay_waiting", "waits"),
            ),
        ),
        Panel(
            "The events' own clock",
            "The moment of the data set that is replayed.",
            "dateTimeAsIso",
            (("1000 * hopstream_replay_clock_timestamp_seconds", "now"),),
            "stat",
            6,
        ),
        Panel(
            "Speed of that clock",
            "Times faster than real time.",
            "short",
            (("hopstream_replay_speed_ratio", "times"),),
            "stat",
            6,
        ),
    ),
)
