"""When a training cycle is due, and which events it takes.

Knows: records by partition, how far they may be read, how many events or how much time make a cycle.
Does not know: Kafka, what a record means, training.

A cycle takes a range of offsets of every partition: the records in the order of their own timestamps, up to
the event that makes it due. The same records, as far as they may be read, always give the same ranges.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from stream.events import Interaction, decode_record
from stream.intake import Record
from stream.settings import duration_ms

#: Records that one cycle takes at most, histories that were loaded included.
MAX_RECORDS: Final = 20_000
#: A gate that waits for more events or users is asked again after this part of a cycle.
GROWTH: Final = 4

EVENT, WALL = "event", "wall"

#: Partition → offset: the first one of a range, or the one behind it.
Offsets = Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """How long a cycle is: so many events, or so much time by one of two clocks."""

    events: int | None = None
    ms: int | None = None
    clock: str = EVENT  # the events' own times; or WALL: when their records were written


def every_of(text: str, clock: str = EVENT) -> Every:
    """ "2000": events; "10m": time. Raises ValueError."""
    if text.strip().isdigit():
        events = int(text)
        if events < 1:
            raise ValueError("a cycle has at least one event")
        return Every(events=events)
    ms = int(duration_ms(text))
    if ms < 1:
        raise ValueError("a cycle takes some time")
    return Every(ms=ms, clock=clock)


def in_order(queues: Iterable[Sequence[Record]]) -> list[Record]:
    """Records of several partitions by their timestamps; those of one partition by offset, whatever their
    timestamps say."""
    found = heapq.merge(*(_keyed(queue) for queue in queues), key=lambda pair: pair[0])
    return [record for _, record in found]


def num_due(records: Sequence[Record], every: Every, now_ms: int, growing: bool = False) -> int:
    """How many of these, in order, the next cycle takes; 0: it is not due.

    Loaded histories do not count as events. ``growing``: a gate waits for more events or users. A time is
    believed once the next event's says the same: one clock that is wrong neither ends a cycle nor begins one
    that never ends.
    """
    events = 0
    span = _Span()
    wanted = None if every.events is None else max(1, every.events // (GROWTH if growing else 1))
    lasts = None if every.ms is None else max(1, every.ms // (GROWTH if growing else 1))
    for number, record in enumerate(records[:MAX_RECORDS], 1):
        if record.backfill:
            continue
        events += 1
        if wanted is not None and events >= wanted:
            return number
        at_ms = None if lasts is None else _time_ms(record, every.clock)
        if lasts is not None and at_ms is not None and span.over(number, at_ms, lasts):
            return span.before_later
    if len(records) >= MAX_RECORDS:
        return MAX_RECORDS
    if every.clock == WALL and lasts is not None and span.began_ms is not None:
        return (span.before_later or len(records)) if now_ms >= span.began_ms + lasts else 0
    return 0


def stops(first: Offsets, taken: Iterable[Record]) -> dict[int, int]:
    """Partition → the offset behind what is taken."""
    found = dict(first)
    for record in taken:
        found[record.partition] = max(found.get(record.partition, 0), record.offset + 1)
    return found


class _Span:
    """How far the times of records in order reach, when two in a row must agree."""

    def __init__(self) -> None:
        self.began_ms: int | None = None
        self.before_later = 0  # records before the newest one, if that lies behind the span; 0: it does not
        self._earlier_ms: int | None = None  # of the newest record, if that lies before the beginning

    def over(self, number: int, at_ms: int, lasts_ms: int) -> bool:
        """Take the time of record ``number``, counted from 1."""
        if self.began_ms is None:
            self.began_ms = at_ms
        if at_ms >= self.began_ms + lasts_ms:
            if self.before_later:
                return True
            self.before_later = number - 1
        else:
            self.before_later = 0
        if at_ms < self.began_ms and self._earlier_ms is not None:
            self.began_ms = max(at_ms, self._earlier_ms)
        self._earlier_ms = at_ms if at_ms < self.began_ms else None
        return False


def _keyed(queue: Sequence[Record]) -> Iterator[tuple[tuple[int, int, int], Record]]:
    newest_ms = 0
    for record in queue:
        newest_ms = max(newest_ms, record.written_ms)
        yield (newest_ms, record.partition, record.offset), record


def _time_ms(record: Record, clock: str) -> int | None:
    if clock == WALL:
        return record.written_ms
    event = decode_record(record.key, record.value, record.written_ms)
    return event.ts if isinstance(event, Interaction) else None
