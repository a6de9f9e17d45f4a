"""YooChoose: yoochoose-clicks.dat, `session,time,item,category`, no header.

Knows: the layout; every session is a user of its own, since the set names no others.
Does not know: where the file lies, its licence.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ops.datasets.building import TableBuilder
from ops.datasets.files import required
from ops.datasets.reading import Format, Read
from ops.datasets.rows import Layout, Report, add_rows, delimited, iso_times
from stream.events import Item

#: What the category column says when it names none: absent, special offer.
NO_CATEGORY = frozenset({"0", "S"})
HOUR_MS = 3600 * 1000


def read(place: Path, report: Report | None) -> Read:
    """The clicks, and each item's newest category."""
    layout = Layout(width=4, user=0, time=1, item=2, category=3, clock=iso_times)
    builder = TableBuilder()
    categories: dict[str, str] = {}

    def items() -> Iterator[Item]:
        for item, category in categories.items():
            if category not in NO_CATEGORY:
                yield Item(item=item, categories=[category])

    for file in required(place, FORMAT.patterns):
        with file.text() as lines:
            rows = delimited(lines, ",", file)
            add_rows(builder, rows, layout, where=file.name, report=report, categories=categories)
    return Read(builder=builder, items=items)


FORMAT = Format(name="YooChoose clicks", patterns=("yoochoose-clicks.dat",), read=read, gap_ms=HOUR_MS)
