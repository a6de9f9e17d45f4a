"""Item co-occurrence as a recommender: the fast memory asked about a user's newest items.

Knows: the newest items of each active user, which events a version's own memory learns from.
Does not know: pairs and their weights (model/memory.py), models.
"""

from __future__ import annotations

import numpy as np

from model.columns import EventColumns
from model.memory import Arrays, Memory, MemoryConfig, latest
from model.recommender import ActiveUsers, FloatArray, Scoring

#: Users whose newest items are kept; a user comes back as a new one after so many others.
MAX_USERS = 1_000_000
#: Newest events of a training that its version's memory learns, some 0.13 ms each; older ones are histories.
SEED_EVENTS = 100_000
#: Of a version's memory: what a scorer keeps by default, 2 KB each at most.
SEED_ITEMS = 100_000


class CoOccurrence(Scoring):
    """Items that were taken close to what this user took last."""

    def __init__(self, config: MemoryConfig | None = None, max_users: int = MAX_USERS) -> None:
        super().__init__()
        self.memory = Memory(config)
        self.items = self.memory.items
        self._latest: ActiveUsers[list[str]] = ActiveUsers(max_users)

    def observe(self, user: str, item: str, ts_ms: int) -> None:
        history = self.history(user)
        self.memory.learn(history, item, ts_ms)
        kept = latest([*history, item], self.memory.config.window)
        self._latest.put(user, kept[::-1])

    def scores(self, user: str) -> FloatArray:
        return self.memory.scores(self.history(user))

    def history(self, user: str) -> list[str]:
        """The newest distinct items of a user that count, oldest first."""
        return self._latest.get(user) or []


def memory_of(columns: EventColumns, max_events: int = SEED_EVENTS) -> Memory:
    """What the newest ``max_events`` of these events leave in a memory, each learned after its user's earlier
    items; a scorer that has learned nothing starts from it."""
    memory = Memory(MemoryConfig(max_items=SEED_ITEMS))
    taken: dict[int, list[str]] = {}
    first = len(columns) - max_events
    rows = zip(columns.user.tolist(), columns.item.tolist(), columns.time_ms.tolist(), strict=True)
    for place, (user, code, time_ms) in enumerate(rows):
        item, history = columns.items[code], taken.get(user, [])
        if place >= first:
            memory.learn(history, item, time_ms)
        taken[user] = latest([*history, item], memory.config.window)[::-1]
    return memory


def seed_arrays(columns: EventColumns) -> Arrays:
    """memory_of these events as a version brings it, and ``through_ms``, the time of the newest of them."""
    newest = columns.time_ms[-1:].astype(np.int64)
    return memory_of(columns).to_arrays() | {"through_ms": newest}
