"""Provisional rows beside the version that serves: new items stand in lists before any weights know them.

Knows: whose vector a click moves a row by, what happens to rows when versions change.
Does not know: how a row is made (model/provisional.py), the sum, Kafka, torch.

A positive click on an item outside the version's catalogue moves the item's row by the ungated vector of the
last list that its user was made before the click. Where a user had none from this version, nothing moves.
The same click says whether rows stood too high in that list: their handicap moves, once per list.
"""

# K = items of the model's list, X = provisional rows, D = vector width

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from model.blend import NO_LINE, Rows
from model.handicap import Handicap, rows_in_front
from model.leader import JUDGED
from model.memory import Memory
from model.names import inside, pack_record, under, unpack_record
from model.provisional import ProvisionalConfig, ProvisionalRows
from stream.asking import Place, Ranker

#: Users whose newest vector and first places are kept, 0.8 KB each at width 128.
MAX_USERS: Final = 20_000
#: Items with a row, 16 KB each at most at width 128; beyond it the stalest goes.
MAX_ROWS: Final = 1024

Arrays = dict[str, npt.NDArray[Any]]


class _Front(NamedTuple):
    """The first places of one list by model and rows, which wait for its user's next event."""

    rows: list[str]
    items: list[str]

    @property
    def taken(self) -> float:
        return len(self.rows) / JUDGED


class _Coded(NamedTuple):
    """Codes of the rows that the memory knows, ascending, with their places among the rows; looked up again
    only when an item came or went, since a thousand look-ups cost more than the rest of a request's sum."""

    rows: ProvisionalRows
    memory: Memory
    changes: tuple[int, int]
    codes_X: npt.NDArray[np.int64]
    places_X: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: ProvisionalRows, memory: Memory) -> _Coded:
        codes = [memory.items.get(item) for item in rows.items]
        places_X = np.array([place for place, code in enumerate(codes) if code is not None], np.int64)
        codes_X = np.array([code for code in codes if code is not None], np.int64)
        order = np.argsort(codes_X)
        changes = rows.changes, memory.items.changes
        return cls(rows, memory, changes, codes_X[order], places_X[order])

    def holds(self, rows: ProvisionalRows, memory: Memory) -> bool:
        same = self.rows is rows and self.memory is memory
        return same and self.changes == (rows.changes, memory.items.changes)


class StandIns:
    """Rows of one version at a time."""

    def __init__(self, config: ProvisionalConfig | None = None, max_users: int = MAX_USERS) -> None:
        """``config`` None: the defaults, at most MAX_ROWS items."""
        self.handicap = Handicap()
        self._config = config or ProvisionalConfig(max_items=MAX_ROWS)
        self._max_users = max_users
        self._ranker: Ranker | None = None
        self._rows: ProvisionalRows | None = None
        self._vectors: OrderedDict[str, npt.NDArray[np.float32]] = OrderedDict()  # user → ungated
        self._fronts: dict[str, _Front] = {}  # of these users, where rows could stand; judged once
        self._kept: tuple[str, Arrays] | None = None  # of a snapshot: (version, rows), until one serves
        self._coded: _Coded | None = None

    def __len__(self) -> int:
        return 0 if self._rows is None else len(self._rows)

    def adopt(self, ranker: Ranker) -> None:
        """Another version serves. Its rows start from the clicks of the one before if one was trained on from
        the other, for then their vectors mean nearly the same (our construction), else from nothing; what it
        has a trained row for needs none."""
        before, mean_Md = self._before(ranker), ranker.live_mean()
        if before is None or before.shape != mean_Md.shape:
            self._vectors.clear()
            self._fronts.clear()
            self.handicap = Handicap()
            made = ProvisionalRows(mean_Md, self._config)
        else:
            lacking = ranker.lines(before.items) == NO_LINE
            made = before.beside(mean_Md, {before.items[place] for place in np.flatnonzero(lacking)})
        self._kept, self._ranker, self._rows = None, ranker, made

    def _before(self, ranker: Ranker) -> ProvisionalRows | None:
        """Rows of the version before, where it is the same or one was trained on from the other."""
        if self._kept is not None:
            version, arrays = self._kept
            related = version in {ranker.version, ranker.parent}
            return ProvisionalRows.from_arrays(arrays, self._config) if related else None
        if self._ranker is None:
            return None
        version, parent = self._ranker.version, self._ranker.parent
        return self._rows if version in {ranker.version, ranker.parent} or parent == ranker.version else None

    def clicked(self, user: str, item: str) -> None:
        """A new positive event, before the list that knows it is made."""
        vector_D = self._vectors.get(user)
        if vector_D is None or self._ranker is None or self._rows is None:
            return
        front = self._fronts.pop(user, None)
        if front is not None:
            on_row = item in front.rows or item in self._rows
            self.handicap.judge(front.taken, on_row, item in front.rows or item in front.items)
        if self._ranker.lines([item])[0] == NO_LINE:
            self._rows.observe(item, vector_D)

    def seen(self, user: str, place: Place, barred: Collection[str] = ()) -> None:
        """A list was made from this place, without the items of ``barred``."""
        if place.ungated is None:
            return
        self._fronts.pop(user, None)
        front = self._front(place, barred)
        if front is not None:
            self._fronts[user] = front
        self._vectors[user] = place.ungated.copy()  # else a whole batch stays in memory
        self._vectors.move_to_end(user)
        if len(self._vectors) > self._max_users:
            self._fronts.pop(self._vectors.popitem(last=False)[0], None)

    def _front(self, place: Place, barred: Collection[str]) -> _Front | None:
        """None where no row could stand, or where the model says nothing."""
        if self._rows is None or not len(self._rows) or place.vector is None or not place.known:
            return None
        cosines_X = self._cosines(place)
        for item in barred:
            at = self._rows.place(item)
            if at is not None:
                cosines_X[at] = -np.inf
        known_K = np.asarray(place.scores[:JUDGED], np.float64)
        rows = [at for at in rows_in_front(known_K, cosines_X).tolist() if cosines_X[at] > -np.inf]
        return _Front([self._rows.items[at] for at in rows], list(place.items[: JUDGED - len(rows)]))

    def _cosines(self, place: Place) -> npt.NDArray[np.float64]:
        """(X,) of all rows with the vector as lists carry it, 16 bits, less the handicap."""
        assert self._rows is not None
        vector_D = np.asarray(place.vector, np.float16).astype(np.float32)
        cosines_X: npt.NDArray[np.float64] = (self._rows.lines @ vector_D).astype(np.float64)
        return cosines_X - self.handicap.value

    def forget(self, user: str) -> None:
        """Keep no vector and no list of this user; rows are means and name nobody."""
        self._vectors.pop(user, None)
        self._fronts.pop(user, None)

    def rows(self, place: Place, memory: Memory) -> Rows | None:
        """Cosines of all rows, less the handicap; those the memory has no code for are left out. None without
        any."""
        if self._rows is None or not len(self._rows) or place.vector is None:
            return None
        if self._coded is None or not self._coded.holds(self._rows, memory):
            self._coded = _Coded.of(self._rows, memory)
        return Rows(self._coded.codes_X, self._cosines(place)[self._coded.places_X])

    def to_arrays(self) -> Arrays:
        """For a snapshot: the rows of the version that serves and their handicap, nothing of users; empty
        without a version."""
        if self._kept is not None:
            version, rows = self._kept
        elif self._rows is None or self._ranker is None:
            return {}
        else:
            version, rows = self._ranker.version, self._rows.to_arrays()
        return {
            "version": pack_record(version),
            "handicap": self.handicap.to_array(),
            **under("rows", rows),
        }

    def restore(self, arrays: Arrays) -> None:
        """Go on from a snapshot once a version serves. Raises KeyError, ValueError."""
        if arrays:
            rows = inside("rows", arrays)
            ProvisionalRows.from_arrays(rows, self._config)  # raises where they are none
            version = str(unpack_record(arrays["version"]))
            if "handicap" in arrays:  # snapshots from before it have none
                self.handicap = Handicap.from_array(arrays["handicap"])
            self._kept = (version, rows)
