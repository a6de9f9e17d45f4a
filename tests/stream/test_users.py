"""Decoded states are a bounded view of the table."""

from __future__ import annotations

from stream.events import Interaction
from stream.history import Rules
from stream.themes import Router
from stream.users import Users


def click(users: Users, name: bytes, offset: int) -> None:
    user = users.get(name, "t")
    event = Interaction(ts=offset, user=name.decode(), item=f"i{offset}", type="click")
    user.apply(event, "t", offset, Rules(), Router())
    users.put(name, user)


def test_what_was_put_is_read_after_eviction_and_after_clearing() -> None:
    """The table, not the cache, is the truth."""
    users = Users({}, limit=2)
    for offset, name in enumerate([b"a", b"b", b"c", b"a"]):
        click(users, name, offset)
    users.clear()

    assert users.get(b"a", "t").items == ["i0", "i3"]
    assert users.get(b"b", "t").items == ["i1"]


def test_the_cache_is_bounded() -> None:
    """The least recently used user leaves first."""
    users = Users({}, limit=2)
    for offset, name in enumerate([b"a", b"b", b"c"]):
        click(users, name, offset)

    assert len(users) == 2
