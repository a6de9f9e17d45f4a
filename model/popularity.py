"""The baseline: what is popular, all-time or with exponential decay, kept up at every event.

Knows: items, counts, event times. Does not know: users, models, rows.

Forward decay (Cormode, Shkapenyuk, Srivastava and Xu, ICDE 2009): an event at time t adds 2^((t - landmark) /
half-life). Scores then only ever grow, so the leaders are exact with a short sorted list: nobody outside
overtakes without an event.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Collection, Sequence

import numpy as np

from model.metrics import MISS
from model.names import Arrays, pack_names, pack_record, unpack_names, unpack_record

#: Items kept sorted. A list of 50 for a user who has seen fewer than 974 of them never looks further.
NUM_LEADERS = 1024
#: Move the landmark before 2^x leaves the range of a float (about 2^1023).
MAX_EXPONENT = 500.0


class Popularity:
    """Scores of items by how often, and how lately, they were taken. Ties go to the item seen first."""

    def __init__(self, half_life_ms: int | None = None) -> None:
        """``half_life_ms``: time in which an event loses half its weight; None counts all events alike."""
        self._half_life_ms = half_life_ms
        self._landmark_ms: int | None = None
        self._codes: dict[str, int] = {}
        self._items: list[str] = []
        self._scores = array("d")
        self._leaders: list[tuple[float, int]] = []  # (-score, code), best first

    @classmethod
    def from_counts(cls, items: Sequence[str], counts: Sequence[int]) -> Popularity:
        """All-time popularity that starts from known counts; items without a count are not candidates."""
        made = cls()
        for item, count in zip(items, counts, strict=True):
            if count > 0:
                made._codes[item] = len(made._items)
                made._items.append(item)
                made._scores.append(float(count))
        made._sort_leaders()
        return made

    def to_arrays(self) -> Arrays:
        """Everything, for a snapshot; from_arrays gives it back."""
        return {
            **pack_names("items", self._items),
            "scores": np.array(self._scores, np.float64),
            "times_ms": pack_record([self._half_life_ms, self._landmark_ms]),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Popularity:
        """Raises KeyError, ValueError when the arrays are not of counts."""
        half_life_ms, landmark_ms = unpack_record(arrays["times_ms"])
        made = cls(half_life_ms)
        made._landmark_ms = landmark_ms
        made._items = unpack_names("items", arrays)
        made._scores = array("d", arrays["scores"].tolist())
        if len(made._items) != len(made._scores):
            raise ValueError(f"{len(made._items)} items and {len(made._scores)} scores")
        made._codes = {item: code for code, item in enumerate(made._items)}
        made._sort_leaders()
        return made

    def __len__(self) -> int:
        """Items with at least one event."""
        return len(self._items)

    def observe(self, item: str, ts_ms: int) -> None:
        """Count one event at its own time; late events count with the weight of their time."""
        gain = self._gain(ts_ms)
        code = self._codes.get(item)
        if code is None:
            code = self._codes[item] = len(self._items)
            self._items.append(item)
            self._scores.append(gain)
            self._enter(code)
            return
        before = (-self._scores[code], code)
        self._scores[code] += gain
        place = bisect_left(self._leaders, before)
        if place < len(self._leaders) and self._leaders[place] == before:
            del self._leaders[place]
        self._enter(code)

    def top(self, n: int, exclude: Collection[str] = ()) -> list[str]:
        """The n best items outside ``exclude`` (a set, for speed), best first; fewer if there are no more."""
        found = [item for item in self._walk(self._leaders, n, exclude)]
        if len(found) < n and len(self._items) > len(self._leaders):
            everything = sorted((-score, code) for code, score in enumerate(self._scores))
            found = self._walk(everything, n, exclude)
        return found

    def score(self, item: str) -> float:
        """The item's weight now, 0 without an event; comparable until the next event alone."""
        code = self._codes.get(item)
        return 0.0 if code is None else self._scores[code]

    def rank_of(self, item: str, exclude: Collection[str] = ()) -> float:
        """Rank of ``item`` among the items seen so far outside ``exclude``: 1 + higher + half the ties.

        MISS for an item without an event or in ``exclude``. Looks at every item once.
        """
        code = self._codes.get(item)
        if code is None or item in exclude:
            return MISS
        own = self._scores[code]
        scores = np.frombuffer(self._scores)
        higher = int(np.count_nonzero(scores > own))
        ties = int(np.count_nonzero(scores == own)) - 1
        for other in exclude:
            hidden = self._codes.get(other)
            if hidden is not None:
                higher -= self._scores[hidden] > own
                ties -= self._scores[hidden] == own
        return 1.0 + higher + ties / 2

    def _walk(self, order: Sequence[tuple[float, int]], n: int, exclude: Collection[str]) -> list[str]:
        found: list[str] = []
        for _, code in order:
            if len(found) == n:
                break
            if self._items[code] not in exclude:
                found.append(self._items[code])
        return found

    def _enter(self, code: int) -> None:
        key = (-self._scores[code], code)
        if len(self._leaders) >= NUM_LEADERS:
            if key > self._leaders[-1]:
                return
            self._leaders.pop()
        insort(self._leaders, key)

    def _gain(self, ts_ms: int) -> float:
        if self._half_life_ms is None:
            return 1.0
        if self._landmark_ms is None:
            self._landmark_ms = ts_ms
        exponent = (ts_ms - self._landmark_ms) / self._half_life_ms
        if exponent > MAX_EXPONENT:
            self._move_landmark(ts_ms, exponent)
            exponent = 0.0
        return float(2.0 ** max(exponent, -1074.0))  # older than that is zero in a float anyway

    def _move_landmark(self, ts_ms: int, exponent: float) -> None:
        shrink = 2.0 ** -min(exponent, 1074.0)
        self._scores = array("d", (score * shrink for score in self._scores))
        self._landmark_ms = ts_ms
        self._sort_leaders()

    def _sort_leaders(self) -> None:
        self._leaders = sorted((-score, code) for code, score in enumerate(self._scores))[:NUM_LEADERS]
