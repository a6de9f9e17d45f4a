"""MovieLens 100K: u.data between tabs, u.item with a column of 0 and 1 per genre, Latin-1.

Knows: the two files. Does not know: where they lie, licences.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ops.datasets.building import TableBuilder
from ops.datasets.files import find_files, required
from ops.datasets.reading import Format, Read
from ops.datasets.rows import Layout, Report, add_rows, delimited
from stream.events import Item

#: What u.item's columns from the seventh on say, in order (the publisher's u.genre); the sixth is "unknown".
GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
ENCODING = "latin-1"


def read(place: Path, report: Report | None) -> Read:
    """`user item stars seconds` and `item|title|released||address|unknown|Action|...`."""
    layout = Layout(width=4, user=0, item=1, value=2, time=3, type_name="rating")

    def items() -> Iterator[Item]:
        for file in find_files(place, ("u.item",)):
            with file.text(ENCODING) as lines:
                for row in delimited(lines, "|", file, quoted=False):
                    if len(row) == 6 + len(GENRES):
                        flags = zip(GENRES, row[6:], strict=True)
                        genres = [genre for genre, flag in flags if flag == "1"]
                        yield Item(item=row[0], title=row[1], categories=genres)

    builder = TableBuilder()
    for file in required(place, FORMAT.patterns):
        with file.text(ENCODING) as lines:
            rows = delimited(lines, "\t", file, quoted=False)
            add_rows(builder, rows, layout, where=file.name, report=report)
    return Read(builder=builder, items=items)


FORMAT = Format(name="MovieLens u.data", patterns=("u.data",), read=read)
