"""What this scorer has seen, each event once and in order: popularity and the fast memory.

Knows: when a request stands for a new positive event. Does not know: Kafka, lists, how counters count.

Requests come again after a crash, and duplicates of an event ask for lists too; neither may count twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from model.memory import Memory
from model.names import pack_names, pack_record, unpack_names, unpack_record
from stream.records import Header

#: Users whose number of applied events is remembered, to tell a duplicate from a new event.
MAX_USERS = 100_000
#: Causes of a request that are no interaction at all (stream/agents.py).
_NOT_EVENTS = frozenset({"rescore", "forget"})

Arrays = dict[str, npt.NDArray[Any]]


class Counts(Protocol):
    """What is learned into; model.popularity.Popularity is one."""

    def observe(self, item: str, ts_ms: int) -> None: ...
    def top(self, n: int, exclude: Collection[str] = ()) -> list[str]: ...


class Learner:
    """Feeds counts and memory with the newest event of every request that brings one."""

    def __init__(
        self,
        counts: Counts,
        no_positive: Collection[str],
        memory: Memory | None = None,
        max_users: int = MAX_USERS,
    ) -> None:
        """``no_positive``: event types that are negative or neutral; ``memory`` None: an empty one."""
        self.counts = counts
        self.memory = Memory() if memory is None else memory
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
        self.memory.learn(header.prev[::-1], header.item, header.ts)
        self.num_learned += 1
        return True

    def start_from(self, counts: Counts, memory: Memory | None) -> bool:
        """Nothing was learned yet: go on from what a version was trained on; whether it is so."""
        if self.num_learned:
            return False
        self.counts = counts
        self.memory = Memory(self.memory.config) if memory is None else memory
        return True

    def to_arrays(self) -> Arrays:
        """Which events were learned, for a snapshot; counts and memory have arrays of their own."""
        return {
            "learned": pack_record([[partition, *place] for partition, place in self._learned.items()]),
            "num_learned": np.array([self.num_learned], np.int64),
            **pack_names("users", list(self._applied)),
            "applied": np.array(list(self._applied.values()), np.int64),
        }

    def restore(self, arrays: Arrays) -> None:
        """Raises KeyError, ValueError when the arrays are not of a learner."""
        learned = {
            int(partition): (str(id), int(at)) for partition, id, at in unpack_record(arrays["learned"])
        }
        applied = zip(unpack_names("users", arrays), arrays["applied"].tolist(), strict=True)
        self._learned, self._applied = learned, OrderedDict(applied)
        self.num_learned = int(arrays["num_learned"][0])
