"""What is known of items: titles, categories, and a search by title.

Knows: item records, of which the newest of an item wins. Does not know: Kafka, HTTP, versions' scores.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

from ops.server.titles import Titles
from stream.events import Item


class Shelf:
    """Items by id, at most ``max_items``; past that, the one whose record is oldest goes."""

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._items: OrderedDict[str, Item] = OrderedDict()
        self._in_category: Counter[str] = Counter()
        self.revision = 0  # grows with every change
        self._titles = Titles()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Keep what a record says."""
        self.revision += 1
        self._uncount(self._items.get(item.item))
        self._items[item.item] = item
        self._items.move_to_end(item.item)
        self._in_category.update({*item.categories})
        self._titles.put(item.item, item.title)
        if len(self._items) > self._max_items:
            self._gone(self._items.popitem(last=False)[1])

    def drop(self, item: str) -> None:
        """The record of this item was taken back."""
        dropped = self._items.pop(item, None)
        if dropped is not None:
            self._gone(dropped)
            self.revision += 1

    def get(self, item: str) -> Item | None:
        return self._items.get(item)

    def title(self, item: str) -> str | None:
        known = self._items.get(item)
        return None if known is None else known.title

    def categories(self, item: str) -> Sequence[str]:
        known = self._items.get(item)
        return () if known is None else known.categories

    def num_in(self, category: str | None) -> int | None:
        """Items of this category; None for none."""
        return None if category is None else self._in_category[category]

    def _gone(self, item: Item) -> None:
        self._uncount(item)
        self._titles.put(item.item, None)

    def _uncount(self, item: Item | None) -> None:
        for category in () if item is None else {*item.categories}:
            self._in_category[category] -= 1
            if not self._in_category[category]:
                del self._in_category[category]

    def search(self, words: str, n: int, weight: Callable[[str], float], of: object = None) -> list[str]:
        """`Titles.search`."""
        return self._titles.search(words, n, weight, of)
