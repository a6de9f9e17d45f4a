"""Step 3 of a swap, second half: users who clicked lately are in a new version's cache before it serves.

Knows: who fits, in which order, how much is done between two turns.
Does not know: when a turn is, versions on disk, what happens when all are in.

It is done between turns and not on the thread that loads: both would run some hundred small operations each,
and hand the interpreter's lock to and fro for every one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stream.asking import Asking, Ranker, Unreadable
from stream.lists import JUDGED_ITEMS
from stream.recent import Kept, Recent

#: Ends after so long; who is not in by then is encoded whole at the next click.
FILL_S: Final = 60.0
#: Users between two turns: some 30 ms of one core with histories of a hundred events.
AT_ONCE: Final = 4


class Filling:
    """One version that proved itself, on its way to serve."""

    def __init__(self, ranker: Ranker, active: Sequence[Kept], now_s: float) -> None:
        """``active``: newest requests of users, who was active last at the end; the last ones that fit."""
        self.ranker = ranker
        self._ends_s = now_s + FILL_S
        self._left: list[Asking] = []  # who was active last is the first here, and the last to be encoded
        room = 1.0
        for kept in reversed(active):
            try:
                asking = Asking(kept.raw, kept.partition, kept.offset, 0, again=True)
            except Unreadable:
                continue  # it became a dead letter when it was answered
            room -= ranker.share(asking)
            if room < 0:
                break
            self._left.append(asking)
        self._users = [one.user for one in self._left]

    def step(self, now_s: float) -> bool:
        """Encode a few; whether that was all. Raises whatever the version makes the code do."""
        some, self._left = self._left[-AT_ONCE:], self._left[:-AT_ONCE]
        if some and now_s < self._ends_s:
            readable = [one for one in some[::-1] if one.readable()]  # decoded here, a few at a time
            if readable:
                self.ranker.rank(readable, JUDGED_ITEMS)
        return not self._left or now_s >= self._ends_s

    def forget(self, recent: Recent) -> None:
        """Drop whom `recent` does not know any more: forgotten meanwhile, or somebody else's user now."""
        for user in self._users:
            if user not in recent:
                self.ranker.forget(user)
