"""Records to the broker, each with the place where it lies once it is acknowledged.

Knows: aiokafka's idempotent producer, how much may be under way, how long an acknowledgement is waited for.
Does not know: events, HTTP, what travels in which batch (lane.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from ops.server.lane import Lane, Parcel
from ops.server.parts import Health, Place, Record
from ops.server.problems import Unavailable
from stream.clients import quiet_clients
from stream.partition import partition_of

log = logging.getLogger("hopstream.server")

#: More than the largest event, so that each fits a batch of its own.
BATCH_BYTES = 256 * 1024
#: An acknowledgement takes milliseconds; past this the broker counts as away.
ACK_S = 5.0
#: What may wait for its acknowledgement: as many records as 2,000 a second, which is promised, make in ACK_S.
MAX_UNDER_WAY, MAX_BYTES_UNDER_WAY = 10_000, 32 * 1024 * 1024
RETRY_S = 1.0
CLOSE_S = 2.0


class Sender:
    """One producer, connected in the background and as long as it takes."""

    def __init__(self, bootstrap: str, health: Health) -> None:
        self._bootstrap = bootstrap
        self._health = health
        self._producer: AIOKafkaProducer | None = None
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._under_way = self._bytes_under_way = 0

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
                self.use(producer)

    def use(self, producer: AIOKafkaProducer) -> None:
        """Send through this one, which is started; `close` stops it."""
        self._producer = producer
        self._health.producing = True

    async def send(self, records: Sequence[Record]) -> list[Place]:
        """Where each record lies, in their order, once every copy has it.

        Raises Unavailable: at once where too much is under way (but one request alone may bring any number),
        else after ACK_S; some of the records may have arrived then.
        """
        producer = self._producer
        if producer is None or self._health.broker_away:
            raise Unavailable("The broker does not answer; nothing was stored.")
        num, size = len(records), sum(len(one.key) + len(one.value) for one in records)
        full = self._under_way + num > MAX_UNDER_WAY or self._bytes_under_way + size > MAX_BYTES_UNDER_WAY
        if full and self._under_way:
            raise Unavailable(
                "More is under way than the broker takes now; nothing was stored, send it again."
            )
        self._under_way += num
        self._bytes_under_way += size
        try:
            async with asyncio.timeout(ACK_S):
                return await self._sent(producer, records)
        except (TimeoutError, KafkaError) as error:
            log.warning("records were not acknowledged: %r", error)
            raise Unavailable(
                "The broker did not acknowledge in time; send the same again, an event counts once."
            ) from None
        finally:
            self._under_way -= num
            self._bytes_under_way -= size

    async def _sent(self, producer: AIOKafkaProducer, records: Sequence[Record]) -> list[Place]:
        """A parcel per partition, and a record's offset by its place in it."""
        counts = {
            topic: len(await producer.partitions_for(topic)) for topic in {one.topic for one in records}
        }
        members: dict[tuple[str, int], list[int]] = {}
        for index, record in enumerate(records):
            place = (record.topic, partition_of(record.key, counts[record.topic]))
            members.setdefault(place, []).append(index)
        parcels: dict[tuple[str, int], Parcel] = {}
        for place, indices in members.items():
            parcels[place] = Parcel([records[index] for index in indices])
            if place not in self._lanes:
                self._lanes[place] = Lane(producer, *place)
            self._lanes[place].put(parcels[place])
        try:
            await asyncio.gather(*(parcel.arrived for parcel in parcels.values()))
        finally:  # where one failed, the others leave their lanes: nobody waits for them any more
            for parcel in parcels.values():
                parcel.arrived.cancel()
        places: list[Place | None] = [None] * len(records)
        for (topic, partition), indices in members.items():
            for index, offset in zip(indices, parcels[topic, partition].offsets, strict=True):
                places[index] = Place(partition, offset)
        return [place for place in places if place is not None]

    async def close(self) -> None:
        """Give what is under way CLOSE_S, then let go."""
        producer, self._producer = self._producer, None
        self._health.producing = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await asyncio.gather(*(lane.emptied() for lane in self._lanes.values()))
        if producer is not None:
            with contextlib.suppress(TimeoutError, KafkaError, OSError):
                async with asyncio.timeout(CLOSE_S):
                    await producer.stop()
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
