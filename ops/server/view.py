"""A bounded local view of the compacted topics: newest lists, newest states, who waits for them.

Knows: the order that lists never go back in, bytes kept, waiters. Does not know: Kafka, HTTP, how lists are
made. All of it happens on the event loop's thread, so nothing is locked.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import msgspec

from stream.errors import StateDamaged
from stream.history import User
from stream.records import RecommendationList, StateRef, decode_list

#: What an entry costs beside its bytes: keys, tuples and the table's own slots.
ENTRY_BYTES = 400
#: Questions that may wait for a list at once; further ones get the list that is there.
MAX_WAITERS = 1000


class Sized(Protocol):
    """Whatever is kept as the bytes it came in."""

    @property
    def raw(self) -> bytes: ...


Kept = TypeVar("Kept", bound=Sized)


class Bounded(Generic[Kept]):
    """Entries by user within a number of bytes; the ones longest untouched go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, Kept] = OrderedDict()
        self.num_bytes = 0
        self.num_evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, user: str) -> Kept | None:
        found = self._entries.get(user)
        if found is not None:
            self._entries.move_to_end(user)
        return found

    def put(self, user: str, entry: Kept) -> None:
        self.pop(user)
        self._entries[user] = entry
        self.num_bytes += self._cost(user, entry)
        while self.num_bytes > self._max_bytes and len(self._entries) > 1:
            gone, old = self._entries.popitem(last=False)
            self.num_bytes -= self._cost(gone, old)
            self.num_evicted += 1

    def pop(self, user: str) -> None:
        old = self._entries.pop(user, None)
        if old is not None:
            self.num_bytes -= self._cost(user, old)

    @staticmethod
    def _cost(user: str, entry: Sized) -> int:
        return len(entry.raw) + len(user) + ENTRY_BYTES


@dataclass(frozen=True, slots=True)
class KeptList:
    raw: bytes
    topic_id: str
    offset: int
    epoch: int


@dataclass(frozen=True, slots=True)
class KeptState:
    raw: bytes
    applied: int
    arrived_s: float


class _ListHead(msgspec.Struct):
    """What decides whether a list is newer."""

    user: str
    state: StateRef
    epoch: int


class _StateHead(msgspec.Struct, array_like=True):
    """First fields of a state (stream.codec.Value)."""

    v: int
    topic_id: str
    applied: int


_list_head = msgspec.json.Decoder(_ListHead)
_state_head = msgspec.msgpack.Decoder(_StateHead)


@dataclass(slots=True)
class Tally:
    """What was read since the start."""

    lists: int = 0
    states: int = 0
    malformed: int = 0


@dataclass(slots=True)
class _Waiter:
    offset: int
    future: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class View:
    """Newest list and newest state of each user, as far as they fit."""

    def __init__(self, max_bytes: int) -> None:
        self.lists: Bounded[KeptList] = Bounded(max_bytes // 2)
        self.states: Bounded[KeptState] = Bounded(max_bytes // 2)
        self.tally = Tally()
        self.generation: str | None = None  # id of the events topic; lists of another one are older
        self.on_list: Callable[[str, bytes], None] = lambda *_: None
        self._waiters: dict[str, list[_Waiter]] = {}

    def take_list(self, key: bytes, raw: bytes | None) -> None:
        """A record of the recommendations topic. One that is no list, or an older one, changes nothing."""
        user = key.decode(errors="replace")
        if raw is None:
            self.lists.pop(user)
            return
        try:
            head = _list_head.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.tally.malformed += 1
            return
        self.tally.lists += 1
        made = KeptList(raw, head.state.topic_id, head.state.offset, head.epoch)
        known = self.lists.get(head.user)
        if known is not None and self._order(made) < self._order(known):
            return
        self.lists.put(head.user, made)
        for waiter in self._waiters.get(head.user, ()):
            if self._knows(made, waiter.offset) and not waiter.future.done():
                waiter.future.set_result(None)
        self.on_list(head.user, raw)

    def take_state(self, key: bytes, raw: bytes | None, now_s: float) -> None:
        """A record of the worker's changelog; ``now_s``: process time."""
        user = key.decode(errors="replace")
        if raw is None:
            self.states.pop(user)
            return
        try:
            head = _state_head.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.tally.malformed += 1
            return
        self.tally.states += 1
        self.states.put(user, KeptState(raw, head.applied, now_s))

    def list_of(self, user: str) -> RecommendationList | None:
        """The newest list; None if there is none, or the user was erased since."""
        kept = self.lists.get(user)
        if kept is None:
            return None
        try:
            made = decode_list(kept.raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return None if not made.items and not made.state.events else made

    def state_of(self, user: str) -> User | None:
        """The newest state that is kept; None if there is none or it cannot be read."""
        kept = self.states.get(user)
        if kept is None:
            return None
        try:
            return User.from_bytes(kept.raw)
        except StateDamaged:
            return None

    def behind_s(self, user: str, offset: int, now_s: float) -> float:
        """How long the worker has known an event that a list of this offset does not; 0 if it knows all."""
        kept = self.states.get(user)
        return 0.0 if kept is None or kept.applied <= offset else now_s - kept.arrived_s

    async def wait_for(self, user: str, offset: int, timeout_s: float) -> bool:
        """Wait until the user's newest list knows the event at ``offset``; False if time was up first."""
        kept = self.lists.get(user)
        if kept is not None and self._knows(kept, offset):
            return True
        if sum(map(len, self._waiters.values())) >= MAX_WAITERS:
            return False
        waiter = _Waiter(offset)
        self._waiters.setdefault(user, []).append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter.future
            return True
        except TimeoutError:
            return False
        finally:
            left = [one for one in self._waiters.get(user, ()) if one is not waiter]
            if left:
                self._waiters[user] = left
            else:
                self._waiters.pop(user, None)

    def _order(self, kept: KeptList) -> tuple[int, int, int]:
        """Lists of one user never go back in this order (stream.records.RecommendationList.order)."""
        return (int(kept.topic_id == self.generation), kept.offset, kept.epoch)

    def _knows(self, kept: KeptList, offset: int) -> bool:
        return kept.offset >= offset and (self.generation is None or kept.topic_id == self.generation)
