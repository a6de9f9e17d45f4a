"""A data set in memory: events as columns, and what is known of the set as a whole.

Knows: codes into vocabularies, global time order, the columns that the model reads.
Does not know: files, publishers, topics.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from model.columns import EventColumns
from stream.events import Interaction, Item

#: Rows turned into Python objects at once while iterating: a few MB.
CHUNK_ROWS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTable:
    """Events in global time order, ties in file order; n rows of about 21 bytes."""

    users: list[str]  # id of each user code
    items: list[str]  # id of each item code
    types: list[str]  # name of each type code
    user: npt.NDArray[np.int32]  # (n,) user codes
    item: npt.NDArray[np.int32]  # (n,) item codes
    time_ms: npt.NDArray[np.int64]  # (n,) Unix ms, never decreasing
    type: npt.NDArray[np.int16]  # (n,) type codes
    value: npt.NDArray[np.float32] | None = None  # (n,) ratings or play times; NaN where absent
    ids: list[str | None] | None = None  # (n,) the source's own event ids, if it has any
    lists: list[str | None] | None = None  # (n,) the recommendation list that was shown, if the source says
    source: str | None = None  # named in every event

    def __len__(self) -> int:
        return len(self.user)

    def slice(self, start: int, stop: int) -> EventTable:
        """Rows [start, stop) under the same vocabularies; views of the columns, not copies."""
        rows = slice(start, stop)
        return replace(
            self,
            user=self.user[rows],
            item=self.item[rows],
            time_ms=self.time_ms[rows],
            type=self.type[rows],
            value=None if self.value is None else self.value[rows],
            ids=None if self.ids is None else self.ids[rows],
            lists=None if self.lists is None else self.lists[rows],
        )

    def take(self, rows: npt.NDArray[np.bool_]) -> EventTable:
        """The rows where ``rows`` (n,) is true, under the same vocabularies; copies."""
        numbers = np.flatnonzero(rows).tolist()
        return replace(
            self,
            user=self.user[rows],
            item=self.item[rows],
            time_ms=self.time_ms[rows],
            type=self.type[rows],
            value=None if self.value is None else self.value[rows],
            ids=None if self.ids is None else [self.ids[row] for row in numbers],
            lists=None if self.lists is None else [self.lists[row] for row in numbers],
        )

    def __iter__(self) -> Iterator[Interaction]:
        for start in range(0, len(self), CHUNK_ROWS):
            yield from self.slice(start, start + CHUNK_ROWS)._interactions()

    def _interactions(self) -> Iterator[Interaction]:
        num = len(self)
        absent: list[None] = [None] * num
        values = absent if self.value is None else self.value.tolist()
        rows = zip(
            self.user.tolist(),
            self.item.tolist(),
            self.time_ms.tolist(),
            self.type.tolist(),
            values,
            self.ids or absent,
            self.lists or absent,
            strict=True,
        )
        for user, item, ts_ms, type_, value, id_, shown in rows:
            yield Interaction(
                id=id_,
                ts=ts_ms,
                user=self.users[user],
                item=self.items[item],
                type=self.types[type_],
                value=None if value is None or value != value else value,  # NaN: this row has none
                list=shown,
                source=self.source,
            )

    def positives(self, negative: Collection[str], neutral: Collection[str]) -> EventColumns:
        """The positive events as the model reads them: every type but those named."""
        unwanted = {*negative, *neutral}
        wanted = np.array([name not in unwanted for name in self.types], dtype=bool)
        keep = wanted[self.type] if len(self.types) else np.zeros(0, dtype=bool)
        return EventColumns(
            users=self.users,
            items=self.items,
            user=self.user[keep],
            item=self.item[keep],
            time_ms=self.time_ms[keep],
        )

    def last_of_user(self) -> npt.NDArray[np.bool_]:
        """(n,) whether a row is its user's last one in this table."""
        last = np.full(len(self.users), -1, dtype=np.int64)
        last[self.user] = np.arange(len(self))  # the later row of a user overwrites the earlier
        mask = np.zeros(len(self), dtype=bool)
        mask[last[last >= 0]] = True
        return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Events and what is known about them."""

    name: str
    licence: str  # one line for people: what the publisher allows
    source: str  # where the files came from
    events: EventTable
    gap_ms: int  # silence that separates two sessions in this set
    filter_seen: bool = True  # whether a list leaves out what the user already has
    dropped: dict[str, int] = field(default_factory=dict)  # reason -> rows that were left out
    items_reader: Callable[[], Iterator[Item]] = lambda: iter(())

    def items(self) -> Iterator[Item]:
        """Titles and categories, one record per described item; read anew at each call."""
        return self.items_reader()
