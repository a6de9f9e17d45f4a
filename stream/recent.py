"""The latest request of each recently active user, kept so that a new version can answer it again.

Knows: bounds in users and bytes, whose partition is whose, who still waits for a fresh list.
Does not know: Kafka, versions, what is in a request.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

#: All kept requests together; past it the longest silent user goes.
MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """One request as it came."""

    user: str
    partition: int
    offset: int
    raw: bytes


class Recent:
    """Bounded, least recently active first out. Not safe for several threads."""

    def __init__(self, max_users: int, max_bytes: int = MAX_BYTES) -> None:
        self._max_users = max_users
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._num_bytes = 0
        self._waiting: OrderedDict[str, None] = OrderedDict()  # users who still wait for a fresh list

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, user: str) -> bool:
        return user in self._kept

    @property
    def num_bytes(self) -> int:
        return self._num_bytes

    @property
    def waiting(self) -> int:
        """Users who still wait for a list of the new version."""
        return len(self._waiting)

    def remember(self, kept: Kept) -> None:
        """This is the user's newest request and has just been answered by the version that serves."""
        self.forget(kept.user)
        self._kept[kept.user] = kept
        self._num_bytes += len(kept.raw)
        while len(self._kept) > self._max_users or self._num_bytes > self._max_bytes:
            self.forget(next(iter(self._kept)))

    def forget(self, user: str) -> None:
        """Keep nothing of this user."""
        kept = self._kept.pop(user, None)
        self._waiting.pop(user, None)
        if kept is not None:
            self._num_bytes -= len(kept.raw)

    def lose(self, partitions: Collection[int]) -> None:
        """These partitions have another owner now: their users are not ours to answer."""
        for user in [user for user, kept in self._kept.items() if kept.partition in partitions]:
            self.forget(user)

    def newest_last(self) -> list[Kept]:
        """Everybody's, who was active last at the end."""
        return list(self._kept.values())

    def users_on(self, partition: int) -> list[str]:
        """Users known on a partition, the latest first."""
        return [user for user, kept in reversed(self._kept.items()) if kept.partition == partition]

    def ask_again(self) -> None:
        """Another version serves now: everybody waits for a fresh list, the latest active first."""
        self._waiting = OrderedDict.fromkeys(reversed(self._kept))

    def take(self, num: int) -> list[Kept]:
        """The next waiting users' requests, at most ``num``; they wait no longer."""
        users = [self._waiting.popitem(last=False)[0] for _ in range(min(num, len(self._waiting)))]
        return [self._kept[user] for user in users]
