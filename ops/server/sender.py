"""Records to the broker, each with the place where it lies once it is acknowledged.

Knows: aiokafka's batches and its idempotent producer, how long an acknowledgement is waited for.
Does not know: events, HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ops.server.parts import Health, Place, Record
from ops.server.problems import Unavailable
from stream.clients import quiet_clients
from stream.partition import partition_of

log = logging.getLogger("hopstream.server")

#: More than the largest event, so that each fits a batch of its own.
BATCH_BYTES = 256 * 1024
#: An acknowledgement takes milliseconds; past this the broker counts as away.
ACK_S = 5.0
RETRY_S = 1.0


class Sender:
    """One producer, connected in the background and as long as it takes."""

    def __init__(self, bootstrap: str, health: Health) -> None:
        self._bootstrap = bootstrap
        self._health = health
        self._producer: AIOKafkaProducer | None = None

    async def connect(self) -> None:
        """Try until the broker answers; to be run as a task."""
        quiet_clients()
        while self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                acks="all",
                enable_idempotence=True,
                max_batch_size=BATCH_BYTES,
                request_timeout_ms=int(ACK_S * 1000),
            )
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                log.info("no broker at %s yet: %s", self._bootstrap, error)
                with contextlib.suppress(KafkaError, OSError):
                    await producer.stop()
                await asyncio.sleep(RETRY_S)
            else:
                self._producer = producer
                self._health.producing = True

    async def send(self, records: Sequence[Record]) -> list[Place]:
        """Where each record lies, in their order, once every copy has it.

        Raises Unavailable; some of the records may have arrived then.
        """
        producer = self._producer
        if producer is None or self._health.broker_away:
            raise Unavailable("The broker does not answer; nothing was stored.")
        try:
            async with asyncio.timeout(ACK_S):
                return await _sent(producer, records)
        except (TimeoutError, KafkaError) as error:
            log.warning("records were not acknowledged: %r", error)
            raise Unavailable(
                "The broker did not acknowledge in time; send the same again, an event counts once."
            ) from None

    async def close(self) -> None:
        """Give what is under way a moment, then let go."""
        producer, self._producer = self._producer, None
        self._health.producing = False
        if producer is not None:
            with contextlib.suppress(TimeoutError, KafkaError, OSError):
                async with asyncio.timeout(2.0):
                    await producer.stop()


async def _sent(producer: AIOKafkaProducer, records: Sequence[Record]) -> list[Place]:
    """A batch per partition: one future for hundreds of records, and a record's offset by its place in it."""
    counts: dict[str, int] = {}
    for topic in {record.topic for record in records}:
        counts[topic] = len(await producer.partitions_for(topic))
    filling: dict[tuple[str, int], tuple[Any, list[int]]] = {}
    full: list[tuple[tuple[str, int], Any, list[int]]] = []
    for index, record in enumerate(records):
        key = (record.topic, partition_of(record.key, counts[record.topic]))
        batch, members = filling.get(key) or (producer.create_batch(), [])
        if batch.append(timestamp=None, key=record.key, value=record.value) is None:
            full.append((key, batch, members))
            batch, members = producer.create_batch(), []
            batch.append(timestamp=None, key=record.key, value=record.value)
        members.append(index)
        filling[key] = (batch, members)
    full += [(key, *kept) for key, kept in filling.items()]
    sent = []
    for (topic, partition), batch, members in full:
        sent.append((await producer.send_batch(batch, topic, partition=partition), members))
    places: list[Place | None] = [None] * len(records)
    for future, members in sent:
        base = await future
        for ahead, index in enumerate(members):
            places[index] = Place(base.partition, base.offset + ahead)
    return [place for place in places if place is not None]
