"""Which theme a session belongs to: numpy over a published table, no torch.

Knows: items' theme logits, means over a session, the margin below which two themes are named.
Does not know: where the table comes from, how state is stored.

Routing whole sessions by the mean of their items' logits is our construction (MoS, arXiv 2604.20858, is known
to us by its abstract only).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import Protocol

import numpy as np
import numpy.typing as npt

from stream.codec import NO_THEME

#: Below this difference of the two best probabilities both themes are named.
TOP2_MARGIN = 0.1


class Table(Protocol):
    """Item → K theme logits, as a version publishes it (model.themes.ThemeTable)."""

    def logits_of(self, item: str) -> npt.NDArray[np.float32] | None: ...


class Router:
    """Routes sessions by one version's table; without a version every session is themeless."""

    def __init__(self, table: Table | None = None, version: str | None = None) -> None:
        self._table = table
        self.version = version

    def logits(self, item: str) -> npt.NDArray[np.float32] | None:
        """The item's K theme logits, None for an item outside the version."""
        return None if self._table is None else self._table.logits_of(item)

    def session_logits(self, items: Sequence[str]) -> tuple[list[float] | None, int]:
        """(sum of the items' logits, number of items that have any); the mean of them routes a session."""
        total: list[float] | None = None
        num = 0
        for item in items:
            logits = self.logits(item)
            if logits is not None:
                total = summed(total, logits)
                num += 1
        return total, num


def summed(total: list[float] | None, logits: npt.NDArray[np.float32]) -> list[float]:
    """A running sum of logits in float64; plain lists, because K is small and this runs at every click."""
    added: list[float] = logits.tolist()
    return added if total is None else [a + b for a, b in zip(total, added, strict=True)]


def choose(total: list[float] | None, num: int) -> tuple[tuple[int, float], ...]:
    """The session's themes as (theme, weight), heaviest first: one, or two when they are close; ties to the
    lowest theme. Empty when no item has logits."""
    if total is None or num == 0:
        return ()
    top = max(total)
    odds = [exp((logit - top) / num) for logit in total]
    scale = sum(odds)
    order = sorted(range(len(odds)), key=lambda theme: (-odds[theme], theme))[:2]
    named = [(theme, odds[theme] / scale) for theme in order]
    if len(named) > 1 and named[0][1] - named[1][1] >= TOP2_MARGIN:
        named.pop()
    return tuple(named)


def leading(themes: tuple[tuple[int, float], ...]) -> int:
    """The heaviest theme, or NO_THEME."""
    return themes[0][0] if themes else NO_THEME
