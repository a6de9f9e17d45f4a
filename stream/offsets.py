"""Which offset of a partition may be committed: everything before it is done.

Knows: where reading began, which offsets are done, which do not exist. Does not know: Kafka, Faust.
"""

from __future__ import annotations


class Progress:
    """One partition's finished prefix; offsets finish in any order and are reported in order."""

    __slots__ = ("_absent", "_done", "_end", "stored")

    def __init__(self, start: int) -> None:
        """``start``: the next offset to be read when reading began, which is what the group has committed."""
        self._end = start  # all offsets below are done
        self._done: set[int] = set()  # done, at or above the end
        self._absent: dict[int, int] = {}  # first offset that does not exist → first that does again
        self.stored = start  # what the broker is known to hold

    def done(self, offset: int) -> None:
        """``offset`` needs no more work; said twice, or below the start, it changes nothing."""
        if offset >= self._end:
            self._done.add(offset)

    def absent(self, start: int, end: int) -> None:
        """The broker has no offsets from ``start`` to ``end`` - 1: retention or a transaction took them."""
        self._absent[start] = end

    def committable(self) -> int:
        """The largest offset below which everything is done."""
        while True:
            if self._end in self._done:
                self._done.remove(self._end)
                self._end += 1
            elif self._end in self._absent:
                self._end = self._absent.pop(self._end)
            else:
                return self._end
