"""What lists show of all there is: coverage of the items, and how far from popular they are.

Knows: how often each item was taken, and how often each line listed it. Does not know: users, ranks, Kafka.

Novelty is the mean of -log2(popularity share) over listed items (Vargas and Castells, RecSys 2011, equation
of self-information); the share is (events + 1) / (all events + items), so an item without an event has one.
Shares are those at the time of the report, for older lists too.
"""

# I = items

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

#: Items told apart; further ones share one number and are counted as one item.
MAX_ITEMS: Final = 500_000


class Exposure:
    """Counts by item; codes are numbers from 0 in the order of appearance."""

    def __init__(self, max_items: int = MAX_ITEMS) -> None:
        self._max_items = max_items
        self._codes: dict[str, int] = {}
        self._events_I = array("l")
        self.listed: dict[str, Counter[int]] = {}  # line → code → lists that had it among the first

    def took(self, item: str) -> None:
        """A positive event."""
        self._events_I[self.code(item)] += 1

    def had_events(self, item: str) -> bool:
        """Whether anybody took this item so far."""
        code = self._codes.get(item)
        return code is not None and self._events_I[code] > 0

    def code(self, item: str) -> int:
        """The item's number, a new one where it has none."""
        code = self._codes.get(item)
        if code is None:
            if len(self._codes) >= self._max_items:
                return self._max_items - 1
            code = self._codes[item] = len(self._codes)
            self._events_I.append(0)
        return code

    def codes(self, items: Iterable[str]) -> tuple[int, ...]:
        return tuple(self.code(item) for item in items)

    def show(self, line: str, codes: Sequence[int]) -> None:
        """A list of this line has these items in its first places."""
        self.listed.setdefault(line, Counter()).update(codes)

    def all_time(self) -> dict[str, dict[str, float | None]]:
        """Line → coverage@10 and novelty over all lists shown."""
        return {line: self._figures(counts) for line, counts in sorted(self.listed.items())}

    def over(self, shown: dict[str, list[tuple[int, ...]]]) -> dict[str, dict[str, float | None]]:
        """The same over these lists."""
        return {
            line: self._figures(Counter(code for codes in lists for code in codes))
            for line, lists in sorted(shown.items())
        }

    def state(self) -> dict[str, Any]:
        """For a snapshot."""
        listed = {
            line: [array("l", counts.keys()).tobytes(), array("l", counts.values()).tobytes()]
            for line, counts in self.listed.items()
        }
        return {"items": list(self._codes), "events": self._events_I.tobytes(), "listed": listed}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._codes = {item: code for code, item in enumerate(state["items"])}
        self._events_I = array("l", state["events"])
        for line, (codes, times) in state["listed"].items():
            pairs = zip(array("l", codes), array("l", times), strict=True)
            self.listed[line] = Counter(dict(pairs))

    def _figures(self, counts: Counter[int]) -> dict[str, float | None]:
        """Coverage is of the items that were taken at least once."""
        events_I = np.array(self._events_I)
        num_taken = int(np.count_nonzero(events_I))
        if not counts or not num_taken:
            return {"coverage@10": None, "novelty": None}
        codes = np.fromiter(sorted(counts), np.int64, len(counts))
        times = np.array([counts[int(code)] for code in codes])
        share = (events_I[codes] + 1) / (events_I.sum() + len(events_I))
        covered = int(np.count_nonzero(events_I[codes]))
        return {
            "coverage@10": round(covered / num_taken, 6),
            "novelty": round(float(-(np.log2(share) * times).sum() / times.sum()), 6),
        }
