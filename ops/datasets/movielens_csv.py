"""MovieLens since 20M: ratings.csv with a header, movies.csv beside it.

Knows: the two files. Does not know: where they lie, licences.

Every rating is one event of type "rating", its stars the value; times are the seconds when it was entered.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ops.datasets.files import find_files
from ops.datasets.named import read_named
from ops.datasets.reading import Format, Read
from ops.datasets.rows import Report, delimited
from stream.events import Item

NO_GENRES = "(no genres listed)"


def read(place: Path, report: Report | None) -> Read:
    """`userId,movieId,rating,timestamp` and `movieId,title,genre|genre`."""

    def items() -> Iterator[Item]:
        for file in find_files(place, ("movies.csv",)):
            with file.text() as lines:
                for row in delimited(lines, ",", file):
                    if len(row) == 3 and row[0] != "movieId":
                        genres = [] if row[2] == NO_GENRES else row[2].split("|")
                        yield Item(item=row[0], title=row[1], categories=genres)

    found = read_named(place, FORMAT.patterns, report)
    return Read(builder=found.builder, items=items)


FORMAT = Format(name="MovieLens ratings.csv", patterns=("ratings.csv",), read=read)
