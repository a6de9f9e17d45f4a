"""In which order records of several topics are taken, and which partitions should not be read further.

Knows: topics' roles, offsets, timestamps. Does not know: Kafka's client, what records mean to the evaluator.

Events first. A judgement waits until the events that it knows were taken, so the join does not depend on how
fast each topic is read. Events wait while too many of them have no verdict, unless a judgement needs them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from stream.evaluator import Evaluator

#: Events without a verdict beyond which no more are taken: their judgements are the scorer's to write.
MAX_WAITING: Final = 20_000

EVENTS, JUDGEMENTS, LISTS = "events", "judgements", "recommendations"
ROLES: Final = (EVENTS, JUDGEMENTS, LISTS)

#: (one of ROLES, partition)
Place = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record as it was read."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    written_ms: int
    backfill: bool = False


#: Takes a record that cannot be read: its place, itself, what is wrong.
Refuse = Callable[[Place, Record, str], None]


class Intake:
    """Put in what was polled; `work` hands it on. What stays behind is `held`."""

    def __init__(self, evaluator: Evaluator, refuse: Refuse, max_waiting: int = MAX_WAITING) -> None:
        self._evaluator = evaluator
        self._refuse = refuse
        self._max_waiting = max_waiting
        self._queues: dict[Place, deque[Record]] = {
            (role, number): deque() for role in ROLES for number in evaluator.progress
        }
        self.positions: dict[Place, int] = {}  # offset of the next record to take; absent: the oldest

    def put(self, place: Place, records: Iterable[Record]) -> None:
        """Records of a place in order."""
        self._queues[place].extend(records)

    @property
    def held(self) -> set[Place]:
        """Places with records that wait: nothing more need be read there."""
        return {place for place, queue in self._queues.items() if queue}

    def work(self) -> int:
        """Take everything that may be taken; returns how many records that was."""
        total = 0
        while True:
            taken = sum(self._partition(number) for number in self._evaluator.progress)
            if not taken:
                return total
            total += taken

    def refuse_impossible(self, ends: Mapping[int, int]) -> int:
        """Refuse held judgements of events that do not exist; ``ends``: partition → end of the events topic,
        asked after those judgements were read. Without it one such record would hold its partition for ever.
        """
        num = 0
        for number, end in ends.items():
            judgements = self._queues[JUDGEMENTS, number]
            while judgements and self._evaluator.knows(judgements[0].value) >= end:
                record = self._next(JUDGEMENTS, number)
                self._evaluator.counts["bad_records"] += 1
                self._refuse((JUDGEMENTS, number), record, f"knows an event beyond the end of events, {end}")
                num += 1
        return num

    def _partition(self, number: int) -> int:
        judgements = self._queues[JUDGEMENTS, number]
        taken = self._events(number, self._next_known(number))
        progress = self._evaluator.progress[number]
        while judgements and self._next_known(number) < progress.position:
            record = self._next(JUDGEMENTS, number)
            wrong = self._evaluator.judgement(number, record.value, record.written_ms)
            if wrong is not None:
                self._refuse((JUDGEMENTS, number), record, wrong)
            taken += 1
        while self._queues[LISTS, number]:
            record = self._next(LISTS, number)
            wrong = self._evaluator.recommendation(record.value, record.written_ms)
            if wrong is not None:
                self._refuse((LISTS, number), record, wrong)
            taken += 1
        return taken

    def _events(self, number: int, wanted: int) -> int:
        """Events up to the bound of those that wait, or up to ``wanted``; returns how many."""
        events, taken = self._queues[EVENTS, number], 0
        progress = self._evaluator.progress[number]
        while events and (self._evaluator.waiting < self._max_waiting or progress.position <= wanted):
            record = self._next(EVENTS, number)
            self._evaluator.event(
                number,
                record.key,
                record.value,
                record.offset,
                record.written_ms,
                backfill=record.backfill,
            )
            taken += 1
        return taken

    def _next_known(self, number: int) -> int:
        """The newest event that the partition's next judgement knows, -1 without one; notices a gap before
        it, once."""
        judgements = self._queues[JUDGEMENTS, number]
        if not judgements:
            return -1
        place, record = (JUDGEMENTS, number), judgements[0]
        knows = self._evaluator.knows(record.value)
        gone = record.offset - self.positions.get(place, 0)
        if gone > 0:
            self.positions[place] = record.offset
            self._evaluator.missed(number, gone, knows)
        return knows

    def _next(self, role: str, number: int) -> Record:
        record = self._queues[role, number].popleft()
        self.positions[role, number] = record.offset + 1
        return record
