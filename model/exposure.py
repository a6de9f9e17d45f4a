"""How high provisional rows stand: in as many lists as the clicks on their items are worth.

Knows: the newest lists (their user's vector, the cosine of its tenth known item), decayed clicks per item.
Does not know: users, how a row is made, versions, the memory.

A row is a mean of users, so it looks right to everybody (a hub: Radovanović et al., JMLR 2010, section 4); a
few dozen that wait long for a trained row can fill the first places of every list. So each row is turned away
from the mean direction of these users, by FAR at most, until it stands in no more of the newest lists than
its item earns: PLACES places times its share of the newest clicks, times ``worth``. Those who keep it are the
users it fits best, and an item that draws clicks stands higher at once, whatever others do. Our construction.
"""

# L = lists, P = rows, M = streams, d = their width, D = M * d

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model.names import Arrays, pack_names, unpack_names

Vectors = npt.NDArray[np.float32]
Shares = npt.NDArray[np.float64]

#: First places of a list that count.
PLACES = 10
#: Lists that are kept, the newest; fewer than LEAST say too little, and rows stay as they are.
LISTS = 512
LEAST = 32
#: Clicks in which a click loses half its say.
HALF_LIFE = 1000
#: So many clicks at least are taken for the number of all: the first ones say nothing of a share.
FEW = 50.0
#: No row earns more of the lists.
MOST = 0.5
#: How far a row is turned at most: so many mean directions are taken off it.
FAR = 4.0
#: Halvings in the search for how far.
STEPS = 12


class Exposure:
    """Tell it of every list and of every click, in their order; then ask how rows are to stand."""

    def __init__(self, shape: tuple[int, int], worth: float) -> None:
        """``shape``: (M, d) of vectors and rows."""
        self.shape = shape
        self.worth = worth
        self._vectors_LD = np.zeros((LISTS, shape[0] * shape[1]), np.float32)
        self._tenth_L = np.zeros(LISTS, np.float32)
        self._num_lists = 0  # ever
        self._events = 0.0  # decayed
        self._num_clicks = 0  # ever
        self._clicks: dict[str, tuple[float, int]] = {}  # item → (decayed, as of which click)

    def __contains__(self, item: str) -> bool:
        return item in self._clicks

    def listed(self, vector_D: npt.ArrayLike, tenth: float) -> None:
        """A list was made for a user of this vector; ``tenth``: the cosine of its PLACESth known item."""
        place = self._num_lists % LISTS
        self._vectors_LD[place], self._tenth_L[place] = vector_D, tenth
        self._num_lists += 1

    def clicked(self, item: str | None) -> None:
        """A click: on this item, which has a row, or (None) on one that needs none."""
        self._num_clicks += 1
        self._events = self._events * _kept(1) + 1.0
        if item is not None:
            self._clicks[item] = (self._decayed(item) + 1.0, self._num_clicks)

    def forget(self, item: str) -> None:
        """It needs no row any more; unknown items are ignored."""
        self._clicks.pop(item, None)

    def of(self, items: Sequence[str]) -> Exposure:
        """A copy that has the clicks of these items alone."""
        made = copy.deepcopy(self)
        made._clicks = {item: self._clicks[item] for item in items if item in self._clicks}
        return made

    def earned(self, items: Sequence[str]) -> Shares:
        """(P,) the share of lists that each item's row may stand in."""
        clicks_P = np.array([self._decayed(item) for item in items], np.float64)
        return np.minimum(MOST, self.worth * PLACES * clicks_P / max(self._events, FEW))

    def turned(self, lines_PD: Vectors, items: Sequence[str]) -> Vectors:
        """(P, D) rows (streams of length 1) that stand in no more of the newest lists than they earn, as near
        to what they were as that allows."""
        vectors_LD, tenth_L = self._lists()
        if len(vectors_LD) < LEAST or not len(items):
            return lines_PD
        earned_P = self.earned(items)
        away_Md = unit_streams(vectors_LD.mean(axis=0).reshape(self.shape))
        lines_PMd = lines_PD.reshape(-1, *self.shape)

        def by(far_P: Shares) -> Vectors:
            turned_PMd = unit_streams(lines_PMd - far_P.astype(np.float32)[:, None, None] * away_Md)
            return turned_PMd.reshape(lines_PD.shape)

        def too_often(lines_PD: Vectors) -> npt.NDArray[np.bool_]:
            shown_P = ((lines_PD @ vectors_LD.T) > tenth_L).mean(axis=1)
            return np.asarray(shown_P > earned_P)

        low_P, high_P = np.zeros(len(items)), np.full(len(items), FAR)
        hub_P = too_often(lines_PD)
        for _ in range(STEPS):
            middle_P = (low_P + high_P) / 2
            still_P = too_often(by(middle_P))
            low_P, high_P = np.where(still_P, middle_P, low_P), np.where(still_P, high_P, middle_P)
        return np.where(hub_P[:, None], by(high_P), lines_PD)

    def to_arrays(self) -> Arrays:
        """Everything, for a snapshot."""
        vectors_LD, tenth_L = self._lists()
        return {
            "vectors": vectors_LD.copy(),
            "tenth": tenth_L.copy(),
            "events": np.array([self._events], np.float64),
            "counts": np.array([self._num_lists, self._num_clicks], np.int64),
            **pack_names("items", list(self._clicks)),
            "clicks": np.array([clicks for clicks, _ in self._clicks.values()], np.float64),
            "as_of": np.array([as_of for _, as_of in self._clicks.values()], np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, shape: tuple[int, int], worth: float) -> Exposure:
        """Raises KeyError, ValueError when they are none of to_arrays'."""
        made = cls(shape, worth)
        num = len(arrays["tenth"])
        made._vectors_LD[:num], made._tenth_L[:num] = arrays["vectors"], arrays["tenth"]
        made._events = float(arrays["events"][0])
        made._num_lists, made._num_clicks = np.asarray(arrays["counts"], np.int64).tolist()
        items = unpack_names("items", arrays)
        clicks = np.asarray(arrays["clicks"], np.float64).tolist()
        as_of = np.asarray(arrays["as_of"], np.int64).tolist()
        made._clicks = dict(zip(items, zip(clicks, as_of, strict=True), strict=True))
        return made

    def _lists(self) -> tuple[Vectors, Vectors]:
        num = min(self._num_lists, LISTS)
        return self._vectors_LD[:num], self._tenth_L[:num]

    def _decayed(self, item: str) -> float:
        clicks, as_of = self._clicks.get(item, (0.0, self._num_clicks))
        return clicks * _kept(self._num_clicks - as_of)


def unit_streams(x: Vectors) -> Vectors:
    """The last axis to length 1; a zero vector stays zero."""
    norms = np.linalg.norm(x, axis=-1, keepdims=True)
    unit: Vectors = (x / np.maximum(norms, 1e-6)).astype(np.float32)
    return unit


def _kept(clicks: int) -> float:
    return float(0.5 ** (clicks / HALF_LIFE))
