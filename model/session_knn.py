"""Nearest sessions: what was taken in the sessions that look most like what this user did last.

Knows: sessions of all users, which of them hold an item, the newest items of each user.
Does not know: models.

VSKNN (Ludewig and Jannach, UMUAI 2018, section 4.2): items of the current session weigh the more the later
they stand, neighbours are the most similar of the most recent sessions that share an item, and a neighbour's
items are scored by its similarity times the weight of the newest item shared. Two changes, for events that
come one by one: a session can be found from its first event on, and short sessions are extended by the user's
earlier items ("extend": Latifi, Mauro and Jannach, Information Sciences 2021).
"""

# I = items with a code, S = slots of sessions, L = items asked about, k = neighbours

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from model.recommender import ActiveUsers, FloatArray, Scoring

HOUR_MS = 3600 * 1000
#: A session is closed at this many items, as the worker does.
MAX_ITEMS = 32
FREE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """k and the gap are chosen on the end of a warm part; the rest bounds memory and time."""

    neighbours: int = 100  # k
    gap_ms: int = 24 * HOUR_MS  # silence that ends a session
    sample: int = 500  # newest sessions of each item that are looked at
    window: int = 10  # L: newest items asked about
    max_sessions: int = 100_000  # S
    max_users: int = 1_000_000


@dataclass(slots=True)
class _Active:
    """A user's open session and newest items."""

    slot: int
    serial: int  # the session is this user's only while the slot has the same serial
    num_items: int
    last_ms: int
    newest: list[int]  # codes, oldest first


class SessionKnn(Scoring):
    """VSKNN over a ring of the newest sessions."""

    def __init__(self, config: SessionConfig | None = None) -> None:
        super().__init__()
        self.config = config or SessionConfig()
        self._users: ActiveUsers[_Active] = ActiveUsers(self.config.max_users)
        self._items_SN = np.full((64, MAX_ITEMS), FREE, np.int32)  # grows up to max_sessions rows
        self._serials = np.full(64, FREE, np.int64)
        self._num_sessions = 0
        self._holders: list[deque[tuple[int, int]]] = []  # by item code: (slot, serial), newest last

    def observe(self, user: str, item: str, ts_ms: int) -> None:
        code = self.items.admit(item)
        if code == len(self._holders):
            self._holders.append(deque(maxlen=self.config.sample))
        active = self._users.get(user)
        if active is None or self._is_over(active, ts_ms):
            active = self._open_session(active.newest if active else [])
        self._users.put(user, active)
        if code not in self._items_SN[active.slot, : active.num_items]:
            self._items_SN[active.slot, active.num_items] = code
            self._holders[code].append((active.slot, active.serial))
            active.num_items += 1
        active.last_ms = max(ts_ms, active.last_ms)
        active.newest = [*(kept for kept in active.newest if kept != code), code][-self.config.window :]

    def scores(self, user: str) -> FloatArray:
        scores_I = np.zeros(len(self.items))
        active = self._users.get(user)
        if active is None:
            return scores_I
        L = len(active.newest)
        held = [np.array(self._holders[code], np.int64).reshape(-1, 2) for code in active.newest]
        found = np.concatenate(held)
        place = np.repeat(np.arange(1, L + 1), [len(one) for one in held])  # the newest item weighs 1
        alive = (self._serials[found[:, 0]] == found[:, 1]) & (found[:, 1] != active.serial)
        serials, which = np.unique(found[alive, 1], return_inverse=True)
        if not len(serials):
            return scores_I
        similarity = np.bincount(which, place[alive] / L)
        newest_shared = np.zeros(len(serials))
        np.maximum.at(newest_shared, which, place[alive] / L)
        recent = slice(max(0, len(serials) - self.config.sample), None)  # serials grow with time
        order = np.argsort(-similarity[recent][::-1], kind="stable")[: self.config.neighbours]
        chosen = len(serials) - 1 - order
        items = self._items_SN[serials[chosen] % self.config.max_sessions]
        weight = np.broadcast_to((similarity * newest_shared)[chosen, None], items.shape)
        held_already = items != FREE
        return np.bincount(items[held_already], weight[held_already], len(self.items)).astype(np.float64)

    def _is_over(self, active: _Active, ts_ms: int) -> bool:
        return (
            ts_ms - active.last_ms > self.config.gap_ms
            or active.num_items == MAX_ITEMS
            or self._serials[active.slot] != active.serial
        )

    def _open_session(self, items: list[int]) -> _Active:
        serial = self._num_sessions
        slot = serial % self.config.max_sessions
        self._num_sessions += 1
        if slot == len(self._items_SN):
            more = min(slot, self.config.max_sessions - slot)
            self._items_SN = np.concatenate([self._items_SN, np.full((more, MAX_ITEMS), FREE, np.int32)])
            self._serials = np.concatenate([self._serials, np.full(more, FREE, np.int64)])
        self._items_SN[slot] = FREE
        self._serials[slot] = serial
        return _Active(slot=slot, serial=serial, num_items=0, last_ms=-(2**62), newest=items)
