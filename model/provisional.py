"""Provisional rows: lines for items that a version has no row for, from the users who took them.

Knows: user vectors just before a click, the mean of a version's live lines, the newest clicks of each item.
Does not know: users, networks, scores, when a row is replaced by a trained one.

A new item's line is the normalised mean, stream by stream, of the ungated user vectors of the states before
its newest clicks: the line those users' product is highest with. Such a line lies near the average user and
would stand high in everybody's list (a hub), so each stream is turned towards the live mean until its cosine
with the undamped one is ``cosine``. Our construction. Vectors belong to one version, and to its updates
nearly: ``beside`` turns undamped lines, which are kept, towards another version's live mean.
"""

# P = items, C = clicks of an item, M = streams, d = their width, D = M * d, L = live items

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.names import pack_names, unpack_names

Vectors = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionalConfig:
    """The cosine is chosen on the end of a warm part (model/online_choices.py)."""

    cosine: float = 0.85  # of a damped stream with the undamped one; 1 = no damping
    clicks: int = 32  # newest clicks of an item that count
    max_items: int = 4096  # 16 KB each at most, at width 128; beyond it the stalest goes

    def __post_init__(self) -> None:
        if not 0 < self.cosine <= 1 or self.clicks < 1 or self.max_items < 1:
            raise ValueError(
                f"cosine {self.cosine} must lie in (0, 1], clicks {self.clicks} and "
                f"max_items {self.max_items} must be positive"
            )


class ProvisionalRows:
    """Of one version: item id → line, moved by every click."""

    def __init__(self, mean_Md: Vectors, config: ProvisionalConfig | None = None) -> None:
        """``mean_Md``: live_mean of the version's index."""
        self.config = config or ProvisionalConfig()
        self._mean_Md = np.asarray(mean_Md, np.float32)
        self._clicks: OrderedDict[str, deque[Vectors]] = OrderedDict()  # the stalest first
        self._places: dict[str, int] = {}
        self._items: list[str] = []
        self.changes = 0  # how often an item came or went
        self._lines_PD = np.zeros((0, self._mean_Md.size), np.float32)
        self._undamped_PD = self._lines_PD

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

    def place(self, item: str) -> int | None:
        """Of the item in ``items``, or None without a row."""
        return self._places.get(item)

    def line(self, item: str) -> Vectors | None:
        """(D,), or None for an item without a click."""
        place = self._places.get(item)
        return None if place is None else self._lines_PD[place]

    def observe(self, item: str, vector_D: npt.ArrayLike) -> None:
        """A click on ``item`` by a user of this ungated vector, taken before the click; of any length."""
        clicks = self._clicks.get(item)
        if clicks is None:
            clicks = self._clicks[item] = deque(maxlen=self.config.clicks)
            self._admit(item)
        self._clicks.move_to_end(item)
        clicks.append(unit_streams(np.asarray(vector_D, np.float32).reshape(self._mean_Md.shape)))
        mean_Md = _undamped(clicks)
        self._undamped_PD[self._places[item]] = mean_Md.ravel()
        self._lines_PD[self._places[item]] = damped(mean_Md, self._mean_Md, self.config.cosine).ravel()

    def put(self, item: str, line_D: npt.ArrayLike) -> None:
        """A line, as of from_categories, for an item nobody has clicked yet; its first click replaces it."""
        if item not in self._places:
            self._clicks[item] = deque(maxlen=self.config.clicks)
            self._admit(item)
            self._lines_PD[self._places[item]] = np.asarray(line_D, np.float32)

    def beside(self, mean_Md: Vectors, items: Collection[str]) -> ProvisionalRows:
        """Rows of those of ``items`` that were clicked, for a version with another live mean, as if it had
        observed the same clicks; the clicks of the two are one, so only one of them may observe more."""
        made = ProvisionalRows(mean_Md, self.config)
        made._clicks = OrderedDict(
            (item, clicks) for item, clicks in self._clicks.items() if clicks and item in items
        )
        made._items = list(made._clicks)
        made._places = {item: place for place, item in enumerate(made._items)}
        made._undamped_PD = self._undamped_PD[[self._places[item] for item in made._items]]
        undamped_PMd = made._undamped_PD.reshape(-1, *self.shape)
        made._lines_PD = damped(undamped_PMd, made._mean_Md, self.config.cosine).reshape(
            made._undamped_PD.shape
        )
        return made

    @property
    def shape(self) -> tuple[int, ...]:
        """(M, d) of every vector."""
        return self._mean_Md.shape

    def clicks(self) -> Iterator[tuple[str, Sequence[Vectors]]]:
        """Items, the stalest first, and the vectors of their newest clicks, oldest first."""
        yield from self._clicks.items()

    def forget(self, item: str) -> None:
        """The version has a trained row for it now; unknown items are ignored."""
        place = self._places.pop(item, None)
        if place is None:
            return
        del self._clicks[item]
        self.changes += 1
        last = len(self._items) - 1
        if place != last:  # the last line fills the hole
            self._items[place] = self._items[last]
            self._places[self._items[place]] = place
            self._lines_PD[place] = self._lines_PD[last]
            self._undamped_PD[place] = self._undamped_PD[last]
        self._items.pop()

    def to_arrays(self) -> Arrays:
        """Everything, for a snapshot; from_arrays gives an object that answers the same, bit for bit."""
        stalest_first = list(self._clicks)
        vectors = [vector for clicks in self._clicks.values() for vector in clicks]
        return {
            **pack_names("items", self._items),
            **pack_names("stalest_first", stalest_first),
            "counts": np.array([len(clicks) for clicks in self._clicks.values()], np.int64),
            "vectors": np.array(vectors, np.float32).reshape(-1, *self._mean_Md.shape),
            "lines": self.lines.copy(),
            "mean": self._mean_Md.copy(),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, config: ProvisionalConfig | None = None) -> ProvisionalRows:
        made = cls(np.asarray(arrays["mean"], np.float32), config)
        ends = np.cumsum(np.asarray(arrays["counts"], np.int64))
        parts = np.split(np.asarray(arrays["vectors"], np.float32), ends[:-1]) if len(ends) else []
        for item, part in zip(unpack_names("stalest_first", arrays), parts, strict=True):
            made._clicks[item] = deque(part, maxlen=made.config.clicks)
        made._items = unpack_names("items", arrays)
        made._places = {item: place for place, item in enumerate(made._items)}
        made._lines_PD = np.array(arrays["lines"], np.float32)
        made._undamped_PD = made._lines_PD.copy()
        for item, clicks in made._clicks.items():
            if clicks:
                made._undamped_PD[made._places[item]] = _undamped(clicks).ravel()
        return made

    def _admit(self, item: str) -> None:
        if len(self._items) >= self.config.max_items:
            self.forget(next(iter(self._clicks)))
        if len(self._items) == len(self._lines_PD):
            more = np.zeros((max(16, len(self._items)), self._mean_Md.size), np.float32)
            self._lines_PD = np.concatenate([self._lines_PD, more])
            self._undamped_PD = np.concatenate([self._undamped_PD, more])
        self._places[item] = len(self._items)
        self._items.append(item)
        self.changes += 1


def _undamped(clicks: Collection[Vectors]) -> Vectors:
    """(M, d): the normalised mean of vectors of clicks."""
    return unit_streams(np.mean(np.stack(list(clicks)), axis=0))


def damped(lines: Vectors, mean_Md: Vectors, cosine: float) -> Vectors:
    """Unit streams (..., M, d) turned in their plane with ``mean_Md`` towards it, to this cosine with
    themselves; not past the mean, and not at all where the two are parallel."""
    along = (lines * mean_Md).sum(axis=-1, keepdims=True)
    across = mean_Md - along * lines
    length = np.linalg.norm(across, axis=-1, keepdims=True)
    keep = np.where(length > 1e-6, np.maximum(np.float32(cosine), along), np.float32(1.0))
    turned: Vectors = keep * lines + np.sqrt(np.maximum(0.0, 1.0 - keep**2)) * across / np.maximum(
        length, 1e-6
    )
    return turned.astype(np.float32)


def live_mean(lines_LD: Vectors, streams: int) -> Vectors:
    """(M, d): the direction of the mean of these lines, stream by stream; zero without lines."""
    if not len(lines_LD):
        return np.zeros((streams, lines_LD.shape[1] // streams), np.float32)
    return unit_streams(lines_LD.mean(axis=0, dtype=np.float64).reshape(streams, -1).astype(np.float32))


def from_categories(
    categories: Iterable[str], of_category: Mapping[str, Sequence[int]], index_ID: Vectors, streams: int
) -> Vectors | None:
    """(D,) for an item without a click: the direction of the mean line of the items that share a category
    with it, each category counting alike; None where nobody does. ``of_category``: lines of the index."""
    means = [index_ID[of_category[name]].mean(axis=0) for name in categories if of_category.get(name)]
    if not means:
        return None
    return unit_streams(np.mean(means, axis=0).reshape(streams, -1)).ravel()


def unit_streams(x: Vectors) -> Vectors:
    """The last axis to length 1; a zero vector stays zero."""
    norms = np.linalg.norm(x, axis=-1, keepdims=True)
    unit: Vectors = (x / np.maximum(norms, 1e-6)).astype(np.float32)
    return unit
