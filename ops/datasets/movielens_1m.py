"""MovieLens 1M: ratings.dat and movies.dat, `::` between columns, Latin-1.

Knows: the two files. Does not know: where they lie, licences.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ops.datasets.building import TableBuilder
from ops.datasets.files import find_files, required
from ops.datasets.reading import Format, Read
from ops.datasets.rows import Layout, Report, add_rows, delimited, double_colons
from stream.events import Item

ENCODING = "latin-1"


def read(place: Path, report: Report | None) -> Read:
    """`user::item::stars::seconds` and `item::title::genre|genre`."""
    layout = Layout(width=4, user=0, item=1, value=2, time=3, type_name="rating")

    def items() -> Iterator[Item]:
        for file in find_files(place, ("movies.dat",)):
            with file.text(ENCODING) as lines:
                for row in delimited(double_colons(lines), "\t", file, quoted=False):
                    if len(row) == 3:
                        yield Item(item=row[0], title=row[1], categories=row[2].split("|"))

    builder = TableBuilder()
    for file in required(place, FORMAT.patterns):
        with file.text(ENCODING) as lines:
            rows = delimited(double_colons(lines), "\t", file, quoted=False)
            add_rows(builder, rows, layout, where=file.name, report=report)
    return Read(builder=builder, items=items)


FORMAT = Format(name="MovieLens ratings.dat", patterns=("ratings.dat", "ratings*.dat"), read=read)
