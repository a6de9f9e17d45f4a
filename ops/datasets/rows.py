"""Delimited text → batches of columns in a TableBuilder.

Knows: where in a row user, item and time stand, units of time, rows that do not fit.
Does not know: publishers.

Works on batches, column by column: a few microseconds a row, so 32 million rows take about two minutes.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from ops.datasets.building import TableBuilder
from ops.datasets.errors import DatasetUnreadable

#: Small enough for the processor's cache and for Python's collector, which looks at every row's list.
BATCH_ROWS: Final = 1024
#: What was read so far is reported as (file, rows).
Report = Callable[[str, int], None]

Clock = Callable[[Sequence[str]], list[int]]


def seconds(column: Sequence[str]) -> list[int]:
    """Unix ms of Unix seconds, whole or with a fraction; raises ValueError."""
    try:
        return [int(text) * 1000 for text in column]
    except ValueError:
        return [round(float(text) * 1000) for text in column]


def milliseconds(column: Sequence[str]) -> list[int]:
    """Unix ms of Unix ms; raises ValueError."""
    return [int(text) for text in column]


def iso_times(column: Sequence[str]) -> list[int]:
    """Unix ms of ISO 8601 times; without a zone they are UTC. Raises ValueError."""
    times = [datetime.fromisoformat(text) for text in column]
    return [round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000) for at in times]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which column holds what, counted from 0."""

    width: int  # columns of a whole row
    user: int
    item: int
    time: int
    clock: Clock = seconds
    value: int | None = None
    type: int | None = None
    type_name: str = "click"  # of every event, when there is no type column
    type_names: Mapping[str, str] | None = None  # what the type column's words mean; None: as they stand
    category: int | None = None


def delimited(
    lines: Iterable[str], delimiter: str, where: object, *, quoted: bool = True, above: int = 0
) -> Iterator[list[str]]:
    """Rows of text; raises DatasetUnreadable, naming ``where`` and the line, where there are none.

    ``above``: lines of the file that were read before.
    """
    rows = csv.reader(
        lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=quoted
    )
    try:
        yield from rows
    except csv.Error as error:
        raise DatasetUnreadable(f"{where}, line {above + rows.line_num}: {error}.") from error


def double_colons(lines: Iterable[str]) -> Iterator[str]:
    """Lines with `::` between columns, as the csv module can read them."""
    return (line.replace("::", "\t") for line in lines)


def add_rows(
    builder: TableBuilder,
    rows: Iterator[list[str]],
    layout: Layout,
    *,
    where: str,
    report: Report | None = None,
    categories: dict[str, str] | None = None,
) -> None:
    """All rows into the builder; those that do not fit the layout are counted as "malformed row".

    ``categories`` receives each item's newest category, if the layout has that column.
    """
    num = 0
    while batch := list(islice(rows, BATCH_ROWS)):
        whole = [row for row in batch if len(row) == layout.width]
        misfits = sum(1 for row in batch if row) - len(whole)  # a blank line is no row
        if misfits:
            builder.dropped["malformed row"] += misfits
        columns = list(zip(*whole, strict=True))
        if columns:
            _add_columns(builder, columns, layout)
            if categories is not None and layout.category is not None:
                categories.update(zip(columns[layout.item], columns[layout.category], strict=True))
        num += len(batch)
        if report:
            report(where, num)


def _add_columns(builder: TableBuilder, columns: list[tuple[str, ...]], layout: Layout) -> None:
    try:
        builder.add(*_converted(columns, layout))
    except (ValueError, OverflowError, KeyError):
        if len(columns[0]) == 1:
            builder.dropped["malformed row"] += 1
            return
        for row in zip(*columns, strict=True):  # only batches with a bad row come here
            _add_columns(builder, [(text,) for text in row], layout)


def _converted(
    columns: list[tuple[str, ...]], layout: Layout
) -> tuple[Sequence[str], Sequence[str], Sequence[int], Sequence[str] | str, Sequence[float] | None]:
    """Arguments of TableBuilder.add; nothing was added yet when a cell is refused."""
    times_ms = array("q", layout.clock(columns[layout.time]))
    values = None
    if layout.value is not None:
        values = [float(text) if text else math.nan for text in columns[layout.value]]
    types: Sequence[str] | str = layout.type_name
    if layout.type is not None:
        types = columns[layout.type]
        if layout.type_names is not None:
            types = [layout.type_names[word] for word in types]
    return columns[layout.user], columns[layout.item], times_ms, types, values
