"""kafka-python producers and consumers, configured once: durable sends, commits by hand, raw bytes.

Knows: which client options this project stands on. Does not know: topics, records.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaConnectionError, KafkaTimeoutError

from stream.errors import BrokerUnreachable

#: For a reader that nobody waits for the broker gathers records for so long, or until they are so many bytes.
GATHER_MS = 200
GATHER_BYTES = 1 << 20
#: How long a client waits for a broker that may still be starting.
CONNECT_S = 5.0
#: A read of a whole topic gives up after this long without a record while some are owed.
SILENCE_MS = 30_000

Client = TypeVar("Client")


def quiet_clients() -> None:
    """Client libraries speak from WARNING on: below it they build a log record for each request."""
    for name in ("kafka", "aiokafka"):
        logging.getLogger(name).setLevel(logging.WARNING)


def wait_for_port(bootstrap: str, timeout_s: float = CONNECT_S) -> None:
    """Wait until one of the comma-separated addresses accepts a connection; raises BrokerUnreachable.

    Before any client is made: kafka-python leaves sockets open when it cannot connect.
    """
    ends_s = time.monotonic() + timeout_s
    while True:
        for address in bootstrap.split(","):
            host, _, port = address.strip().rpartition(":")
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=max(0.1, timeout_s)).close()
                return
            except ValueError:
                raise BrokerUnreachable(f"{address.strip()!r} is not host:port.") from None
            except OSError as error:
                refused = error
        if time.monotonic() >= ends_s:
            raise BrokerUnreachable(f"Nothing answers at {bootstrap} ({refused}).")
        time.sleep(0.05)


def _connected(make: Callable[[], Client], bootstrap: str) -> Client:
    quiet_clients()
    wait_for_port(bootstrap)
    try:
        return make()
    except (KafkaTimeoutError, KafkaConnectionError) as error:
        raise BrokerUnreachable(f"Nothing answered at {bootstrap} within {CONNECT_S:g} s.") from error


def producer(bootstrap: str, *, linger_ms: int = 5, batch_bytes: int = 65_536) -> KafkaProducer:
    """A producer of raw bytes whose sends count only once every copy has them (acks=all, idempotent).

    Callers check the future of each send before they commit. Raises BrokerUnreachable.
    """
    return _connected(
        lambda: KafkaProducer(
            bootstrap_servers=bootstrap,
            acks="all",
            enable_idempotence=True,
            linger_ms=linger_ms,
            batch_size=batch_bytes,
            allow_auto_create_topics=False,
            bootstrap_timeout_ms=int(CONNECT_S * 1000),
        ),
        bootstrap,
    )


def consumer(
    bootstrap: str,
    *,
    group: str | None = None,
    session_timeout_ms: int = 10_000,
    auto_offset_reset: str = "earliest",
    max_poll_records: int = 500,
    fetch_max_wait_ms: int = 500,
    gather: bool = False,
) -> KafkaConsumer:
    """A consumer of raw bytes that never commits by itself; `subscribe` or `assign` is the caller's.

    ``gather``: records may lie for GATHER_MS; each answer costs broker and reader far more than a record in
    it. Heartbeats go out three times per session timeout. Raises BrokerUnreachable.
    """
    return _connected(
        lambda: KafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=session_timeout_ms // 3,
            auto_offset_reset=auto_offset_reset,
            enable_auto_commit=False,
            max_poll_records=max_poll_records,
            fetch_max_wait_ms=GATHER_MS if gather else fetch_max_wait_ms,
            fetch_min_bytes=GATHER_BYTES if gather else 1,
            allow_auto_create_topics=False,
            bootstrap_timeout_ms=int(CONNECT_S * 1000),
        ),
        bootstrap,
    )


def read_all(bootstrap: str, topic: str, partitions: Sequence[int] | None = None) -> Iterator[ConsumerRecord]:
    """Every record from the oldest to the end as it stands now, per partition in order.

    Nothing is yielded for a topic that does not exist. Raises BrokerUnreachable, also when records are
    owed and none comes for SILENCE_MS.
    """
    reader = consumer(bootstrap, max_poll_records=2000, fetch_max_wait_ms=100)
    try:
        numbers = sorted(reader.partitions_for_topic(topic) or ()) if partitions is None else partitions
        places = [TopicPartition(topic, number) for number in numbers]
        if not places:
            return
        reader.assign(places)
        ends = reader.end_offsets(places)
        reader.seek_to_beginning(*places)
        owed = {place for place in places if reader.position(place) < ends[place]}
        while owed:
            batches = reader.poll(timeout_ms=SILENCE_MS)
            if not batches:
                raise BrokerUnreachable(f"{topic}: no record for {SILENCE_MS // 1000} s while some are owed.")
            for place, records in batches.items():
                yield from (record for record in records if record.offset < ends[place])
            # by position and not by the last record: compaction and markers leave holes before an end
            owed = {place for place in owed if reader.position(place) < ends[place]}
            reader.pause(*(place for place in batches if place not in owed))
    finally:
        reader.close()


def lags(consumer: KafkaConsumer) -> dict[TopicPartition, int]:
    """Records that lie before the end of each assigned partition and are not read, as the newest fetch told;
    a partition without a fetch is left out."""
    ends = {place: consumer.highwater(place) for place in consumer.assignment()}
    return {
        place: max(0, end - consumer.position(place))
        for place, end in ends.items()
        if end is not None  # so there was a fetch, and the position is known without asking the broker
    }
