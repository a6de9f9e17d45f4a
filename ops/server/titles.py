"""Search by title: one text in which all titles stand, and beside it the few that changed since it was made.

Knows: titles as they were put. Does not know: item records, Kafka, HTTP, where weights come from.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final

#: Stands between titles where they are searched; no title holds it.
_BORDER: Final = "\n"
#: The text is made anew once more titles than this have changed, or a twentieth of all where that is more:
#: laying out 200,000 takes some hundred times as long as looking through 10,000.
MAX_CHANGED: Final = 1_000


class Titles:
    """Items by title. Memory: each title twice."""

    def __init__(self) -> None:
        self._titles: dict[str, str] = {}  # laid flat: lower case, single spaces
        self._changed: dict[str, None] = {}  # items whose place in the text is no longer true, in order
        self._text = ""
        self._starts: list[int] = []
        self._names: list[str] = []
        self._laid_out: frozenset[str] = frozenset()  # the same names
        self._weighed: object = None  # whose weights ordered them

    def put(self, item: str, title: str | None) -> None:
        """An item's title is this now; None or nothing: it has none."""
        flat = _flat(title or "")
        if flat == self._titles.get(item, ""):
            return
        if flat:
            self._titles[item] = flat
        else:
            del self._titles[item]
        if flat or item in self._laid_out:
            self._changed[item] = None
        else:
            self._changed.pop(item, None)

    def search(self, words: str, n: int, weight: Callable[[str], float], of: object = None) -> list[str]:
        """At most ``n`` items whose titles hold these words as they stand, whatever their case, the heaviest
        first. ``of``: whose weights these are; others' need another order."""
        wanted = _flat(words)
        if not wanted:
            return []
        if of != self._weighed or len(self._changed) > max(MAX_CHANGED, len(self._names) // 20):
            self._lay_out(weight)
            self._weighed = of
        found = [item for item, _ in zip(self._in_text(wanted), range(n), strict=False)]
        found += [item for item in self._changed if wanted in self._titles.get(item, "")]
        return sorted(found, key=lambda item: -weight(item))[:n]

    def _in_text(self, wanted: str) -> Iterator[str]:
        """Unchanged items whose titles hold it, in the order of the text."""
        at = self._text.find(wanted)
        while at >= 0:
            item = self._names[bisect_right(self._starts, at) - 1]
            if item not in self._changed:
                yield item
            end = self._text.find(_BORDER, at)
            at = self._text.find(wanted, end + 1) if end >= 0 else -1

    def _lay_out(self, weight: Callable[[str], float]) -> None:
        """All titles in one text: a search is then one pass in C and not one call per item."""
        self._names = sorted(self._titles, key=lambda item: -weight(item))
        self._laid_out = frozenset(self._names)
        self._starts, at = [], 0
        for item in self._names:
            self._starts.append(at)
            at += len(self._titles[item]) + len(_BORDER)
        self._text = _BORDER.join(self._titles[item] for item in self._names)
        self._changed.clear()


def _flat(title: str) -> str:
    return " ".join(title.casefold().split())
