"""How far lists come behind their events, in events: between an event and the first list that knows it.

Knows: when events and lists were written. Does not know: who wrote them, what they say.

A list knows its user's event and, through the fast memory and provisional rows, what the scorer had seen of
other users by then. In lockstep that is exactly what came before; at speed, events that were written between
an event and its list may be known to the list though they came later, and unknown to theirs though they came
before. So the largest number of events in between bounds how far any list stands off the order of time.
"""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np

#: Moments kept, of events and of pairs; past it the older half goes.
MAX_MOMENTS: Final = 1_000_000


class Skew:
    """Tell it every event, and every event with its list; ask for the largest skew at any time."""

    def __init__(self, max_moments: int = MAX_MOMENTS) -> None:
        self._max_moments = max_moments
        self._written_ms = array("q")
        self._answered_ms = array("q")  # pairs: the event, its list

    def written(self, ms: int) -> None:
        """An event's record, whatever partition it is of; in any order."""
        self._written_ms.append(ms)
        self._bound(self._written_ms)

    def answered(self, event_ms: int, list_ms: int) -> None:
        """An event's record and that of the first list that knows it."""
        self._answered_ms.extend((event_ms, list_ms))
        self._bound(self._answered_ms)

    def largest(self) -> int | None:
        """Events written from an event until its list, itself not counted; None before the first list.

        Moments are whole milliseconds: events of the same one as the first count, of the list's do not.
        """
        if not self._answered_ms:
            return None
        written_ms = np.sort(np.frombuffer(self._written_ms, np.int64))
        event_ms, list_ms = np.frombuffer(self._answered_ms, np.int64).reshape(-1, 2).T
        between = np.searchsorted(written_ms, list_ms) - np.searchsorted(written_ms, event_ms) - 1
        return max(0, int(between.max()))

    def _bound(self, moments: array[int]) -> None:
        if len(moments) > self._max_moments:
            del moments[: self._max_moments // 4 * 2]  # whole pairs
