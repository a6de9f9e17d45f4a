"""What of a data set already lies on the events topic, found from the topic itself.

Knows: that a partition holds a replay's events in the data set's order, so its newest one tells the rest.
Does not know: how events are sent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from kafka import KafkaConsumer, TopicPartition

from ops.datasets.table import EventTable
from stream import clients
from stream.errors import BrokerUnreachable
from stream.events import Interaction, decode
from stream.partition import partition_of

#: Records read back at first; four times as many at each further try.
FIRST_LOOK = 500


class Rows:
    """Finds an event's row in a table."""

    def __init__(self, table: EventTable) -> None:
        self._table = table
        self._users = {name: code for code, name in enumerate(table.users)}

    def row_of(self, event: Interaction) -> int | None:
        """The last row that is this event, or None."""
        table = self._table
        user = self._users.get(event.user)
        if event.source != table.source or user is None:
            return None
        first, end = np.searchsorted(table.time_ms, [event.ts, event.ts + 1], side="left").tolist()
        for row in reversed((np.flatnonzero(table.user[first:end] == user) + first).tolist()):
            if table.items[table.item[row]] == event.item and table.types[table.type[row]] == event.type:
                return int(row)
        return None


def newest_rows(table: EventTable, bootstrap: str, topic: str) -> dict[int, int]:
    """Partition → row of the newest event on it that comes from this table; others are left out.

    Raises BrokerUnreachable.
    """
    rows = Rows(table)
    reader = clients.consumer(bootstrap, max_poll_records=2000, fetch_max_wait_ms=100)
    found: dict[int, int] = {}
    try:
        places = [
            TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic) or ())
        ]
        reader.assign(places)
        begins, ends = reader.beginning_offsets(places), reader.end_offsets(places)
        for place in places:
            row = _newest(reader, rows, place, begins[place], ends[place])
            if row is not None:
                found[place.partition] = row
    finally:
        reader.close()
    return found


def _newest(reader: KafkaConsumer, rows: Rows, place: TopicPartition, begin: int, end: int) -> int | None:
    look, until = FIRST_LOOK, end
    others = [other for other in reader.assignment() if other != place]
    reader.pause(*others)
    reader.resume(place)
    try:
        while until > begin:
            start = max(begin, until - look)
            newest = _newest_between(reader, rows, place, start, until)
            if newest is not None:
                return newest
            look, until = look * 4, start
        return None
    finally:
        reader.resume(*others)


def _newest_between(
    reader: KafkaConsumer, rows: Rows, place: TopicPartition, start: int, until: int
) -> int | None:
    newest = None
    now_ms = time.time_ns() // 1_000_000
    reader.seek(place, start)
    while reader.position(place) < until:
        polled = reader.poll(timeout_ms=clients.SILENCE_MS).get(place, [])
        if not polled and reader.position(place) < until:
            raise BrokerUnreachable(f"({place.topic} {place.partition} gave nothing from {start} on)")
        for record in polled:
            event = decode(record.value, now_ms) if record.offset < until else None
            row = rows.row_of(event) if isinstance(event, Interaction) else None
            newest = newest if row is None else row
    return newest


def remaining(table: EventTable, newest: Mapping[int, int], num_partitions: int) -> npt.NDArray[np.bool_]:
    """(n,) which rows of the table are not on the topic yet."""
    last = np.full(num_partitions, -1, dtype=np.int64)
    for partition, row in newest.items():
        last[partition] = row
    partitions = np.array([partition_of(user, num_partitions) for user in table.users], dtype=np.int64)
    missing: npt.NDArray[np.bool_] = np.arange(len(table)) > last[partitions[table.user]]
    return missing
