"""What evaluator, trainer and replay tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from tests.stream.metrics import roles


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"hopstream_{name}", labels)


def test_every_line_is_told_with_its_band(tmp_path: Path) -> None:
    """Over the newest events and over all; a band that is not known yet has no sample."""
    metrics = roles.evaluator(tmp_path)
    report = roles.report(("model", "popular"))
    report["window"]["popular"]["low"] = None
    metrics.reported(report)
    found = metrics.registry

    assert value(found, "prequential_recall_ratio", line="model", window="newest") == 0.2
    assert value(found, "prequential_recall_low_ratio", line="model", window="all") == 0.18
    assert value(found, "prequential_recall_low_ratio", line="popular", window="newest") is None
    assert value(found, "prequential_recall_ratio", line="served", window="newest") is None
    assert value(found, "judged_events_total", list="in_time") == 3980
    assert value(found, "judged_events_total", list="none") == 7
    assert value(found, "judged_after_training_events_total") == 3


def test_events_are_followed_into_weights(tmp_path: Path) -> None:
    """Two events, 100 s and 50 s old when the version came out."""
    found = roles.trainer(tmp_path).registry

    assert value(found, "event_to_weights_seconds_count") == 2
    assert value(found, "event_to_weights_seconds_sum") == 150
    assert value(found, "model_trained_through_timestamp_seconds") == 1_700_000_050
    assert value(found, "gate_decisions_total", decision="reject") == 1
    assert value(found, "rollbacks_total") == 1
    assert value(found, "finetune_runs_total", outcome="done") == 5
    assert value(found, "trainer_waiting_events") == 17


def test_a_replays_clock_is_told_with_its_speed() -> None:
    """An hour of the events' own time in two seconds."""
    found = roles.replay().registry

    assert value(found, "replay_events_total") == 200
    assert value(found, "replay_speed_ratio") == pytest.approx(1800)
    assert value(found, "replay_waiting") == 1
