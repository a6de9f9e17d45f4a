"""What this scorer has seen, each event once and in order: popularity and the fast memory.

Knows: when a request stands for a new positive event. Does not know: Kafka, lists, how counters count.

A learner goes on from the events of the first version that it meets; told by their times, they are not
learned again when they also arrive as requests. Requests come again after a crash, and duplicates of an event
ask for lists too; neither may count twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from model.memory import Memory
from model.names import pack_names, pack_record, unpack_names, unpack_record
from stream.records import Header

#: Users whose number of applied events is remembered, to tell a duplicate from a new event.
MAX_USERS = 100_000
#: Events before the first version that are learned again on top of what it brings; after more it is too late.
MAX_EARLY = 10_000
#: Causes of a request that are no interaction at all (stream/agents.py).
_NOT_EVENTS = frozenset({"rescore", "forget"})

Arrays = dict[str, npt.NDArray[Any]]


class Counts(Protocol):
    """What is learned into; model.popularity.Popularity is one."""

    def observe(self, item: str, ts_ms: int) -> None: ...
    def top(self, n: int, exclude: Collection[str] = ()) -> list[str]: ...


class Seed(NamedTuple):
    """What a version was trained on, to go on from."""

    counts: Counts
    memory: Memory
    through_ms: int | None  # time of its newest event; None: not known


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
        self._started = False  # from a version's events
        self._through_ms: int | None = None  # older events were learned there
        self._early: list[tuple[tuple[str, ...], str, int]] = []  # learned before: history, item, time
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
        return self._take(header.prev[::-1], header.item, header.ts)

    def _take(self, history: tuple[str, ...], item: str, ts_ms: int) -> bool:
        if self._through_ms is not None and ts_ms < self._through_ms:
            return False  # it is in what was started from, or so late that it might be
        self.counts.observe(item, ts_ms)
        self.memory.learn(history, item, ts_ms)
        self.num_learned += 1
        if not self._started and len(self._early) < MAX_EARLY:
            self._early.append((history, item, ts_ms))
        return True

    @property
    def may_start(self) -> bool:
        """Whether it can still go on from a version's events: it can repeat all that it has learned."""
        return not self._started and len(self._early) == self.num_learned

    def start_from(self, seed: Seed) -> None:
        """Go on from what a version was trained on, and learn again what was learned before it came."""
        early, self._early, self.num_learned = self._early, [], 0
        self.counts, self.memory, self._through_ms = seed
        self._started = True
        for history, item, ts_ms in early:
            self._take(history, item, ts_ms)

    def to_arrays(self) -> Arrays:
        """Which events were learned, for a snapshot; counts and memory have arrays of their own."""
        return {
            "learned": pack_record([[partition, *place] for partition, place in self._learned.items()]),
            "started": np.array([self._started]),
            "through_ms": np.array([] if self._through_ms is None else [self._through_ms], np.int64),
            "num_learned": np.array([self.num_learned], np.int64),
            "early": pack_record(self._early if self.may_start else []),
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
        self._started = bool(arrays["started"][0])
        self._through_ms = next(iter(arrays["through_ms"].tolist()), None)
        early = unpack_record(arrays["early"]) if "early" in arrays else []  # an older snapshot has none
        self._early = [(tuple(history), item, ts_ms) for history, item, ts_ms in early]
