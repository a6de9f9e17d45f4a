"""What Grafana's boards would show of a demo: each panel's queries over its run, by a real Prometheus."""

from __future__ import annotations

import re

import pytest

from tests.kafka.exhibit import Exhibit
from tests.ops.prometheus_beside import MISSING

pytestmark = pytest.mark.timeout(600)

GATE = "the gate of a demo with 60 users waits for 100 of them, so nothing is published after version 1"
USERS = "intervals need 100 users"
#: Metrics that a short, healthy demo names and has no sample of, or no sample that moves, and why.
EMPTY = {
    "hopstream_event_to_weights_seconds_bucket": GATE,
    "hopstream_model_trained_through_timestamp_seconds": GATE,
    "hopstream_theme_drift_ratio": GATE,
    "hopstream_prequential_recall_low_ratio": USERS,
    "hopstream_prequential_recall_high_ratio": USERS,
}


def drawn(demo: Exhibit) -> dict[str, bool]:
    """Query → whether it showed a number."""
    if demo.drawn is None:
        pytest.skip(MISSING)
    return demo.drawn


def test_every_panel_shows_numbers_of_a_running_demo(demo: Exhibit) -> None:
    """All but those that ask for a metric named above, and those are empty indeed."""
    empty = {expr for expr, shown in drawn(demo).items() if not shown}
    asked = {name for expr in empty for name in re.findall(r"hopstream[_:]\w+", expr)}

    assert asked == set(EMPTY), demo.said


def test_what_is_empty_is_named_by_some_role(demo: Exhibit) -> None:
    """A metric without a sample is told with its type."""
    assert drawn(demo)
    families = {name.removesuffix("_bucket") for name in EMPTY}

    assert families - demo.told == set()
