"""CSV and TSV files whose first line names the columns.

Knows: the names such columns usually have. Does not know: publishers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from ops.datasets.building import TableBuilder
from ops.datasets.errors import DatasetUnreadable
from ops.datasets.files import required
from ops.datasets.reading import Format, Read, Reader
from ops.datasets.rows import Layout, Report, add_rows, delimited, milliseconds, seconds
from stream.events import Item

#: Column names by meaning, lower case; the first that occurs is taken.
USER = ("user", "user_id", "userid", "uid", "visitorid")
ITEM = ("item", "item_id", "itemid", "movieid", "video_id", "iid", "product_id")
TIME_S = ("ts", "timestamp", "time", "ts_s", "unixreviewtime")
TIME_MS = ("ts_ms", "time_ms", "timestamp_ms")
VALUE = ("value", "rating")
TYPE = ("type", "event_type", "behavior", "behaviour", "action")
CATEGORY = ("category", "cat", "category_id")

CLOCKS = {"s": seconds, "ms": milliseconds}
#: As seconds this would be the year 5138: a file whose first time is later counts in milliseconds.
FIRST_MS = 1e11


def layout_of(header: Sequence[str], clock: str | None, where: object) -> Layout:
    """The layout that a header line describes; raises DatasetUnreadable naming what is missing."""
    names = [name.strip().lower() for name in header]

    def place(wanted: tuple[str, ...]) -> int | None:
        return next((names.index(name) for name in wanted if name in names), None)

    user, item = place(USER), place(ITEM)
    time_ms, time_s = place(TIME_MS), place(TIME_S)
    time = time_s if time_ms is None else time_ms
    if user is None or item is None or time is None:
        missing = [wanted[0] for wanted, at in ((USER, user), (ITEM, item), (TIME_S, time)) if at is None]
        raise DatasetUnreadable(
            f"{where}: no column {', '.join(missing)} among {', '.join(names) or 'nothing'}."
        )
    value = place(VALUE)
    return Layout(
        width=len(names),
        user=user,
        item=item,
        time=time,
        clock=CLOCKS[clock or ("s" if time_ms is None else "ms")],
        value=value,
        type=place(TYPE),
        type_name="rating" if "rating" in names else "click",
        category=place(CATEGORY),
    )


def read_named(
    place: Path, patterns: tuple[str, ...], report: Report | None, clock: str | None = None
) -> Read:
    """All matching files, each with a header of its own; ``clock`` "s" or "ms" overrules what a name says."""
    builder = TableBuilder()
    categories: dict[str, str] = {}
    for file in required(place, patterns):
        with file.text() as lines:
            first = lines.readline().removeprefix("\ufeff").rstrip("\r\n")
            delimiter = "\t" if "\t" in first else ","
            layout = layout_of(next(delimited([first], delimiter, file), []), clock, file)
            rows = delimited(lines, delimiter, file, above=1)
            if clock is None and layout.clock is seconds:
                layout, rows = _in_its_unit(layout, rows)
            add_rows(builder, rows, layout, where=file.name, report=report, categories=categories)
    return Read(builder=builder, items=lambda: described(categories))


def _in_its_unit(layout: Layout, rows: Iterator[list[str]]) -> tuple[Layout, Iterator[list[str]]]:
    """The layout with milliseconds where the first row's time says so (our own events' `ts` is one), and all
    rows again."""
    first = next(rows, None)
    if first is None:
        return layout, rows
    try:
        late = len(first) == layout.width and float(first[layout.time]) >= FIRST_MS
    except ValueError:
        late = False
    return (replace(layout, clock=milliseconds) if late else layout), chain([first], rows)


def described(categories: dict[str, str]) -> Iterator[Item]:
    """Item records of items whose category stood in the events."""
    for item, category in categories.items():
        yield Item(item=item, categories=[category] if category else [])


def read(place: Path, report: Report | None) -> Read:
    return read_named(place, FORMAT.patterns, report)


def reader(clock: str) -> Reader:
    """A reader for files whose times are in this unit, "s" or "ms", whatever their column is called."""
    return lambda place, report: read_named(place, FORMAT.patterns, report, clock)


FORMAT = Format(name="named columns", patterns=("events.tsv", "events.csv", "*.tsv", "*.csv"), read=read)
