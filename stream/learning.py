"""Popularity of what this scorer has seen: each positive event counted once, in order.

Knows: when a request stands for a new positive event. Does not know: Kafka, lists, how popularity is counted.

Requests come again after a crash, and duplicates of an event ask for lists too; neither may count twice.
Counts are not kept across a restart in this version: they start from the version that serves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Protocol

from stream.records import Header

#: Users whose number of applied events is remembered, to tell a duplicate from a new event.
MAX_USERS = 100_000
#: Causes of a request that are no interaction at all (stream/agents.py).
_NOT_EVENTS = frozenset({"rescore", "forget"})


class Counts(Protocol):
    """What is learned into; model.popularity.Popularity is one."""

    def observe(self, item: str, ts_ms: int) -> None: ...
    def top(self, n: int, exclude: Collection[str] = ()) -> list[str]: ...


class Learner:
    """Feeds counts with the newest event of every request that brings one."""

    def __init__(self, counts: Counts, no_positive: Collection[str], max_users: int = MAX_USERS) -> None:
        """``no_positive``: event types that are negative or neutral."""
        self.counts = counts
        self.num_learned = 0
        self._no_positive = frozenset(no_positive) | _NOT_EVENTS
        self._max_users = max_users
        self._learned: dict[int, tuple[str, int]] = {}  # partition -> (topic id, offset of the newest event)
        self._applied: OrderedDict[str, int] = OrderedDict()  # user -> events applied so far

    def learn(self, header: Header) -> bool:
        """Count the request's event if it is a positive one that was not counted before; whether it was."""
        known = self._learned.get(header.partition)
        if known is not None and known[0] == header.topic_id and header.offset <= known[1]:
            return False
        self._learned[header.partition] = (header.topic_id, header.offset)
        grown = header.events != self._applied.get(header.user)
        self._applied[header.user] = header.events
        self._applied.move_to_end(header.user)
        if len(self._applied) > self._max_users:
            self._applied.popitem(last=False)
        if not grown or header.item is None or header.type in self._no_positive:
            return False
        self.counts.observe(header.item, header.ts)
        self.num_learned += 1
        return True
