"""The evaluator's report, as the demo shows it.

Knows: the report file, and when it says that everything is judged. Does not know: how events are judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stream import admin
from stream.run_evaluator import REPORT
from stream.settings import Settings
from stream.topics import TopicNames

EMPTY: Mapping[str, Any] = {"lines": {}, "judged": {"waiting": 0}, "positions": {}}
#: What `hopstream demo --json` tells of a line.
TOLD = ("recall@10", "low", "high", "ndcg@10", "mrr", "events", "users", "coverage@10", "novelty")


def newest_report(folder: Path) -> Mapping[str, Any]:
    """The newest report in the evaluator's folder, an empty one before the first."""
    try:
        found: dict[str, Any] = json.loads((folder / REPORT).read_text())
    except FileNotFoundError:
        return EMPTY
    return found


def events_and_judgements(settings: Settings) -> dict[str, dict[int, int]]:
    """Where the topics that are joined end now. Raises BrokerUnreachable."""
    names = TopicNames(settings.kafka.prefix)
    return {
        "events": admin.end_offsets(settings.kafka.bootstrap, names.events),
        "judgements": admin.end_offsets(settings.kafka.bootstrap, names.judgements),
    }


def all_judged(report: Mapping[str, Any], ends: Mapping[str, Mapping[int, int]]) -> bool:
    """Whether a report knows everything up to ``ends``, with intervals, and nothing waits."""
    positions = report["positions"]
    read = all(
        positions.get(topic, {}).get(str(number), 0) >= end
        for topic, of_topic in ends.items()
        for number, end in of_topic.items()
    )
    drawn = all(figures["users"] is not None for figures in report["lines"].values())
    return read and drawn and not report["judged"]["waiting"]


def told_quality(report: Mapping[str, Any]) -> dict[str, Any]:
    """The demo's `quality` and `judged`, and what became of new items."""
    return {
        "quality": {
            line: {key: figures.get(key) for key in TOLD} for line, figures in report["lines"].items()
        },
        "judged": report["judged"],
        "overlap": report.get("overlap"),
        "new_items": report.get("new_items"),
    }
