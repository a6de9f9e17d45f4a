"""What a format's reader takes and gives back.

Knows: the shape of a reader. Does not know: any format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ops.datasets.building import TableBuilder
from ops.datasets.rows import Report
from stream.events import Item

HALF_HOUR_MS = 30 * 60_000


def no_items() -> Iterator[Item]:
    return iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A data set's files, read."""

    builder: TableBuilder
    items: Callable[[], Iterator[Item]] = no_items
    within_ms: tuple[int, int] | None = None  # the publisher's dates: first ms and end (exclusive)


#: Reads the files of one format from a directory, an archive or a file, following its progress with a report.
#: Raises DatasetMissing, DatasetUnreadable.
Reader = Callable[[Path, Report | None], Read]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One publisher's way to write events down."""

    name: str
    patterns: tuple[str, ...]  # names of the files that hold events; the first that matches wins
    read: Reader
    gap_ms: int = HALF_HOUR_MS
    filter_seen: bool = True
