"""What is known of items: titles, categories, and a search by title.

Knows: item records, of which the newest of an item wins. Does not know: Kafka, HTTP, versions' scores.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

from stream.events import Item

#: Stands between titles where they are searched; no title holds it.
_BORDER = "\n"


class Shelf:
    """Items by id, at most ``max_items``; past that, the one whose record is oldest goes."""

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._items: OrderedDict[str, Item] = OrderedDict()
        self._in_category: Counter[str] = Counter()
        self.revision = 0  # grows with every change
        self._searched = -1  # revision of what follows
        self._text = ""
        self._starts: list[int] = []
        self._names: list[str] = []

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Keep what a record says."""
        self.revision += 1
        self._forget(self._items.get(item.item))
        self._items[item.item] = item
        self._items.move_to_end(item.item)
        self._in_category.update({*item.categories})
        if len(self._items) > self._max_items:
            self._forget(self._items.popitem(last=False)[1])

    def drop(self, item: str) -> None:
        """The record of this item was taken back."""
        dropped = self._items.pop(item, None)
        if dropped is not None:
            self._forget(dropped)
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

    def _forget(self, gone: Item | None) -> None:
        for category in () if gone is None else {*gone.categories}:
            self._in_category[category] -= 1
            if not self._in_category[category]:
                del self._in_category[category]

    def search(self, words: str, n: int, weight: Callable[[str], float]) -> list[str]:
        """At most ``n`` items whose titles hold these words as they stand, whatever their case.

        The heaviest first, as far as the weights of the last change of the shelf are still the same.
        """
        wanted = " ".join(words.casefold().split())
        if self._searched != self.revision:
            self._lay_out(weight)
        found: list[str] = []
        at = self._text.find(wanted) if wanted else -1
        while at >= 0 and len(found) < n:
            place = bisect_right(self._starts, at) - 1
            found.append(self._names[place])
            end = self._text.find(_BORDER, at)
            at = self._text.find(wanted, end + 1) if end >= 0 else -1
        return found

    def _lay_out(self, weight: Callable[[str], float]) -> None:
        """All titles in one text: a search is then one pass in C and not one call per item."""
        named = [(name, item.title) for name, item in self._items.items() if item.title]
        named.sort(key=lambda pair: -weight(pair[0]))
        self._names = [name for name, _ in named]
        self._starts, parts, at = [], [], 0
        for _, title in named:
            text = " ".join(title.casefold().split())
            self._starts.append(at)
            parts.append(text)
            at += len(text) + len(_BORDER)
        self._text = _BORDER.join(parts)
        self._searched = self.revision
