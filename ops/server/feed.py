"""What happens, told to whoever listens: server-sent events with a bounded queue per listener.

Knows: subscribers, the wire form of an event. Does not know: HTTP, Kafka, what the events mean.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

#: Events a slow listener may owe; past that the oldest goes.
MAX_WAITING = 256
MAX_LISTENERS = 64
#: A comment after so long without an event, so that nobody in between closes the connection.
HEARTBEAT_S = 15.0


class Full(Exception):
    """As many listen as may."""


class Listener:
    """One open stream."""

    def __init__(self, user: str | None) -> None:
        self.user = user
        self._waiting: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._some = asyncio.Event()
        self._closed = False

    def put(self, event: bytes) -> None:
        self._waiting.append(event)
        self._some.set()

    def close(self) -> None:
        self._closed = True
        self._some.set()

    async def events(self) -> AsyncIterator[bytes]:
        """Until the listener is closed."""
        yield b": listening\n\n"
        while not self._closed:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._some.wait()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            self._some.clear()
            while self._waiting:
                yield self._waiting.popleft()


class Feed:
    """All open streams."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def __len__(self) -> int:
        return len(self._listeners)

    @contextmanager
    def listening(self, user: str | None) -> Iterator[Listener]:
        """A listener; ``user``: whose lists it wants to hear of. Raises Full."""
        if len(self._listeners) >= MAX_LISTENERS:
            raise Full
        listener = Listener(user)
        self._listeners.append(listener)
        try:
            yield listener
        finally:
            self._listeners.remove(listener)

    def tell(self, event: str, data: bytes, user: str | None = None) -> None:
        """``data``: JSON on one line; ``user``: only to those who listen to this one."""
        if not self._listeners:
            return
        wire = b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"
        for listener in self._listeners:
            if user is None or listener.user == user:
                listener.put(wire)

    def close(self) -> None:
        """End every stream."""
        for listener in self._listeners:
            listener.close()
