"""The newest events of each user, and which of them are not learned yet: what training windows are cut from.

Knows: item codes, times, the bound on users. Does not know: rows, sessions, networks.
"""

# U = users, P = events of a user that are not learned

from __future__ import annotations

from array import array
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from model.names import Arrays, pack_names, unpack_names

IntArray = npt.NDArray[np.int64]

MAX_USERS = 200_000


@dataclass(slots=True)
class Trail:
    """One user's newest events, oldest first; the last ``new`` of them are not learned yet."""

    codes: array[int] = field(default_factory=lambda: array("q"))
    times_ms: array[int] = field(default_factory=lambda: array("q"))
    new: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """A stretch of a trail: the events behind the first, from ``first_target`` on, are to be learned."""

    codes: IntArray
    times_ms: IntArray
    first_target: int  # at least 1


class Trails:
    """Bounded: a user keeps ``kept`` learned events, and of the users those active last are kept."""

    def __init__(self, kept: int, max_users: int = MAX_USERS) -> None:
        self.kept = kept
        self.max_users = max_users
        self._users: OrderedDict[str, Trail] = OrderedDict()  # the stalest first
        self._waiting: dict[str, Trail] = {}

    def __len__(self) -> int:
        return len(self._users)

    def observe(self, user: str, code: int, ts_ms: int) -> Trail:
        """One event that is not learned yet; the user's trail."""
        trail = self._users.get(user)
        if trail is None:
            trail = self._users[user] = Trail()
        self._users.move_to_end(user)
        trail.codes.append(code)
        trail.times_ms.append(ts_ms)
        trail.new += 1
        self._waiting[user] = trail
        return trail

    def waiting(self) -> list[tuple[str, Trail]]:
        """Users with events that are not learned, by their first such event, and their trails."""
        return list(self._waiting.items())

    def cuts(self, window: int) -> list[Cut]:
        """Stretches of at most ``window`` + 1 events that hold every event not learned as a target once.

        A user's very first event has nothing before it and is no target.
        """
        found: list[Cut] = []
        for trail in self._waiting.values():
            codes, times_ms = np.array(trail.codes, np.int64), np.array(trail.times_ms, np.int64)
            target = max(1, len(codes) - trail.new)
            while target < len(codes):
                begin = max(0, target - (window + 1) // 2)
                stop = min(len(codes), begin + window + 1)
                begin = max(0, stop - window - 1)
                found.append(Cut(codes[begin:stop], times_ms[begin:stop], target - begin))
                target = stop
        return found

    def learned(self) -> None:
        """Nothing waits any more; what is beyond the bounds goes."""
        for trail in self._waiting.values():
            trail.new = 0
            del trail.codes[: -self.kept], trail.times_ms[: -self.kept]
        self._waiting = {}
        while len(self._users) > self.max_users:
            self._users.popitem(last=False)

    def forget(self, user: str) -> None:
        """Drop a user's events, learned or not; unknown users are ignored."""
        self._users.pop(user, None)
        self._waiting.pop(user, None)

    def to_arrays(self) -> Arrays:
        trails = list(self._users.values())
        return {
            **pack_names("users", list(self._users)),
            "codes": np.array([code for trail in trails for code in trail.codes], np.int64),
            "times_ms": np.array([ts_ms for trail in trails for ts_ms in trail.times_ms], np.int64),
            "counts": np.array([[len(trail.codes), trail.new] for trail in trails], np.int64).reshape(-1, 2),
            **pack_names("waiting", list(self._waiting)),
            "bounds": np.array([self.kept, self.max_users], np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Trails:
        kept, max_users = np.asarray(arrays["bounds"], np.int64).tolist()
        made = cls(kept, max_users)
        start = 0
        codes = np.asarray(arrays["codes"], np.int64)
        times_ms = np.asarray(arrays["times_ms"], np.int64)
        counts = np.asarray(arrays["counts"], np.int64).tolist()
        for user, (num, new) in zip(unpack_names("users", arrays), counts, strict=True):
            cut = slice(start, start + num)
            made._users[user] = Trail(
                array("q", codes[cut].tolist()), array("q", times_ms[cut].tolist()), new
            )
            start += num
        made._waiting = {user: made._users[user] for user in unpack_names("waiting", arrays)}
        return made
