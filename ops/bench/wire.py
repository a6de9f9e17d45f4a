"""Kafka's clients as the scorer's loop knows them, made up: what is due comes, what is sent is held.

Knows: the calls of kafka-python that the loop makes. Does not know: what is asked or answered, brokers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kafka import TopicPartition

from stream.membership import Moves
from stream.topics import TopicNames

PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Due:
    """One request, and when it comes; the names are those of kafka-python's records."""

    due_s: float  # after the first poll
    partition: int
    offset: int
    key: bytes
    value: bytes
    knows: int  # offset of its newest event
    timestamp: int = 0  # Unix ms


class Sent:
    """A send that the broker holds at once."""

    def get(self, timeout: float) -> None:
        """Nothing to wait for."""


@dataclass(slots=True)
class Wire:
    """Consumer and producer of the role: hands over what is due, notes when each list went out."""

    names: TopicNames
    waiting: list[Due]  # by time, the last first
    began_s: float = 0.0
    lists: list[tuple[float, bytes]] = field(default_factory=list)  # (moment, value)
    dead_letters: int = 0
    stop: Callable[[], None] = lambda: None  # called once nothing waits
    _listener: Moves = field(default_factory=Moves)

    def subscribe(self, _topics: Sequence[str], listener: Moves) -> None:
        self._listener = listener

    def topics(self) -> set[str]:
        return {self.names.requests}

    def poll(self, timeout_ms: int, max_records: int) -> dict[int, list[Due]]:
        if not self.began_s:
            self._listener.on_partitions_assigned(self.assignment())
            self.began_s = time.monotonic()
            return {}
        now_s = time.monotonic() - self.began_s
        if self.waiting and timeout_ms:
            wait_s = min(timeout_ms / 1000, self.waiting[-1].due_s - now_s)
            time.sleep(max(0.0, wait_s))
            now_s = time.monotonic() - self.began_s
        found: dict[int, list[Due]] = {}
        num = 0
        while self.waiting and num < max_records and self.waiting[-1].due_s <= now_s:
            due = self.waiting.pop()
            sent_ms = round(time.time() * 1000 - (now_s - due.due_s) * 1000)
            found.setdefault(due.partition, []).append(replace(due, timestamp=sent_ms))
            num += 1
        if not self.waiting and not num:
            self.stop()
        return found

    def send(self, topic: str, **record: Any) -> Sent:
        if topic == self.names.recommendations:
            self.lists.append((time.monotonic() - self.began_s, record["value"]))
        self.dead_letters += topic == self.names.dead_letters
        return Sent()

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(self.names.requests, number) for number in range(PARTITIONS)}

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return set(range(PARTITIONS))

    def committed(self, _place: TopicPartition) -> int:
        return 0

    def highwater(self, _place: TopicPartition) -> None:
        return None

    def commit(self, offsets: object, timeout_ms: int) -> None:
        """Taken."""

    def close(self, timeout: float = 0, timeout_ms: int = 0) -> None:
        """Nothing is open."""
