"""Records on their way to one partition: what waits travels together, in the order in which it came.

Knows: which records fit the next batch, who waits for them, that one batch is under way at a time.
Does not know: how many partitions there are, HTTP.

aiokafka's own queue of batches is not used: whoever waits there may be overtaken by every newcomer, and its
waiting time is subtracted again at every turn, so that 5 s are over after 0.3 s of them (aiokafka 0.14,
MessageAccumulator.add_batch). Here each partition has one sender, so nobody ever waits there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from aiokafka.errors import KafkaError, ProducerClosed

from ops.server.parts import Record


class Produces(Protocol):
    """The two calls of an aiokafka producer that a lane makes."""

    def create_batch(self) -> Any: ...

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> asyncio.Future[Any]: ...


class Parcel:
    """Records of one request for one partition; `arrived` is done when all of them are acknowledged."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.offsets: list[int] = []  # of the acknowledged ones, in their order
        self.arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._packed = 0

    def pack(self, batch: Any) -> int:
        """Put in what still fits; how many records those are."""
        before = self._packed
        while self._packed < len(self.records):
            record = self.records[self._packed]
            if batch.append(timestamp=None, key=record.key, value=record.value) is None:
                break
            self._packed += 1
        return self._packed - before

    @property
    def packed(self) -> bool:
        return self._packed == len(self.records)

    def acknowledge(self, base: int, num: int) -> None:
        """The next ``num`` records lie from ``base`` on."""
        self.offsets.extend(range(base, base + num))
        if len(self.offsets) == len(self.records) and not self.arrived.done():
            self.arrived.set_result(None)

    def fail(self, error: KafkaError) -> None:
        """Some of the records will not arrive."""
        if not self.arrived.done():
            self.arrived.set_exception(error)


class Lane:
    """The way to one partition."""

    def __init__(self, producer: Produces, topic: str, partition: int) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = partition
        self._waiting: deque[Parcel] = deque()
        self._sending: asyncio.Task[None] | None = None

    def put(self, parcel: Parcel) -> None:
        """Behind everything that waits here. A parcel whose `arrived` is cancelled leaves, and is packed no
        further."""
        self._waiting.append(parcel)
        parcel.arrived.add_done_callback(lambda _: self._leave(parcel))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    def __len__(self) -> int:
        """Parcels that are not wholly in a batch yet."""
        return len(self._waiting)

    def _leave(self, parcel: Parcel) -> None:
        """It is done: keep none of its records, however long the batch before it takes."""
        if not parcel.packed:
            with contextlib.suppress(ValueError):
                self._waiting.remove(parcel)

    async def emptied(self) -> None:
        """All that was put has been sent, or has failed."""
        if self._sending is not None:
            await asyncio.wait([self._sending])

    async def close(self) -> None:
        """Nothing more is sent; whatever still waits here has failed."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        self._give_up(())  # a task that never began has not

    async def _send(self) -> None:
        inside: list[tuple[Parcel, int]] = []
        try:
            while self._waiting:
                batch = self._producer.create_batch()
                inside = self._fill(batch)
                if inside:
                    await self._deliver(batch, inside)
        finally:
            self._give_up([parcel for parcel, _ in inside])

    def _give_up(self, inside: Sequence[Parcel]) -> None:
        self._sending = None
        for parcel in (*inside, *self._waiting):
            parcel.fail(ProducerClosed())  # changes nothing where it is done
        self._waiting.clear()

    def _fill(self, batch: Any) -> list[tuple[Parcel, int]]:
        """The oldest records that fit; which parcels they are of, and how many of each."""
        inside: list[tuple[Parcel, int]] = []
        while self._waiting:
            parcel = self._waiting[0]
            if not parcel.arrived.done():
                num = parcel.pack(batch)
                if num:
                    inside.append((parcel, num))
                if not parcel.packed:
                    break
            self._waiting.popleft()
        return inside

    async def _deliver(self, batch: Any, inside: list[tuple[Parcel, int]]) -> None:
        try:
            sent = await self._producer.send_batch(batch, self._topic, partition=self._partition)
            offset = (await sent).offset
        except KafkaError as error:
            for parcel, _ in inside:
                parcel.fail(error)
            return
        for parcel, num in inside:
            parcel.acknowledge(offset, num)
            offset += num
