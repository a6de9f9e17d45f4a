"""What records of the events topic teach: positive events in order, with the histories before them.

Knows: what became of each event (following.py), who was loaded as a history, the fast memory so far.
Does not know: Kafka, networks, when a cycle is due, whether anybody learns.

Histories that a replay loads carry a mark, all but each user's last event; they, and events that the version
was trained through, are known: they are remembered, not learned again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.columns import EventColumns
from model.memory import Memory, MemoryConfig
from model.names import Arrays
from stream.following import Became, Following
from stream.history import Rules
from stream.intake import Record

#: Items and their times in Unix ms, oldest first.
History = tuple[list[str], list[int]]


class Click(NamedTuple):
    """One positive event that changed its user's state."""

    partition: int
    offset: int
    user: str
    item: str
    ts_ms: int
    written_ms: int


@dataclass(frozen=True, slots=True)
class Slice:
    """What a range of records teaches."""

    clicks: list[Click] = field(default_factory=list)  # to be learned, in order
    known: list[Click] = field(default_factory=list)  # learned by the version already
    # of those the ones that came after a click: how many clicks before, the user's items before, the event
    amid: list[tuple[int, list[str], Click]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)  # users who were erased
    past: dict[str, History] = field(default_factory=dict)  # of the users in clicks, before the first of them
    num_records: int = 0

    def columns(self) -> tuple[EventColumns, int]:
        """The histories by time and then the clicks in order; and the place of the first click."""
        # by time, but never another order than a user's own, in which late events stand where they arrived
        before = sorted(
            (newest_ms, user, place, items[place], times_ms[place])
            for user, (items, times_ms) in self.past.items()
            for place, newest_ms in enumerate(accumulate(times_ms, max))
        )
        told = [(user, item, ts_ms) for _, user, _, item, ts_ms in before]
        told += [(click.user, click.item, click.ts_ms) for click in self.clicks]
        return columns_of(told), len(before)


def columns_of(told: Sequence[tuple[str, str, int]]) -> EventColumns:
    """(user, item, Unix ms) in order → columns, codes in the order of first appearance."""
    users = {user: code for code, user in enumerate(dict.fromkeys(user for user, _, _ in told))}
    items = {item: code for code, item in enumerate(dict.fromkeys(item for _, item, _ in told))}
    return EventColumns(
        users=list(users),
        items=list(items),
        user=np.array([users[user] for user, _, _ in told], np.int32),
        item=np.array([items[item] for _, item, _ in told], np.int32),
        time_ms=np.array([ts_ms for _, _, ts_ms in told], np.int64),
    )


def ranges(clicks: Sequence[Click]) -> dict[int, tuple[int, int]]:
    """Partition → offsets of its first and last click."""
    found: dict[int, tuple[int, int]] = {}
    for click in clicks:
        first, last = found.get(click.partition, (click.offset, click.offset))
        found[click.partition] = (min(first, click.offset), max(last, click.offset))
    return found


class Lessons:
    """Hand it records in order with ``take``; ``learn`` what was taken before the next."""

    def __init__(self, rules: Rules, topic_id: str, memory: MemoryConfig) -> None:
        self.memory = Memory(memory)  # of everything before the newest slice
        self.topic_id = topic_id
        self._following = Following(rules)
        self._loading: set[str] = set()  # users whose newest record was a loaded one

    def take(self, records: Sequence[Record], trained_through: Mapping[int, int]) -> Slice:
        """Follow these records; ``trained_through``: partition → newest offset that the version knows."""
        found = Slice(num_records=len(records))
        for record in records:
            told = self._following.tell(
                record.key, record.value, record.offset, self.topic_id, record.written_ms
            )
            if told.became is Became.FORGOT:
                _forget(found, told.user)
                self._loading.discard(told.user)
                continue
            loaded = record.backfill or told.user in self._loading
            (self._loading.add if record.backfill else self._loading.discard)(told.user)
            if not told.positive:
                continue
            items, times_ms = self._following.history(told.user)
            click = Click(
                record.partition, record.offset, told.user, told.item, times_ms[-1], record.written_ms
            )
            if loaded or record.offset <= trained_through.get(record.partition, -1):
                found.known.append(click)
                if found.clicks:  # which must not be judged by what came after it
                    found.amid.append((len(found.clicks), items[:-1], click))
                else:
                    self.memory.learn(items[:-1], click.item, click.ts_ms)
                if click.user in found.past:  # somebody's history came after their first click
                    found.past[click.user][0].append(click.item)
                    found.past[click.user][1].append(click.ts_ms)
                continue
            if click.user not in found.past:
                found.past[click.user] = (items[:-1], times_ms[:-1])
            found.clicks.append(click)
        return found

    def learn(self, taken: Slice) -> None:
        """The memory learns the newest slice, in order."""
        histories = {user: list(items) for user, (items, _) in taken.past.items()}
        amid = deque(taken.amid)
        for number, click in enumerate(taken.clicks):
            self._learn_loaded(amid, number)
            history = histories.setdefault(click.user, [])
            self.memory.learn(history, click.item, click.ts_ms)
            history.append(click.item)
        self._learn_loaded(amid, len(taken.clicks))

    def _learn_loaded(self, amid: deque[tuple[int, list[str], Click]], number: int) -> None:
        while amid and amid[0][0] <= number:
            _, before, event = amid.popleft()
            self.memory.learn(before, event.item, event.ts_ms)

    def histories(self) -> list[tuple[str, History]]:
        """Of every followed user, the longest silent first."""
        return [(user, self._following.history(user)) for user in self._following.users()]

    def state(self) -> dict[str, Any]:
        """Everything, for a snapshot."""
        return {
            "following": self._following.state(),
            "loading": sorted(self._loading),
            "memory": told_arrays(self.memory.to_arrays()),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`. Raises StateDamaged, KeyError, ValueError."""
        memory = Memory.from_arrays(arrays_of(state["memory"]), self.memory.config)  # may be too large by now
        self._following.restore(state["following"])
        self._loading = set(state["loading"])
        self.memory = memory


def told_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Arrays as what a snapshot can hold."""
    return {name: [array.dtype.str, array.shape, array.tobytes()] for name, array in arrays.items()}


def arrays_of(told: Mapping[str, Any]) -> Arrays:
    """`told_arrays` back, not to be written to."""
    return {
        name: np.frombuffer(raw, np.dtype(dtype)).reshape(shape) for name, (dtype, shape, raw) in told.items()
    }


def _forget(found: Slice, user: str) -> None:
    found.forgotten.append(user)
    found.past.pop(user, None)
    stay = [0, *accumulate(click.user != user for click in found.clicks)]
    found.amid[:] = [(stay[number], items, one) for number, items, one in found.amid if one.user != user]
    found.clicks[:] = [click for click in found.clicks if click.user != user]
    found.known[:] = [click for click in found.known if click.user != user]
