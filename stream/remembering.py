"""The fast memory asked about a request, in the terms of the version that serves.

Knows: which code of the memory is which line of the version. Does not know: what a memory keeps, rankings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.blend import NO_LINE
from model.memory import Memory, Recalled
from stream.records import Header

IntArray = npt.NDArray[np.int64]


class Remembered(NamedTuple):
    """What the memory said of one state."""

    recalled: Recalled
    lines_R: IntArray  # per recalled item: its line in the version that serves, or NO_LINE


class Remembering:
    """One memory beside one version."""

    def __init__(self, memory: Memory, lines_of: Callable[[Sequence[str]], IntArray] | None = None) -> None:
        """``lines_of``: the lines of the version's items, NO_LINE for all others; None: no version serves."""
        self.memory = memory
        self._lines_of = lines_of
        self._lines_I = np.zeros(0, np.int64) if lines_of is None else lines_of(memory.items.ids)  # by code

    def learned(self, item: str) -> None:
        """The memory has just learned an event on this item: its code may be new, or another's before."""
        code = self.memory.items.get(item)
        if code is None or self._lines_of is None:
            return
        if code >= len(self._lines_I):
            more = np.full(max(64, code + 1), NO_LINE)
            self._lines_I = np.concatenate([self._lines_I, more])
        self._lines_I[code] = self._lines_of([item])[0]

    def ask(self, header: Header) -> Remembered:
        """Neighbours of the user's newest items, less those of what the user rejected lately."""
        items = () if header.item is None else (*header.prev[::-1], header.item)
        recalled = self.memory.recall(items, header.hidden)
        if self._lines_of is None:
            return Remembered(recalled, np.full(len(recalled.codes_C), NO_LINE))
        return Remembered(recalled, self._lines_I[recalled.codes_C])

    def codes(self, items: Collection[str]) -> IntArray:
        """Codes of those that the memory knows."""
        return self.memory.items.known(items)
