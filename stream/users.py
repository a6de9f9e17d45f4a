"""Decoded states of active users over the table: read through, write through, bounded.

Knows: that a table maps bytes to bytes. Does not know: Faust, what is in a state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import MutableMapping

from stream.history import User


class Users:
    """At most ``limit`` decoded users; the least recently used one leaves first."""

    def __init__(self, table: MutableMapping[bytes, bytes], limit: int) -> None:
        self._table = table
        self._limit = limit
        self._decoded: OrderedDict[bytes, User] = OrderedDict()

    def get(self, key: bytes, topic_id: str) -> User:
        """The user's state, a new one if nothing is stored. Raises StateDamaged."""
        user = self._decoded.get(key)
        if user is not None:
            self._decoded.move_to_end(key)
            return user
        raw = self._table.get(key)
        user = User.new(topic_id) if raw is None else User.from_bytes(raw)
        self._decoded[key] = user
        if len(self._decoded) > self._limit:
            self._decoded.popitem(last=False)
        return user

    def put(self, key: bytes, user: User) -> None:
        """Store the user as it stands."""
        self._table[key] = user.to_bytes()

    def clear(self) -> None:
        """Forget what is decoded: partitions have moved, and somebody else may have written since."""
        self._decoded.clear()

    def __len__(self) -> int:
        return len(self._decoded)
