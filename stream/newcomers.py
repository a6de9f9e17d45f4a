"""How long an item that the warm start did not know needs until somebody's list holds it.

Knows: when such items were taken and listed, by record timestamps. Does not know: Kafka, what is new (the
caller says), who lists.

Everything is a smallest time, so topics may be read in any interleaving. "Events" are the item's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

#: New items told apart; further ones are counted only.
MAX_ITEMS: Final = 200_000
#: Times kept of an item that no list has shown; further events of it are not counted.
MAX_TIMES: Final = 256


@dataclass(slots=True)
class _Item:
    shown_ms: int | None = None
    times_ms: list[int] = field(default_factory=list)  # of its events


class Newcomers:
    """Tell it of events and lists of new items, then ask."""

    def __init__(self, max_items: int = MAX_ITEMS) -> None:
        self._max_items = max_items
        self._items: dict[str, _Item] = {}
        self._epochs: dict[int, int] = {}  # epoch → time of its first list
        self.left_out = 0

    def took(self, item: str, written_ms: int) -> None:
        """A positive event on a new item."""
        known = self._known(item)
        if known is not None and len(known.times_ms) < MAX_TIMES:
            known.times_ms.append(written_ms)

    def listed(self, items: Iterable[str], epoch: int, written_ms: int) -> None:
        """New items of one list's first 50 places."""
        self._epochs[epoch] = min(written_ms, self._epochs.get(epoch, written_ms))
        for item in items:
            known = self._known(item)
            if known is not None and (known.shown_ms is None or written_ms < known.shown_ms):
                known.shown_ms = written_ms

    def figures(self) -> dict[str, Any]:
        """How many were taken and shown, and the way from the first event to the first list: seconds and
        events of the item, apart for items that a version published meanwhile may have brought."""
        taken = [item for item in self._items.values() if item.times_ms]
        shown = [(min(item.times_ms), item.shown_ms, item.times_ms) for item in taken if item.shown_ms]
        within: list[tuple[float, int]] = []
        across: list[tuple[float, int]] = []
        for first_ms, shown_ms, times in shown:
            way = (
                max(0.0, (shown_ms - first_ms) / 1000),
                max(1, sum(time_ms <= shown_ms for time_ms in times)),
            )
            published = any(first_ms < began_ms <= shown_ms for began_ms in self._epochs.values())
            (across if published else within).append(way)
        return {
            "taken": len(taken),
            "shown": len(shown),
            "left_out": self.left_out,
            "same_version": _percentiles(within),
            "new_version": _percentiles(across),
        }

    def state(self) -> dict[str, Any]:
        """For a snapshot."""
        return {
            "items": [[item, known.shown_ms, known.times_ms] for item, known in self._items.items()],
            "epochs": list(self._epochs.items()),
            "left_out": self.left_out,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._items = {item: _Item(shown_ms, times) for item, shown_ms, times in state["items"]}
        self._epochs = {epoch: began_ms for epoch, began_ms in state["epochs"]}
        self.left_out = state["left_out"]

    def _known(self, item: str) -> _Item | None:
        known = self._items.get(item)
        if known is None:
            if len(self._items) >= self._max_items:
                self.left_out += 1
                return None
            known = self._items[item] = _Item()
        return known


def _percentiles(ways: Sequence[tuple[float, int]]) -> dict[str, Any]:
    """Of (seconds, events): how many, p50 and p95; None for none."""
    if not ways:
        return {"items": 0, "seconds": None, "events": None}
    seconds, events = np.percentile(np.array(ways), (50, 95), axis=0).T
    return {
        "items": len(ways),
        "seconds": {"p50": round(float(seconds[0]), 3), "p95": round(float(seconds[1]), 3)},
        "events": {"p50": float(events[0]), "p95": float(events[1])},
    }
