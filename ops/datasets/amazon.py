"""Amazon reviews, ratings only: four columns without a header.

Knows: both orders of the columns (2014: user first, 2018: item first), and how to tell them apart.
Does not know: where the files lie, categories, licences.

Times have the resolution of a day, so only a gap of less than a day separates sessions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from ops.datasets.building import TableBuilder
from ops.datasets.files import required
from ops.datasets.reading import Format, Read
from ops.datasets.rows import Layout, Report, add_rows, delimited

#: Every item id (ASIN) has ten characters; user ids are longer.
ASIN_CHARACTERS = 10
HALF_DAY_MS = 12 * 3600 * 1000


def item_first(rows: Sequence[Sequence[str]]) -> bool:
    """Whether most of these rows have their item id in the first column (the order of 2018)."""
    lean = 0
    for row in rows:
        if len(row) == 4:
            lean += (len(row[0]) == ASIN_CHARACTERS) - (len(row[1]) == ASIN_CHARACTERS)
    return lean > 0


def read(place: Path, report: Report | None) -> Read:
    """`user,item,stars,seconds` or `item,user,stars,seconds`."""
    builder = TableBuilder()
    for file in required(place, FORMAT.patterns):
        with file.text() as lines:
            rows: Iterator[list[str]] = delimited(lines, ",", file)
            first = list(islice(rows, 100))
            item = 0 if item_first(first) else 1
            layout = Layout(width=4, user=1 - item, item=item, value=2, time=3, type_name="rating")
            add_rows(builder, chain(first, rows), layout, where=file.name, report=report)
    return Read(builder=builder)


FORMAT = Format(name="Amazon ratings", patterns=("ratings_*.csv",), read=read, gap_ms=HALF_DAY_MS)
