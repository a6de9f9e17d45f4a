"""The fast memory: which items are taken by the same users within few events, learned at every event.

Knows: items, pairs, decayed counts, the best neighbours of each item. Does not know: users, models, lists.

Score of item i after a user's newest distinct items h_0 (the newest), h_1 ... h_(L-1) (our construction on
item-based top-N recommendation: Deshpande and Karypis, ACM TOIS 2004):

    sum over p of fade^p pairs(h_p, i) / sqrt((count(h_p) + d) (count(i) + d))

An event on i after the same items adds fade^p to each pairs(h_p, i), which is symmetric. Pairs and counts
decay forward (Cormode et al., ICDE 2009): an event at time t adds 2^((t - landmark) / half-life), so nothing
has to be touched as time goes by. Of each item the ``neighbours`` heaviest partners are kept; a newcomer
takes the place of the lightest, which decay makes the one unheard of for longest. 8 bytes per neighbour: 2 KB
per item at 256. Beyond ``max_items`` the tenth untouched for longest is forgotten.
"""

# I = codes in use, L = items of a history, K = neighbours, C = scored items

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.names import pack_names, unpack_names
from model.recommender import Codes, FloatArray, IntArray

Gains = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]

DAY_MS = 24 * 3600 * 1000
#: Move the landmark before 2^x leaves the range of a 32-bit float (about 2^127).
MAX_EXPONENT = 60.0
FREE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryConfig:
    """What is kept and how it is weighed; chosen on the end of a warm part, never on the stream."""

    window: int = 20  # L: newest distinct items that pair with an event and that are asked about
    neighbours: int = 256  # K, at least the window
    half_life_ms: int = 3650 * DAY_MS
    damping: float = 5.0  # d, in events: distrusts pairs of items that are rarely taken
    fade: float = 0.9  # weight of an item of the window against the one after it
    max_items: int = 1_000_000

    def __post_init__(self) -> None:
        if not 0 < self.window <= self.neighbours:
            raise ValueError(f"window {self.window} must be positive and within neighbours {self.neighbours}")


class Recalled(NamedTuple):
    """What a memory has to say after one history: its neighbours and nothing else."""

    codes_C: IntArray  # of Memory.items, ascending
    scores_C: FloatArray  # above 0


class Memory:
    """Pairs of items, bounded, exact to replay: the same events in the same order leave the same state."""

    def __init__(self, config: MemoryConfig | None = None) -> None:
        self.config = config or MemoryConfig()
        self.items = Codes()
        self._landmark_ms: int | None = None
        self._now = 1.0  # weight of an event at the newest time seen
        self._num_events = 0
        self._free: list[int] = []
        self._counts = np.zeros(0)  # decayed events by code
        self._touched = np.zeros(0, np.int64)  # number of the event that last touched a code; 0 if free
        self._partners_IK = np.zeros((0, self.config.neighbours), np.int32)
        self._pairs_IK = np.zeros((0, self.config.neighbours), np.float32)

    def __len__(self) -> int:
        """Items with at least one event, without forgotten ones."""
        return len(self.items) - len(self._free)

    def learn(self, history: Sequence[str], item: str, ts_ms: int) -> None:
        """One event: ``item`` after ``history``, the user's earlier items, oldest first."""
        gain = self._gain(ts_ms)
        code = self._admit(item)
        self._num_events += 1
        self._counts[code] += gain
        self._touched[code] = self._num_events
        others = self.items.known(name for name in latest(history, self.config.window) if name != item)
        if len(others):
            gains_L = (gain * self._fades(len(others))).astype(np.float32)
            self._add_partners(code, others, gains_L)
            self._add_to_partners(others, code, gains_L)

    def scores(self, history: Sequence[str]) -> FloatArray:
        """(I,) by code of ``items``: 0 for no neighbour of the newest items, -inf for a forgotten code."""
        scores_I = np.zeros(len(self.items))
        recalled = self.recall(history)
        scores_I[recalled.codes_C] = recalled.scores_C
        if self._free:
            scores_I[self._free] = -np.inf
        return scores_I

    def recall(self, history: Sequence[str], rejected: Sequence[str] = ()) -> Recalled:
        """Every neighbour of the newest items with its score.

        ``rejected``, oldest first: their neighbours' scores, as if they were asked about, are taken off, and
        what falls to 0 is left out (our construction).
        """
        sums = self._sums(history)
        if rejected:
            off = self._sums(rejected)[: len(sums)]
            sums[: len(off)] -= off
        codes_C = np.flatnonzero(sums > 0)
        return Recalled(codes_C, sums[codes_C] * self._norms(codes_C))

    def shares(self, history: Sequence[str], item: str) -> dict[str, float]:
        """What each of the newest items adds to the score of ``item``; empty without a neighbour."""
        code = self.items.get(item)
        if code is None:
            return {}
        norm = float(self._norms(np.array([code]))[0])
        alone = {name: self._sums([name]) for name in latest(history, self.config.window)}
        asked = [name for name in alone if self.items.get(name) is not None]
        return {
            name: float(alone[name][code]) * self.config.fade**place * norm
            for place, name in enumerate(asked)
            if len(alone[name]) > code and alone[name][code] > 0
        }

    def _sums(self, history: Sequence[str]) -> FloatArray:
        """By code, as far as there are neighbours: the score without the factor of the scored item."""
        asked_L = self.items.known(latest(history, self.config.window))
        partners = self._partners_IK[asked_L]
        used = partners != FREE
        weights_L = self._norms(asked_L) * self._fades(len(asked_L))
        weights = self._pairs_IK[asked_L][used] * np.repeat(weights_L, used.sum(axis=1))
        return np.bincount(partners[used], weights).astype(np.float64, copy=False)

    def _norms(self, codes: IntArray) -> FloatArray:
        return 1.0 / np.sqrt(self._counts[codes] + self.config.damping * self._now + 1e-300)

    def to_arrays(self) -> Arrays:
        """Everything, for a snapshot: free places of rows are left out. from_arrays gives it back."""
        num = len(self.items)
        partners_IK, pairs_IK = self._partners_IK[:num], self._pairs_IK[:num]
        used = partners_IK != FREE
        landmark = [] if self._landmark_ms is None else [self._landmark_ms]
        return {
            **pack_names("items", self.items.ids),
            "landmark_ms": np.array(landmark, np.int64),
            "now": np.array([self._now]),
            "num_events": np.array([self._num_events], np.int64),
            "free": np.array(self._free, np.int64),
            "counts": self._counts[:num].copy(),
            "touched": self._touched[:num].copy(),
            "used": np.packbits(used, axis=1),
            "partners": partners_IK[used],
            "pairs": pairs_IK[used],
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, config: MemoryConfig | None = None) -> Memory:
        """Raises ValueError, KeyError when the arrays are not of a memory of this shape."""
        made = cls(config)
        names = unpack_names("items", arrays)
        if len(names) > made.config.max_items:
            raise ValueError(f"{len(names)} items, at most {made.config.max_items}")
        made._free = [int(code) for code in arrays["free"]]
        made.items.restore(names, made._free)
        if len(arrays["landmark_ms"]):
            made._landmark_ms = int(arrays["landmark_ms"][0])
        made._now = float(arrays["now"][0])
        made._num_events = int(arrays["num_events"][0])
        made._counts = np.array(arrays["counts"], np.float64)
        made._touched = np.array(arrays["touched"], np.int64)
        wide = (len(names), made.config.neighbours)
        if arrays["used"].shape != (len(names), (made.config.neighbours + 7) // 8):
            raise ValueError(f"rows of shape {arrays['used'].shape}, expected bits of {wide}")
        used = np.unpackbits(arrays["used"], axis=1, count=made.config.neighbours).astype(bool)
        made._partners_IK = np.full(wide, FREE, np.int32)
        made._pairs_IK = np.zeros(wide, np.float32)
        made._partners_IK[used], made._pairs_IK[used] = arrays["partners"], arrays["pairs"]
        return made

    def _add_partners(self, code: int, others_L: IntArray, gains_L: Gains) -> None:
        """Raise the pairs in the row of ``code``, making room for partners it does not hold."""
        partners_K, pairs_K = self._partners_IK[code], self._pairs_IK[code]
        line, place = np.nonzero(others_L[:, None] == partners_K)
        pairs_K[place] += gains_L[line]
        missing_L = np.ones(len(others_L), bool)
        missing_L[line] = False
        num_missing = int(missing_L.sum())
        if num_missing:
            order = pairs_K.copy()
            order[place] = np.inf  # those just raised stay
            room = np.argsort(order, kind="stable")[:num_missing]
            partners_K[room], pairs_K[room] = others_L[missing_L], gains_L[missing_L]

    def _add_to_partners(self, others_L: IntArray, code: int, gains_L: Gains) -> None:
        """Raise the pair with ``code`` in each partner's row."""
        line, place = np.nonzero(self._partners_IK[others_L] == code)
        self._pairs_IK[others_L[line], place] += gains_L[line]
        missing_L = np.ones(len(others_L), bool)
        missing_L[line] = False
        rows = others_L[missing_L]
        if len(rows):
            room = self._pairs_IK[rows].argmin(axis=1)
            self._partners_IK[rows, room], self._pairs_IK[rows, room] = code, gains_L[missing_L]

    def _fades(self, num: int) -> FloatArray:
        return self.config.fade ** np.arange(num, dtype=np.float64)

    def _admit(self, item: str) -> int:
        code = self.items.get(item)
        if code is not None:
            return code
        if not self._free and len(self.items) >= self.config.max_items:
            self._forget()
        if self._free:
            code = self._free.pop()
            self.items.replace(code, item)
            return code
        code = self.items.admit(item)
        if code == len(self._counts):
            self._grow(max(64, 2 * code))
        return code

    def _grow(self, size: int) -> None:
        more = min(size, self.config.max_items) - len(self._counts)
        wide = (more, self.config.neighbours)
        self._counts = np.concatenate([self._counts, np.zeros(more)])
        self._touched = np.concatenate([self._touched, np.zeros(more, np.int64)])
        self._partners_IK = np.concatenate([self._partners_IK, np.full(wide, FREE, np.int32)])
        self._pairs_IK = np.concatenate([self._pairs_IK, np.zeros(wide, np.float32)])

    def _forget(self) -> None:
        """Free the tenth of the codes that were untouched for longest, and every mention of them."""
        stale = np.argsort(self._touched[: len(self.items)], kind="stable")[: max(1, len(self.items) // 10)]
        gone = np.zeros(len(self._counts), bool)
        gone[stale] = True
        mentioned = (self._partners_IK != FREE) & gone[self._partners_IK]
        self._partners_IK[mentioned], self._pairs_IK[mentioned] = FREE, 0.0
        self._partners_IK[stale], self._pairs_IK[stale] = FREE, 0.0
        self._counts[stale], self._touched[stale] = 0.0, 0
        for code in stale.tolist():
            self.items.replace(code, None)
        self._free = stale[::-1].tolist()

    def _gain(self, ts_ms: int) -> float:
        if self._landmark_ms is None:
            self._landmark_ms = ts_ms
        exponent = (ts_ms - self._landmark_ms) / self.config.half_life_ms
        if exponent > MAX_EXPONENT:
            shrink = 2.0 ** -min(exponent, 1000.0)
            self._counts *= shrink
            self._pairs_IK *= np.float32(shrink)
            self._now *= shrink
            self._landmark_ms, exponent = ts_ms, 0.0
        gain = float(2.0 ** max(exponent, -MAX_EXPONENT))  # an event so late weighs next to nothing anyway
        self._now = max(self._now, gain)
        return gain


def latest(history: Sequence[str], window: int) -> list[str]:
    """The last ``window`` distinct items of a history (oldest first), the newest first."""
    found: dict[str, None] = {}
    for item in reversed(history):
        if len(found) == window:
            break
        found[item] = None
    return list(found)
