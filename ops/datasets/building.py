"""Rows as a file has them → an EventTable: codes, counted refusals, time order.

Knows: vocabularies, what makes a row unusable, the one rule for ties. Does not know: files, formats.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ops.datasets.errors import DatasetUnreadable
from ops.datasets.table import EventTable
from stream.events import id_problem

#: Times from here on, the year 10000, are no event's: calendars end there.
MAX_TIME_MS = 253_402_300_800_000
#: Kinds of events that are told apart; a column with more is no type.
MAX_TYPES = (1 << 15) - 1
#: Why a row is left out although nothing is wrong with it but its time.
OUTSIDE_DATES = "outside the publisher's dates"

Kept = TypeVar("Kept")


class Vocabulary:
    """Id → code, in order of first sight."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}

    def encode(self, ids: Iterable[str]) -> list[int]:
        """Codes of these ids; new ids get the next ones."""
        codes = self.codes
        return [codes.setdefault(id_, len(codes)) for id_ in ids]

    def names(self) -> list[str]:
        return list(self.codes)

    def usable(self) -> npt.NDArray[np.bool_]:
        """(codes,) whether the id may stand in an event."""
        return np.array([id_problem(name) is None for name in self.codes], dtype=bool)


class TableBuilder:
    """Collects batches of rows; `build` puts them in order.

    ``dropped`` counts by reason what was refused: readers add their own reasons to it.
    """

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self._users, self._items, self._types = Vocabulary(), Vocabulary(), Vocabulary()
        self._user, self._item, self._type = array("i"), array("i"), array("h")
        self._time_ms, self._value = array("q"), array("f")
        self._ids: list[str | None] = []
        self._lists: list[str | None] = []

    def add(
        self,
        users: Sequence[str],
        items: Sequence[str],
        times_ms: Sequence[int],
        types: Sequence[str] | str,
        values: Sequence[float] | None = None,
    ) -> None:
        """One batch of rows in file order, columns of equal length; ``types`` a string when all are alike.

        A set gives values for all of its rows or for none; NaN stands for an absent one. Raises
        DatasetUnreadable at more than MAX_TYPES types.
        """
        names = [types] * len(users) if isinstance(types, str) else types
        kinds = self._types.encode(names)
        if len(self._types.codes) > MAX_TYPES:
            told = f"more than {MAX_TYPES:,} types of events, the latest {names[-1]!r}"
            raise DatasetUnreadable(f"There are {told}: is that the right column?")
        self._user.extend(self._users.encode(users))
        self._item.extend(self._items.encode(items))
        self._type.extend(kinds)
        self._time_ms.extend(times_ms)
        if values is not None:
            self._value.extend(values)

    def add_marks(self, ids: Sequence[str | None], lists: Sequence[str | None]) -> None:
        """The source's own event ids and lists of the batch just added; for all batches or for none."""
        self._ids.extend(ids)
        self._lists.extend(lists)

    def build(self, source: str | None = None, within_ms: tuple[int, int] | None = None) -> EventTable:
        """The table: unusable rows counted and left out, the rest stably sorted by time.

        ``within_ms``: first time and end (exclusive), in Unix ms, of what the publisher says the set covers.
        """
        time_ms = np.frombuffer(self._time_ms, dtype=np.int64)
        order = self._usable(time_ms, within_ms)
        order = order[np.argsort(time_ms[order], kind="stable")]
        users, user = _compact(self._users, np.frombuffer(self._user, dtype=np.int32)[order])
        items, item = _compact(self._items, np.frombuffer(self._item, dtype=np.int32)[order])
        value = np.frombuffer(self._value, dtype=np.float32)[order] if self._value else None
        return EventTable(
            users=users,
            items=items,
            types=self._types.names(),
            user=user,
            item=item,
            time_ms=time_ms[order],
            type=np.frombuffer(self._type, dtype=np.int16)[order],
            value=None if value is None or np.isnan(value).all() else value,
            ids=_picked(self._ids, order),
            lists=_picked(self._lists, order),
            source=source,
        )

    def _usable(
        self, time_ms: npt.NDArray[np.int64], within_ms: tuple[int, int] | None
    ) -> npt.NDArray[np.int64]:
        """Rows that can be events, by number."""
        first_ms, end_ms = within_ms or (0, MAX_TIME_MS)
        bad_time = (time_ms < first_ms) | (time_ms >= end_ms)
        good_id = np.ones(len(time_ms), dtype=bool)
        columns = ((self._users, self._user, np.int32), (self._items, self._item, np.int32))
        for vocabulary, codes, kind in (*columns, (self._types, self._type, np.int16)):
            usable = vocabulary.usable()
            if not usable.all():
                good_id &= usable[np.frombuffer(codes, dtype=kind)]
        time_reason = OUTSIDE_DATES if within_ms else "bad time"
        for reason, bad in (("bad id", ~good_id), (time_reason, bad_time & good_id)):
            if bad.any():
                self.dropped[reason] += int(bad.sum())
        return np.flatnonzero(good_id & ~bad_time)


def _compact(vocabulary: Vocabulary, codes: npt.NDArray[np.int32]) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Names and codes without names that no row uses: those of refused rows."""
    used = np.zeros(len(vocabulary.codes), dtype=bool)
    used[codes] = True
    names = vocabulary.names()
    if used.all():
        return names, codes
    new_codes = (np.cumsum(used) - 1).astype(np.int32)
    return [name for name, keep in zip(names, used.tolist(), strict=True) if keep], new_codes[codes]


def _picked(column: list[Kept | None], order: npt.NDArray[np.int64]) -> list[Kept | None] | None:
    if all(entry is None for entry in column):
        return None
    return [column[row] for row in order.tolist()]
