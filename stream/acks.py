"""Acknowledge an event once the broker holds every record that it caused.

Knows: futures of sent records, how many events are in flight. Does not know: Faust, Kafka, what was sent.

Faust's own acknowledgement proves nothing: its flush before a commit gives up after 0.1 s without progress,
and a failed send is only logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Acknowledgeable(Protocol):
    """An event of the source topic."""

    def ack(self) -> object: ...


class Acks:
    """Counts events in flight; at most ``limit`` before `room` waits."""

    def __init__(self, limit: int, on_failure: Callable[[BaseException], None]) -> None:
        """``on_failure`` is called with the first error of a send; it is expected to end the process."""
        self._limit = limit
        self._on_failure = on_failure
        self._in_flight = 0
        self._room = asyncio.Event()
        self._room.set()
        self.acknowledged = 0

    @property
    def in_flight(self) -> int:
        return self._in_flight

    async def room(self) -> None:
        """Wait until fewer than the limit are in flight."""
        while self._in_flight >= self._limit:
            self._room.clear()
            await self._room.wait()

    def track(self, event: Acknowledgeable, sent: Sequence[asyncio.Future[Any]]) -> None:
        """Acknowledge ``event`` when all of ``sent`` are done; with none, at once."""
        if not sent:
            self._acknowledge(event)
            return
        left = len(sent)
        self._in_flight += 1

        def done(future: asyncio.Future[Any]) -> None:
            nonlocal left
            error = asyncio.CancelledError() if future.cancelled() else future.exception()
            if error is not None:
                self._on_failure(error)
                return
            left -= 1
            if left == 0:
                self._in_flight -= 1
                self._room.set()
                self._acknowledge(event)

        for future in sent:
            future.add_done_callback(done)

    def _acknowledge(self, event: Acknowledgeable) -> None:
        event.ack()
        self.acknowledged += 1
