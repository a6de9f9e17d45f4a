"""Provisional rows beside the version that serves: new items stand in lists before any weights know them.

Knows: whose vector a click moves a row by, what happens to rows when versions change.
Does not know: how a row is made (model/provisional.py), the sum, Kafka, torch.

A positive click on an item outside the version's catalogue moves the item's row by the ungated vector of the
last list that its user was made before the click. Where a user had none from this version, nothing moves.
Every click and every list say how high rows may stand (model/exposure.py).
"""

# X = provisional rows, D = vector width, M = streams, d = their width

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from model.blend import NO_LINE, Rows
from model.exposure import PLACES
from model.memory import Memory
from model.names import inside, pack_record, under, unpack_record
from model.provisional import ProvisionalConfig, ProvisionalRows, shape_of
from stream.asking import Place, Ranker

#: Users whose newest vector is kept, 0.6 KB each at width 128.
MAX_USERS: Final = 20_000
#: Items with a row, 16 KB each at most at width 128; beyond it the stalest goes.
MAX_ROWS: Final = 1024

Arrays = dict[str, npt.NDArray[Any]]


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
        self._config = config or ProvisionalConfig(max_items=MAX_ROWS)
        self._max_users = max_users
        self._ranker: Ranker | None = None
        self._rows: ProvisionalRows | None = None
        self._vectors: OrderedDict[str, npt.NDArray[np.float32]] = OrderedDict()  # user → ungated
        self._kept: tuple[str, Arrays] | None = None  # of a snapshot: (version, rows), until one serves
        self._coded: _Coded | None = None

    def __len__(self) -> int:
        return 0 if self._rows is None else len(self._rows)

    def adopt(self, ranker: Ranker) -> None:
        """Another version serves. Its rows start from the clicks of the one before if one was trained on from
        the other, for then their vectors mean nearly the same (our construction), else from nothing; what it
        has a trained row for needs none."""
        before = self._before(ranker)
        if before is None:
            self._vectors.clear()
            made = ProvisionalRows(ranker.shape, self._config)
        else:
            lacking = ranker.lines(before.items) == NO_LINE
            same = lacking.all() and ranker.version == self._version
            made = before if same else before.beside({before.items[at] for at in np.flatnonzero(lacking)})
        self._kept, self._ranker, self._rows = None, ranker, made

    @property
    def _version(self) -> str | None:
        """That the rows are of."""
        if self._kept is not None:
            return self._kept[0]
        return None if self._ranker is None else self._ranker.version

    def _before(self, ranker: Ranker) -> ProvisionalRows | None:
        """Rows of the version before, where it is the same or one was trained on from the other."""
        if self._kept is not None:
            version, arrays = self._kept
            related = version in {ranker.version, ranker.parent} and shape_of(arrays) == ranker.shape
            return ProvisionalRows.from_arrays(arrays, ranker.shape, self._config) if related else None
        if self._ranker is None or self._ranker.shape != ranker.shape:
            return None
        version, parent = self._ranker.version, self._ranker.parent
        return self._rows if version in {ranker.version, ranker.parent} or parent == ranker.version else None

    def clicked(self, user: str, item: str) -> None:
        """A new positive event, before the list that knows it is made."""
        if self._ranker is None or self._rows is None:
            return
        vector_D = self._vectors.get(user)
        if vector_D is not None and self._ranker.lines([item])[0] == NO_LINE:
            self._rows.observe(item, vector_D)
        else:
            self._rows.passed(item)

    def seen(self, user: str, place: Place) -> None:
        """A list was made from this place."""
        if place.ungated is None:
            return
        full = len(place.scores) >= PLACES and place.known
        if full and self._rows is not None and place.vector is not None:
            self._rows.listed(_rounded(place.vector), place.scores[PLACES - 1])
        self._vectors[user] = place.ungated.copy()  # else a whole batch stays in memory
        self._vectors.move_to_end(user)
        if len(self._vectors) > self._max_users:
            self._vectors.popitem(last=False)

    def forget(self, user: str) -> None:
        """Keep no vector of this user's by name; rows are means, and what was listed names nobody."""
        self._vectors.pop(user, None)

    def rows(self, place: Place, memory: Memory) -> Rows | None:
        """Cosines of all rows; those the memory has no code for are left out. None without any."""
        if self._rows is None or not len(self._rows) or place.vector is None:
            return None
        if self._coded is None or not self._coded.holds(self._rows, memory):
            self._coded = _Coded.of(self._rows, memory)
        cosines_X = (self._rows.lines @ _rounded(place.vector)).astype(np.float64)
        return Rows(self._coded.codes_X, cosines_X[self._coded.places_X])

    def to_arrays(self) -> Arrays:
        """For a snapshot: the rows of the version that serves, nothing that names users; empty without a
        version."""
        if self._kept is not None:
            version, rows = self._kept
        elif self._rows is None or self._ranker is None:
            return {}
        else:
            version, rows = self._ranker.version, self._rows.to_arrays()
        return {
            "version": pack_record(version),
            **under("rows", rows),
        }

    def restore(self, arrays: Arrays) -> None:
        """Go on from a snapshot once a version serves. Raises KeyError, ValueError."""
        if arrays:
            rows = inside("rows", arrays)
            ProvisionalRows.from_arrays(rows, shape_of(rows), self._config)  # raises where they are none
            self._kept = (str(unpack_record(arrays["version"])), rows)


def _rounded(vector: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """A vector as lists carry it, 16 bits: whoever ranks with that one must come to the same order."""
    return np.asarray(vector, np.float16).astype(np.float32)
