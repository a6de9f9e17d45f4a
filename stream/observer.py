"""Reads a run from its topics and nothing else: what an outsider with a Kafka client can say of it.

Knows: kafka-python, which topic is which. Does not know: the roles, or what the numbers mean (account.py).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from stream import admin
from stream.account import Account
from stream.agents import BACKFILL
from stream.clients import consumer
from stream.errors import StreamError
from stream.following import Following
from stream.history import Rules
from stream.settings import Settings
from stream.topics import TopicNames

#: Topic → partition → first offset that belongs to the run.
Start = Mapping[str, Mapping[int, int]]


class NothingToObserve(StreamError):
    """The topics of this prefix do not exist yet; start a worker, or `hopstream replay`, once."""


def start_now(bootstrap: str, names: TopicNames) -> dict[str, dict[int, int]]:
    """Where a run that starts now begins. Raises BrokerUnreachable."""
    return {topic: admin.end_offsets(bootstrap, topic) for topic in _watched(names)}


class Observer:
    """Call `poll` as often as you like, then `summary`; `close` at the end."""

    def __init__(self, bootstrap: str, settings: Settings, start: Start | None = None) -> None:
        """``start``: offsets from `start_now`; None: from the oldest records. What lies before is not known:
        events before it make no prior state. Raises BrokerUnreachable, NothingToObserve."""
        self._names = TopicNames(settings.kafka.prefix)
        watched = _watched(self._names)
        ids = admin.topic_ids(bootstrap, watched)
        if set(ids) != set(watched):
            raise NothingToObserve(f"(missing: {', '.join(sorted(set(watched) - set(ids)))})")
        rules = Rules.of(settings)
        self.account = Account(Following(rules), ids[self._names.events])
        self._reader = consumer(bootstrap, max_poll_records=2000, gather=True)
        self._places = [
            TopicPartition(topic, partition)
            for topic in watched
            for partition in sorted(self._reader.partitions_for_topic(topic) or ())
        ]
        self._reader.assign(self._places)
        self._reader.seek_to_beginning(*self._places)
        for place in self._places:
            offset = (start or {}).get(place.topic, {}).get(place.partition)
            if offset is not None:
                self._reader.seek(place, offset)

    def poll(self, timeout_ms: int = 0) -> int:
        """Read what is ready; returns how many records there were."""
        found = [
            (record.timestamp, place.topic, record)
            for place, records in self._reader.poll(timeout_ms=timeout_ms).items()
            for record in records
        ]
        # Topics are read side by side, and one may come far ahead of another: by time they meet again.
        for _, topic, record in sorted(found, key=lambda entry: entry[0]):
            self._take(topic, record)
        return len(found)

    def catch_up(self, timeout_s: float = 60.0) -> bool:
        """Read to the ends as they stand now; False if that took too long."""
        ends = self._reader.end_offsets(self._places)
        ends_s = time.monotonic() + timeout_s
        while any(self._reader.position(place) < ends[place] for place in self._places):
            if time.monotonic() > ends_s:
                return False
            self.poll(timeout_ms=100)
        return True

    def begin(self) -> None:
        """What is measured begins with the next records; what was read so far stays known."""
        self.account.begin()

    def close(self) -> None:
        self._reader.close()

    def _take(self, topic: str, record: ConsumerRecord) -> None:
        account, names = self.account, self._names
        if topic == names.events:
            backfill = any(name == BACKFILL for name, _ in record.headers or ())
            account.event(record.key, record.value, record.offset, record.timestamp, backfill=backfill)
        elif topic == names.recommendations:
            account.recommendation(record.value, record.timestamp)
        else:
            account.dead_letter()

    def summary(self) -> dict[str, Any]:
        """The run so far, in the names of `hopstream demo --json`."""
        account, counts = self.account, self.account.counts
        return {
            "events": counts.events,
            "applied": counts.applied,
            "duplicates": counts.duplicates,
            "late": counts.late,
            "too_late": counts.too_late,
            "refused": counts.refused,
            "backfilled": counts.backfilled,
            "dead_letters": counts.dead_letters,
            "users": account.num_users,
            "lists": counts.lists,
            "degraded_lists": counts.degraded,
            "regressed_lists": counts.regressed,
            "unreadable_lists": counts.unreadable,
            "incomplete_users": account.incomplete_users,
            "event_to_list_ms": account.event_to_list_ms(),
            "largest_skew_events": account.skew.largest(),
            "models": dict(sorted(account.models.items())),
        }


def _watched(names: TopicNames) -> tuple[str, ...]:
    return (names.events, names.recommendations, names.dead_letters)
