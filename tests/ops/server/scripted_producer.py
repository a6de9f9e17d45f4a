"""A producer whose batches are answered when a test says so.

Knows: what aiokafka's producer is asked. Does not know: a broker, lanes' rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from ops.server.lane import Parcel
from ops.server.parts import Health, Record
from ops.server.problems import Unavailable
from ops.server.sender import Sender
from stream.partition import partition_of

KEYS = [
    next(b"u%d" % number for number in range(99) if partition_of(b"u%d" % number, 2) == at) for at in (0, 1)
]


@dataclass
class Batch:
    """Takes so many records."""

    room: int
    values: list[bytes] = field(default_factory=list)

    def append(self, *, timestamp: None, key: bytes, value: bytes) -> object | None:
        if len(self.values) == self.room:
            return None
        self.values.append(value)
        return object()


@dataclass
class Producer:
    """Keeps each batch; with `prompt` it is acknowledged at once, else when told to."""

    room: int = 3
    prompt: bool = False
    sent: list[list[bytes]] = field(default_factory=list)
    answers: list[asyncio.Future[Any]] = field(default_factory=list)
    stored: dict[int, int] = field(default_factory=dict)
    places: list[int] = field(default_factory=list)  # partition of each batch
    stopped: bool = False

    def create_batch(self) -> Batch:
        return Batch(self.room)

    async def partitions_for(self, topic: str) -> set[int]:
        return {0, 1}

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[Any]:
        self.sent.append(batch.values)
        self.places.append(partition)
        self.answers.append(asyncio.get_running_loop().create_future())
        if self.prompt:
            self.acknowledge(-1)
        return self.answers[-1]

    def acknowledge(self, number: int) -> None:
        partition, values = self.places[number], self.sent[number]
        base = self.stored.get(partition, 0)
        self.stored[partition] = base + len(values)
        self.answers[number].set_result(SimpleNamespace(partition=partition, offset=base))

    async def stop(self) -> None:
        self.stopped = True


def records(*values: bytes, key: bytes = b"ann") -> list[Record]:
    return [Record("t", key, value) for value in values]


def parcel(*values: bytes) -> Parcel:
    return Parcel(records(*values))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0)


def sender_of(producer: Producer) -> Sender:
    made = Sender("nowhere:1", Health(broker_away=False))
    made.use(producer)
    return made


async def outcome(sent: Awaitable[Any]) -> str:
    try:
        await sent
    except Unavailable as error:
        return str(error)
    return "stored"
