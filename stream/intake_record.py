"""A record of Kafka's client as the intake takes it.

Knows: kafka-python's record, the header that marks a backfill. Does not know: who reads, what a record means.
"""

from __future__ import annotations

from typing import Any

from stream.agents import BACKFILL
from stream.intake import Record


def intake_record(polled: Any) -> Record:
    """``polled``: a ConsumerRecord of raw bytes."""
    return Record(
        partition=polled.partition,
        offset=polled.offset,
        key=polled.key,
        value=polled.value,
        written_ms=polled.timestamp,
        backfill=any(name == BACKFILL for name, _ in polled.headers or ()),
    )
