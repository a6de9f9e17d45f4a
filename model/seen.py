"""Which catalogue items a user has already touched, grown by one row per event. No torch.

Knows: per user the fingerprint and length of the history that the rows come from.
Does not know: slots, scores, item ids beyond the newest one.

What it answers is a function of the history asked about, never of what was remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.config import FIRST_ITEM_ROW
from model.slots import Extend, Wanted


@dataclass(slots=True)
class _History:
    fingerprint: int
    length: int
    rows: npt.NDArray[np.int64]  # the first num_rows of them count, the rest is room to grow
    num_rows: int

    def add(self, row: int) -> None:
        if row < FIRST_ITEM_ROW or (self.rows[: self.num_rows] == row).any():
            return
        if self.num_rows == len(self.rows):
            self.rows = np.resize(self.rows, max(16, 2 * len(self.rows)))
        self.rows[self.num_rows] = row
        self.num_rows += 1


class Seen:
    """Rows of the histories of the ``max_users`` users asked about last."""

    def __init__(self, max_users: int, extend: Extend) -> None:
        self.max_users = max_users
        self._extend = extend
        self._histories: OrderedDict[str, _History] = OrderedDict()  # oldest use first

    def __len__(self) -> int:
        return len(self._histories)

    def clear(self) -> None:
        self._histories.clear()

    def forget(self, user: str) -> None:
        self._histories.pop(user, None)

    def rows(self, wanted: Wanted, row: int, decode: Callable[[], Sequence[int]]) -> npt.NDArray[np.int64]:
        """Rows of the catalogue's items in the history ``wanted``, once each; do not write to them.

        ``row`` is the newest item's; ``decode`` (all rows of the history) is called only when fingerprints
        prove nothing.
        """
        held = self._histories.pop(wanted.user, None)
        if held is None or (held.length, held.fingerprint) != (wanted.length, wanted.fingerprint):
            if held is not None and self._extends(held, wanted):
                held.add(row)
                held.fingerprint, held.length = wanted.fingerprint, wanted.length
            else:
                held = _decoded(wanted, decode)
        self._histories[wanted.user] = held
        if len(self._histories) > self.max_users:
            self._histories.popitem(last=False)
        return held.rows[: held.num_rows]

    def _extends(self, held: _History, wanted: Wanted) -> bool:
        return (
            wanted.item is not None
            and held.length + 1 == wanted.length
            and self._extend(held.fingerprint, wanted.item, wanted.ts_ms) == wanted.fingerprint
        )


def _decoded(wanted: Wanted, decode: Callable[[], Sequence[int]]) -> _History:
    rows = np.unique(np.array(decode() if wanted.length else [], dtype=np.int64))
    rows = rows[rows >= FIRST_ITEM_ROW]
    return _History(wanted.fingerprint, wanted.length, rows, len(rows))
