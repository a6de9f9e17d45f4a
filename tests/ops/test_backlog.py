"""When a replay waits for the scorer."""

from __future__ import annotations

from ops.backlog import lag, max_lag_records
from stream.topics import TOPICS


def test_the_limit_is_a_fifth_of_what_the_topic_keeps() -> None:
    """So many requests of the assumed size fill a fifth of the topic's bytes."""
    kept = next(int(topic.config["retention.bytes"]) for topic in TOPICS if topic.name == "requests")

    assert max_lag_records() == kept // 5 // 16_384 > 1000


def test_the_worst_partition_counts() -> None:
    """Lag is per partition, because retention is; a partition nobody committed yet has none."""
    assert lag({0: 100, 1: 50, 2: 7}, {0: 90, 1: 10}) == 40
    assert lag({0: 100}, {}) == 0
