"""Who listens to the server's stream of news, and how many may."""

from __future__ import annotations

import asyncio

import pytest

from ops.server.feed import HEARTBEAT_S, MAX_LISTENERS, MAX_WAITING, Feed, Full


async def test_a_listener_hears_of_one_user_and_of_everything_else() -> None:
    """Lists of others are not for it; what it does not fetch in time goes, the oldest first."""
    feed = Feed()
    with feed.listening("ann") as listener:
        feed.tell("list", b"{}", "bob")
        feed.tell("list", b"1", "ann")
        feed.tell("rates", b"2")
        heard = listener.events()
        assert [await anext(heard) for _ in range(3)] == [
            b": listening\n\n",
            b"event: list\ndata: 1\n\n",
            b"event: rates\ndata: 2\n\n",
        ]
        for number in range(MAX_WAITING + 1):
            feed.tell("rates", str(number).encode())
        assert await anext(heard) == b"event: rates\ndata: 1\n\n"
        feed.close()
        async with asyncio.timeout(HEARTBEAT_S / 3):
            assert len([event async for event in heard]) == MAX_WAITING - 1
    assert len(feed) == 0


async def test_only_so_many_may_listen() -> None:
    """The next one is told to come back later."""
    feed = Feed()
    kept = [feed.listening(None) for _ in range(MAX_LISTENERS)]
    for one in kept:
        one.__enter__()

    with pytest.raises(Full), feed.listening(None):
        pass
    for one in kept:
        one.__exit__(None, None, None)
