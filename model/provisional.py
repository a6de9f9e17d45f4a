"""Provisional rows: lines for items that a version has no row for, from the users who took them.

Knows: user vectors just before a click, the newest clicks of each item.
Does not know: users, networks, how high a row may stand (model/exposure.py), when a trained one replaces it.

A new item's line is the normalised mean, stream by stream, of the ungated user vectors of the states before
its newest clicks: the line those users' product is highest with. Such a line lies near the average user and
would stand high in everybody's list, so it is turned away until it stands where its item's clicks place it.
Our construction. Vectors belong to one version, and to its updates nearly.
"""

# P = items, C = clicks of an item, M = streams, d = their width, D = M * d, L = live items

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from model.exposure import Exposure, unit_streams
from model.names import Arrays, inside, pack_names, under, unpack_names

Vectors = npt.NDArray[np.float32]

#: Clicks of anybody on anything after which all rows are turned anew, for lists and clicks have moved on.
SETTLED_EVERY: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionalConfig:
    """``worth`` was chosen on the ends of four warm parts (docs/LOG.md)."""

    worth: float = 1.0  # places in lists, as a multiple of the item's share of clicks
    clicks: int = 32  # newest clicks of an item that count
    max_items: int = 4096  # 16 KB each at most, at width 128; beyond it the stalest goes

    def __post_init__(self) -> None:
        if self.worth <= 0 or self.clicks < 1 or self.max_items < 1:
            raise ValueError(
                f"worth {self.worth}, clicks {self.clicks} and max_items {self.max_items} must be positive"
            )


class ProvisionalRows:
    """Of one version: item id → line, moved by every click."""

    def __init__(
        self,
        shape: tuple[int, int],
        config: ProvisionalConfig | None = None,
        exposure: Exposure | None = None,
    ) -> None:
        """``shape``: (M, d) of the version's user vectors; ``exposure``: of the version before, if it goes
        on."""
        self.config = config or ProvisionalConfig()
        self.shape = shape
        self.exposure = exposure or Exposure(shape, self.config.worth)
        self._since_settled = 0  # clicks
        self._clicks: OrderedDict[str, deque[Vectors]] = OrderedDict()  # the stalest first
        self._places: dict[str, int] = {}
        self._items: list[str] = []
        self.changes = 0  # how often an item came or went
        self._lines_PD = np.zeros((0, shape[0] * shape[1]), np.float32)
        self._meant_PD = self._lines_PD  # before they are turned

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: str) -> bool:
        return item in self._places

    @property
    def items(self) -> list[str]:
        """Ids in the order of ``lines``; not to be changed."""
        return self._items

    @property
    def lines(self) -> Vectors:
        """(P, D): as the version's index, each stream of length 1; not to be changed."""
        return self._lines_PD[: len(self._items)]

    def line(self, item: str) -> Vectors | None:
        """(D,), or None for an item without a click."""
        place = self._places.get(item)
        return None if place is None else self._lines_PD[place]

    def listed(self, vector_D: npt.ArrayLike, tenth: float) -> None:
        """A list was made for a user of this vector, gated; ``tenth``: the cosine of its tenth known item."""
        self.exposure.listed(vector_D, tenth)

    def observe(self, item: str, vector_D: npt.ArrayLike) -> None:
        """A click on ``item`` by a user of this ungated vector, taken before the click; of any length."""
        self.recall(item, vector_D)
        self.exposure.clicked(item)
        place = self._places[item]
        self._lines_PD[place] = self.exposure.turned(self._meant_PD[place : place + 1], [item])[0]
        self._settle_now_and_then()

    def recall(self, item: str, vector_D: npt.ArrayLike) -> None:
        """The same for a click that the exposure counts already; the row is turned by the next ``settle``."""
        clicks = self._clicks.get(item)
        if clicks is None:
            clicks = self._clicks[item] = deque(maxlen=self.config.clicks)
            self._admit(item)
        self._clicks.move_to_end(item)
        clicks.append(unit_streams(np.asarray(vector_D, np.float32).reshape(self.shape)))
        place = self._places[item]
        self._meant_PD[place] = _mean(clicks).ravel()

    def passed(self, item: str) -> None:
        """A click that makes no row and tells none where to point, as the item needs none or nothing is known
        of the user; for a row that is there, or was when the exposure began, it counts."""
        self.exposure.clicked(item if item in self._places or item in self.exposure else None)
        self._settle_now_and_then()

    def settle(self) -> None:
        """Turn all rows anew."""
        self._since_settled = 0
        self._lines_PD = np.array(self.exposure.turned(self._meant_PD[: len(self)], self._items))
        self._meant_PD = self._meant_PD[: len(self)]

    def beside(self, items: Collection[str]) -> ProvisionalRows:
        """Rows of those of ``items`` that have one, for an update of the version, as if it had observed
        the same clicks and made the same lists; the clicks of the two are one, so only one of them may
        observe more."""
        made = ProvisionalRows(self.shape, self.config, self.exposure.of([*items]))
        made._clicks = OrderedDict((item, clicks) for item, clicks in self._clicks.items() if item in items)
        made._items = list(made._clicks)
        made._places = {item: place for place, item in enumerate(made._items)}
        made._meant_PD = self._meant_PD[[self._places[item] for item in made._items]]
        made.settle()
        return made

    def forget(self, item: str) -> None:
        """The version has a trained row for it now; unknown items are ignored."""
        place = self._places.pop(item, None)
        if place is None:
            return
        del self._clicks[item]
        self.exposure.forget(item)
        self.changes += 1
        last = len(self._items) - 1
        if place != last:  # the last line fills the hole
            self._items[place] = self._items[last]
            self._places[self._items[place]] = place
            self._lines_PD[place] = self._lines_PD[last]
            self._meant_PD[place] = self._meant_PD[last]
        self._items.pop()

    def to_arrays(self) -> Arrays:
        """Everything, for a snapshot; from_arrays gives an object that answers the same, bit for bit."""
        stalest_first = list(self._clicks)
        vectors = [vector for clicks in self._clicks.values() for vector in clicks]
        return {
            **pack_names("items", self._items),
            **pack_names("stalest_first", stalest_first),
            "counts": np.array([len(clicks) for clicks in self._clicks.values()], np.int64),
            "vectors": np.array(vectors, np.float32).reshape(-1, *self.shape),
            "meant": self._meant_PD[: len(self)].copy(),
            "lines": self.lines.copy(),
            "since_settled": np.array([self._since_settled], np.int64),
            **under("exposure", self.exposure.to_arrays()),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Arrays, shape: tuple[int, int], config: ProvisionalConfig | None = None
    ) -> ProvisionalRows:
        """Raises KeyError, ValueError when they are none of to_arrays', or of another shape."""
        made = cls(shape, config)
        ends = np.cumsum(np.asarray(arrays["counts"], np.int64))
        vectors = np.asarray(arrays["vectors"], np.float32).reshape(-1, *shape)
        parts = np.split(vectors, ends[:-1]) if len(ends) else []
        for item, part in zip(unpack_names("stalest_first", arrays), parts, strict=True):
            made._clicks[item] = deque(part, maxlen=made.config.clicks)
        made._items = unpack_names("items", arrays)
        made._places = {item: place for place, item in enumerate(made._items)}
        made._lines_PD = np.array(arrays["lines"], np.float32)
        made._meant_PD = np.array(arrays["meant"], np.float32)
        made._since_settled = int(np.asarray(arrays["since_settled"], np.int64)[0])
        made.exposure = Exposure.from_arrays(inside("exposure", arrays), shape, made.config.worth)
        return made

    def _settle_now_and_then(self) -> None:
        self._since_settled += 1
        if self._since_settled >= SETTLED_EVERY:
            self.settle()

    def _admit(self, item: str) -> None:
        if len(self._items) >= self.config.max_items:
            self.forget(next(iter(self._clicks)))
        if len(self._items) == len(self._lines_PD):
            more = np.zeros((max(16, len(self._items)), self._lines_PD.shape[1]), np.float32)
            self._lines_PD = np.concatenate([self._lines_PD, more])
            self._meant_PD = np.concatenate([self._meant_PD, more])
        self._places[item] = len(self._items)
        self._items.append(item)
        self.changes += 1


def _mean(clicks: Collection[Vectors]) -> Vectors:
    """(M, d): the normalised mean of vectors of clicks."""
    return unit_streams(np.mean(np.stack(list(clicks)), axis=0))


def shape_of(arrays: Arrays) -> tuple[int, int]:
    """(M, d) of the rows that a snapshot holds. Raises KeyError."""
    _, streams, width = arrays["vectors"].shape
    return streams, width
