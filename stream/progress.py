"""How far one partition of the events topic is judged: which events wait, and which never will have a list.

Knows: offsets, and how far ahead the scorer's judgements are. Does not know: users' states, lists, Kafka.

An event whose own judgement never comes (its request was lost or refused) must not stop everything after it.
The scorer answers in the order of events but for the order inside a turn, so it is past an event once
judgements of newer events have gone on for more records than a turn can hold, or for long enough. Both are
read off records, never off a clock: the same topics always give the same answer.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

#: Judgements after which a turn of the scorer is certainly over: four full batches of the default 256, twice.
TURN_RECORDS: Final = 2048
#: The same by the records' own times, for a quiet partition.
TURN_MS: Final = 60_000


@dataclass(slots=True)
class Progress:
    """One partition; `position` is the offset of the next event to read."""

    position: int = 0
    waiting: OrderedDict[int, str] = field(default_factory=OrderedDict)  # offset → user, in offset order
    newest: int = -1  # newest state among the judgements read
    begins_after: int = -1  # events up to here judge nothing: their lists are no longer on the topic
    _mark: int = -1  # `newest` when this stretch of judgements began
    _mark_ms: int = -1
    _since: int = 0  # judgements read since then

    @property
    def judged_through(self) -> int:
        """Every event before this offset was judged or declared unjudged."""
        return next(iter(self.waiting), self.position)

    def judgement(self, state_offset: int, written_ms: int) -> list[tuple[int, str]]:
        """A judgement of this partition was read: (offset, user) of the waiting events that it proves passed.

        Events older than the newest state at the beginning of a stretch are passed at the stretch's end.
        """
        self.newest = max(self.newest, state_offset)
        self._since += 1
        if self._mark_ms >= 0 and self._since < TURN_RECORDS and written_ms - self._mark_ms < TURN_MS:
            return []
        passed = []
        for offset, user in self.waiting.items():
            if offset >= self._mark:
                break
            passed.append((offset, user))
        self._mark, self._mark_ms, self._since = self.newest, written_ms, 0
        return passed

    def state(self) -> list[Any]:
        """For a snapshot."""
        marks = [self.newest, self.begins_after, self._mark, self._mark_ms, self._since]
        return [self.position, list(self.waiting.items()), *marks]

    @classmethod
    def restored(cls, state: list[Any]) -> Progress:
        """Go on from `state`."""
        position, waiting, *rest = state
        return cls(position, OrderedDict((offset, user) for offset, user in waiting), *rest)
