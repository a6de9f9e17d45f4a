"""Records to one topic in batches that are filled here and acknowledged in order.

Knows: aiokafka's batches, its idempotent producer. Does not know: events, pacing.

A record costs about 4 µs here and about 40 µs through kafka-python's `send`, which builds a future and its
locks for each; a replay shares its cores with the broker and everything it feeds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from ops.errors import OpsError
from stream.clients import quiet_clients
from stream.errors import BrokerUnreachable

#: Kafka's usual size; a batch of about 400 events.
BATCH_BYTES = 64 * 1024

Headers = list[tuple[str, bytes]]  # aiokafka takes nothing but a list


class NotAcknowledged(OpsError):
    """The broker did not acknowledge records that were sent; repeat the command with --resume, which finds
    in the topic what arrived."""


@asynccontextmanager
async def connected(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer whose sends count only once every copy has them. Raises BrokerUnreachable."""
    quiet_clients()
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES
    )
    try:
        await producer.start()
    except KafkaConnectionError as error:
        await producer.stop()
        raise BrokerUnreachable(f"Nothing answered at {bootstrap}.") from error
    try:
        yield producer
    finally:
        await producer.stop()


class Sender:
    """Fills a batch per partition; `add` never waits, `send`, `flush` and `settle` do.

    Records of one partition keep their order, also over retries.
    """

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._filling: dict[int, Any] = {}  # partition -> aiokafka's BatchBuilder
        self._full: list[tuple[int, Any]] = []
        self._sent: deque[tuple[asyncio.Future[Any], int]] = deque()  # (answer, records), oldest first
        self.num_added = 0
        self.num_acknowledged = 0

    def add(self, partition: int, key: bytes, value: bytes, headers: Headers, wall_ms: int) -> None:
        """One record into its partition's batch; ``wall_ms`` is its timestamp."""
        batch = self._filling.get(partition)
        if batch is None or batch.append(timestamp=wall_ms, key=key, value=value, headers=headers) is None:
            if batch is not None:
                self._full.append((partition, batch))
            batch = self._filling[partition] = self._producer.create_batch()
            if batch.append(timestamp=wall_ms, key=key, value=value, headers=headers) is None:
                raise NotAcknowledged(f"A record of {len(value)} bytes fits no batch of {BATCH_BYTES}.")
        self.num_added += 1

    async def send(self) -> None:
        """Hand full batches to the producer."""
        full, self._full = self._full, []
        for partition, batch in full:
            num = batch.record_count()
            try:
                answer = await self._producer.send_batch(batch, self._topic, partition=partition)
            except KafkaError as error:
                raise NotAcknowledged(f"{self._topic}: {error!r}.") from error
            self._sent.append((answer, num))

    async def flush(self) -> None:
        """Hand over all batches, full or not."""
        self._full.extend(self._filling.items())
        self._filling.clear()
        await self.send()

    async def settle(self, max_unacknowledged: int) -> None:
        """Wait until at most so many handed-over records lack their acknowledgement; checks every answer.

        Raises NotAcknowledged.
        """
        waiting = sum(num for _, num in self._sent)
        while self._sent and (waiting > max_unacknowledged or self._sent[0][0].done()):
            answer, num = self._sent.popleft()
            try:
                await answer
            except KafkaError as error:
                raise NotAcknowledged(f"{self._topic}: {error!r}.") from error
            waiting -= num
            self.num_acknowledged += num

    async def finish(self) -> None:
        """Send what is left and wait for every acknowledgement."""
        await self.flush()
        await self.settle(0)
