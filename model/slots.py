"""Who holds a cache slot, and which positions of a sequence are still to be computed. No torch.

Knows: per sequence its fingerprint, length, rows and times held; the least recently used one gives way.
Does not know: keys and values, the fingerprint's formula (it is injected), item ids beyond the newest one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: (fingerprint, item id, event time in Unix ms) -> the fingerprint with that event at its end.
Extend = Callable[[int, str, int], int]


# Neither record is frozen: a frozen one takes three times as long to make, several are made per request.


@dataclass(slots=True, kw_only=True)
class Wanted:
    """One sequence as a request describes it, not decoded."""

    user: str
    kind: str  # "global", "theme:3", ...
    length: int  # events in it, also beyond what the model reads
    fingerprint: int
    item: str | None  # the user's newest item: the sequence's newest event, or not in it at all
    ts_ms: int  # its time, Unix ms


@dataclass(slots=True, kw_only=True)
class New:
    """Positions to compute in one slot: start, start + 1, ...; none when the slot already holds them all."""

    slot: int
    start: int
    rows: npt.NDArray[np.int64]  # (P,) catalogue rows
    times_ms: npt.NDArray[np.int64]  # (P,) Unix ms
    num_asked: int = 1  # the states after the newest so many positions are asked for; at most max(1, P)


@dataclass(slots=True)
class _Held:
    slot: int
    fingerprint: int
    length: int  # of the whole sequence
    num_positions: int  # of these, the newest so many are in the slot


class Slots:
    """Hands out ``num_slots`` slots of ``max_events`` positions each.

    Whoever asks must compute what `New` says before asking for ``num_slots`` further sequences, or `drop` it:
    an answer is remembered as done.
    """

    def __init__(self, num_slots: int, max_events: int, extend: Extend) -> None:
        self.num_slots = num_slots
        self.max_events = max_events
        self._extend = extend
        self._rows = np.zeros((num_slots, max_events), dtype=np.int64)
        self._times_ms = np.zeros((num_slots, max_events), dtype=np.int64)
        self.clear()

    def __len__(self) -> int:
        return len(self._held)

    def clear(self) -> None:
        """Nobody holds anything."""
        self._held: OrderedDict[tuple[str, str], _Held] = OrderedDict()  # oldest use first
        self._free = list(range(self.num_slots))

    def forget(self, user: str) -> None:
        """Give all slots of one user back."""
        for key in [key for key in self._held if key[0] == user]:
            self.drop(*key)

    def drop(self, user: str, kind: str) -> None:
        """Give the slot of one sequence back, if it has one."""
        held = self._held.pop((user, kind), None)
        if held is not None:
            self._free.append(held.slot)

    def without_decoding(self, wanted: Wanted, row: int) -> New | None:
        """No new position, or one (the newest item, at ``row``), if fingerprints prove it; else None."""
        held = self._held.get((wanted.user, wanted.kind))
        if held is None:
            return None
        if not self._same(held, wanted):
            if not self._extends(held, wanted):
                return None
            position = held.num_positions
            self._rows[held.slot, position] = row
            self._times_ms[held.slot, position] = wanted.ts_ms
            start, held.num_positions = position, position + 1
            held.fingerprint, held.length = wanted.fingerprint, wanted.length
        else:
            start = held.num_positions
        self._held.move_to_end((wanted.user, wanted.kind))
        return self._new(held, start)

    def appended(self, before: New, wanted: Wanted, row: int) -> New | None:
        """``before``, a question not yet computed, and one event more, asked for too; None if it is not that.

        A burst of one user's events is computed in one go so: position i sees only positions up to i.
        """
        if not len(before.rows):
            return None  # the state that ``before`` asks for would be overwritten
        more = self.without_decoding(wanted, row)
        if more is None or len(more.rows) != 1:
            return None
        stop = more.start + 1
        return New(
            slot=before.slot,
            start=before.start,
            rows=self._rows[before.slot, before.start : stop],
            times_ms=self._times_ms[before.slot, before.start : stop],
            num_asked=before.num_asked + 1,
        )

    def with_sequence(self, wanted: Wanted, rows: Sequence[int], times_ms: Sequence[int]) -> New:
        """Take a decoded sequence (oldest first, not empty): what differs from the slot's content is new.

        Of more than ``max_events`` events the newest count.
        """
        rows_n = np.asarray(rows[-self.max_events :], dtype=np.int64)
        times_n = np.asarray(times_ms[-self.max_events :], dtype=np.int64)
        held = self._held.get((wanted.user, wanted.kind)) or self._take(wanted)
        common = self._common(held, rows_n, times_n)
        if common == len(rows_n) < held.num_positions:
            common -= 1  # a slot remembers only the state of its newest position
        self._rows[held.slot, common : len(rows_n)] = rows_n[common:]
        self._times_ms[held.slot, common : len(rows_n)] = times_n[common:]
        held.fingerprint, held.length = wanted.fingerprint, wanted.length
        held.num_positions = len(rows_n)
        self._held.move_to_end((wanted.user, wanted.kind))
        return self._new(held, common)

    def _same(self, held: _Held, wanted: Wanted) -> bool:
        return (held.length, held.fingerprint) == (wanted.length, wanted.fingerprint)

    def _extends(self, held: _Held, wanted: Wanted) -> bool:
        """Exactly the newest event was added, and the window has not moved."""
        return (
            wanted.item is not None
            and held.length + 1 == wanted.length <= self.max_events
            and self._extend(held.fingerprint, wanted.item, wanted.ts_ms) == wanted.fingerprint
        )

    def _common(self, held: _Held, rows_n: npt.NDArray[np.int64], times_n: npt.NDArray[np.int64]) -> int:
        """Positions from the oldest on that the slot holds exactly so."""
        both = min(held.num_positions, len(rows_n))
        alike = (self._rows[held.slot, :both] == rows_n[:both]) & (
            self._times_ms[held.slot, :both] == times_n[:both]
        )
        return both if alike.all() else int(alike.argmin())

    def _take(self, wanted: Wanted) -> _Held:
        slot = self._free.pop() if self._free else self._held.popitem(last=False)[1].slot
        held = self._held[wanted.user, wanted.kind] = _Held(slot, 0, 0, 0)
        return held

    def _new(self, held: _Held, start: int) -> New:
        stop = held.num_positions
        return New(
            slot=held.slot,
            start=start,
            rows=self._rows[held.slot, start:stop],
            times_ms=self._times_ms[held.slot, start:stop],
        )
