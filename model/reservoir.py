"""A bounded, uniform sample of the past: short windows of users' events, for replay beside what is new.

Knows: item codes and times, how many events have passed, whose a window is by a number of theirs alone.
Does not know: rows, names of users, networks, training.

Reservoir sampling (Vitter, ACM TOMS 1985, algorithm R): after n events each of them ends a kept window with
the same chance, min(1, capacity / n). Item codes instead of rows, so a window outlives any version.
"""

# K = kept windows, N = events of a window

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Arrays = dict[str, npt.NDArray[np.generic]]

#: 17 events of 12 bytes: 10 MB.
CAPACITY = 50_000


def owner_of(user: str) -> int:
    """The number that stands for a user: 64 bits, so that windows can be forgotten and name nobody."""
    return int.from_bytes(hashlib.blake2b(user.encode(), digest_size=8).digest(), "little", signed=True)


class Reservoir:
    """Windows of at most ``width`` events; which ones stay is drawn from the caller's generator."""

    def __init__(self, width: int, capacity: int = CAPACITY) -> None:
        """``width``: events of a window, the newest included. Raises ValueError for less than two."""
        if width < 2 or capacity < 1:
            raise ValueError(f"a window needs two events and a place, not {width} and {capacity}")
        self.width = width
        self.capacity = capacity
        self.num_offered = 0
        room = min(capacity, 1024)
        self._codes_KN = np.zeros((room, width), np.int32)
        self._times_KN = np.zeros((room, width), np.int64)
        self._lengths_K = np.zeros(room, np.int64)  # 0: forgotten
        self._owners_K = np.zeros(room, np.int64)

    def __len__(self) -> int:
        """Windows that may be drawn."""
        return int(np.count_nonzero(self._lengths_K[: self._num_places]))

    @property
    def _num_places(self) -> int:
        return min(self.num_offered, self.capacity)

    def offer(
        self, owner: int, codes: Sequence[int], times_ms: Sequence[int], random: np.random.Generator
    ) -> None:
        """An event behind the user's events before it, oldest first; the newest ``width`` are kept, maybe.

        ``owner``: owner_of the user. One event alone teaches nothing and is not counted.
        """
        if len(codes) < 2:
            return
        place = self.num_offered
        self.num_offered += 1
        if place >= self.capacity:
            place = int(random.integers(self.num_offered))
            if place >= self.capacity:
                return
        elif place == len(self._lengths_K):
            self._grow()
        kept = min(len(codes), self.width)
        self._codes_KN[place, :kept] = codes[-kept:]
        self._times_KN[place, :kept] = times_ms[-kept:]
        self._lengths_K[place] = kept
        self._owners_K[place] = owner

    def forget(self, owner: int) -> None:
        """Drop an owner's windows; their places stay empty until the draw of a later event falls on them."""
        gone_K = self._owners_K == owner
        self._codes_KN[gone_K], self._times_KN[gone_K] = 0, 0
        self._lengths_K[gone_K], self._owners_K[gone_K] = 0, 0

    def draw(self, num: int, random: np.random.Generator) -> list[tuple[IntArray, IntArray]]:
        """At most ``num`` distinct windows as (codes, times), drawn uniformly."""
        chosen = random.permutation(np.flatnonzero(self._lengths_K[: self._num_places]))[:num]
        return [
            (self._codes_KN[place, :length].astype(np.int64), self._times_KN[place, :length].copy())
            for place, length in zip(chosen.tolist(), self._lengths_K[chosen].tolist(), strict=True)
        ]

    def to_arrays(self) -> Arrays:
        """What is kept, copied."""
        kept = slice(0, self._num_places)
        return {
            "codes": self._codes_KN[kept].copy(),
            "times_ms": self._times_KN[kept].copy(),
            "lengths": self._lengths_K[kept].copy(),
            "owners": self._owners_K[kept].copy(),
            "offered": np.array([self.num_offered, self.capacity], np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Reservoir:
        offered, capacity = np.asarray(arrays["offered"], np.int64).tolist()
        made = cls(arrays["codes"].shape[1], capacity)
        made.num_offered = offered
        made._codes_KN = np.array(arrays["codes"], np.int32)
        made._times_KN = np.array(arrays["times_ms"], np.int64)
        made._lengths_K = np.array(arrays["lengths"], np.int64)
        made._owners_K = np.array(arrays["owners"], np.int64)
        return made

    def _grow(self) -> None:
        more = min(max(1, len(self._lengths_K)), self.capacity - len(self._lengths_K))
        self._codes_KN = np.concatenate([self._codes_KN, np.zeros((more, self.width), np.int32)])
        self._times_KN = np.concatenate([self._times_KN, np.zeros((more, self.width), np.int64)])
        self._lengths_K = np.concatenate([self._lengths_K, np.zeros(more, np.int64)])
        self._owners_K = np.concatenate([self._owners_K, np.zeros(more, np.int64)])
