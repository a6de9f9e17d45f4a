"""Item ids and their rows: append-only, with a digest that weights are checked against.

Knows: row 0 pads, rows 1..64 stand for items outside the catalogue, real items follow in order of admission.
Does not know: vectors, events, files.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Sequence

from model.config import FIRST_ITEM_ROW, NEW_ITEM_ROWS


class Catalogue:
    """Item id ⇄ row. Ids never move and never leave; a later version may only append.

    An id outside the catalogue has one of the 64 "new item" rows, by a stable hash of its bytes.
    """

    def __init__(self, items: Sequence[str]) -> None:
        """``items``: ids in row order; raises ValueError on a repeated id."""
        self._items = list(items)
        self._rows = {item: row for row, item in enumerate(self._items, FIRST_ITEM_ROW)}
        if len(self._rows) != len(self._items):
            raise ValueError("a catalogue lists each item once")

    def __len__(self) -> int:
        """Real items, without padding and new-item rows."""
        return len(self._items)

    def __contains__(self, item: str) -> bool:
        return item in self._rows

    @property
    def items(self) -> list[str]:
        return self._items

    @property
    def num_rows(self) -> int:
        """Rows of an embedding table: padding, new-item rows, items."""
        return FIRST_ITEM_ROW + len(self._items)

    def row(self, item: str) -> int:
        """The item's row, or the new-item row its id hashes to."""
        row = self._rows.get(item)
        return new_item_row(item) if row is None else row

    def rows(self, items: Iterable[str]) -> list[int]:
        return [self.row(item) for item in items]

    def item(self, row: int) -> str:
        """The id of a real item's row; raises IndexError for padding and new-item rows."""
        if row < FIRST_ITEM_ROW:
            raise IndexError(f"row {row} is no item")
        return self._items[row - FIRST_ITEM_ROW]

    def digest(self) -> str:
        """sha256 over the ids in row order, each with its length."""
        digest = hashlib.sha256()
        for item in self._items:
            raw = item.encode()
            digest.update(len(raw).to_bytes(4, "big") + raw)
        return digest.hexdigest()


def new_item_row(item: str) -> int:
    """One of rows 1..64 for an id that no version knows; the same on every machine."""
    return 1 + zlib.crc32(item.encode()) % NEW_ITEM_ROWS
