"""JSON Lines of our own events and item records.

Knows: one record per line, in the public form of stream.events. Does not know: publishers.

Interactions keep their id, value and list; requests to forget or rescore a user are no data and are
counted as dropped, like lines that stream.events refuses.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ops.datasets.building import TableBuilder
from ops.datasets.files import File, required
from ops.datasets.reading import Format, Read
from ops.datasets.rows import BATCH_ROWS, Report
from stream.events import Event, Interaction, Item, Malformed, decode


def records(file: File, now_ms: int) -> Iterator[tuple[int, Event | Malformed]]:
    """(line number from 1, what stands there); blank lines are skipped."""
    with file.binary() as raw:
        for number, line in enumerate(raw, 1):
            stripped = line.strip()
            if stripped:
                yield number, decode(stripped, now_ms)


def read(place: Path, report: Report | None) -> Read:
    """Interactions as events, item records as items."""
    builder = TableBuilder()
    files = required(place, FORMAT.patterns)
    now_ms = time.time_ns() // 1_000_000

    def items() -> Iterator[Item]:
        for file in files:
            for _, record in records(file, now_ms):
                if isinstance(record, Item):
                    yield record

    for file in files:
        lines = records(file, now_ms)
        num = 0
        while batch := list(islice(lines, BATCH_ROWS)):
            _add(builder, [record for _, record in batch])
            num += len(batch)
            if report:
                report(file.name, num)
    return Read(builder=builder, items=items)


def _add(builder: TableBuilder, found: list[Event | Malformed]) -> None:
    events = [record for record in found if isinstance(record, Interaction)]
    for record in found:
        if isinstance(record, Malformed):
            builder.dropped[f"malformed: {record.reason}"] += 1
        elif not isinstance(record, Interaction | Item):
            builder.dropped[f"no interaction: {type(record).__name__.lower()}"] += 1
    builder.add(
        [event.user for event in events],
        [event.item for event in events],
        [event.ts for event in events],
        [event.type for event in events],
        [math.nan if event.value is None else event.value for event in events],
    )
    builder.add_marks([event.id for event in events], [event.list for event in events])


FORMAT = Format(name="JSON Lines", patterns=("*.jsonl", "*.ndjson", "*.json"), read=read)
