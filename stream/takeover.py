"""When partitions become a scorer's own: lists that were sent already, requests that are gone, and whose.

Knows: the newest records of a partition, offsets that must follow each other.
Does not know: turns, versions, consumer groups.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from stream.clients import consumer
from stream.errors import BrokerUnreachable
from stream.floors import Floor
from stream.records import decode_list

#: A read gives up after this long without an answer.
SILENCE_MS = 10_000

log = logging.getLogger("hopstream.scorer")


def tail(bootstrap: str, topic: str, partitions: Sequence[int], num: int) -> dict[int, list[ConsumerRecord]]:
    """The newest ``num`` records of each partition, oldest first. Raises BrokerUnreachable."""
    reader = consumer(bootstrap, max_poll_records=2000, fetch_max_wait_ms=50)
    try:
        places = [TopicPartition(topic, partition) for partition in partitions]
        reader.assign(places)
        ends = reader.end_offsets(places)
        starts = reader.beginning_offsets(places)
        for place in places:
            reader.seek(place, max(starts[place], ends[place] - num))
        found: dict[int, list[ConsumerRecord]] = {partition: [] for partition in partitions}
        owed = {place for place in places if reader.position(place) < ends[place]}
        while owed:
            got = reader.poll(timeout_ms=SILENCE_MS)
            if not got:
                raise BrokerUnreachable(f"{topic}: no record for {SILENCE_MS // 1000} s while some are owed.")
            for place, records in got.items():
                found[place.partition] += [record for record in records if record.offset < ends[place]]
            owed = {place for place in owed if reader.position(place) < ends[place]}
        return found
    finally:
        reader.close()


class Back:
    """Reads stretches of one topic that lie behind, with one client for all of them."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._reader: KafkaConsumer | None = None

    def read(self, partition: int, start: int, end: int) -> Iterator[ConsumerRecord]:
        """The records from ``start`` to below ``end`` that are still there. Raises BrokerUnreachable."""
        if self._reader is None:
            self._reader = consumer(self._bootstrap, max_poll_records=2000, fetch_max_wait_ms=50)
        reader, place = self._reader, TopicPartition(self._topic, partition)
        reader.assign([place])
        reader.seek(place, max(start, reader.beginning_offsets([place])[place]))
        while reader.position(place) < end:
            got = reader.poll(timeout_ms=SILENCE_MS)
            if not got:
                raise BrokerUnreachable(
                    f"{self._topic}: no record for {SILENCE_MS // 1000} s while some are owed."
                )
            yield from (record for record in got[place] if record.offset < end)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


def floors(records: Iterable[ConsumerRecord]) -> dict[str, Floor]:
    """User → (topic id, offset, epoch) of the newest list among these records of `recommendations`.

    Records that are no lists say nothing.
    """
    newest: dict[str, Floor] = {}
    for record in records:
        try:
            made = decode_list(record.value or b"")
        except msgspec.DecodeError:
            continue
        floor = (made.state.topic_id, made.state.offset, made.epoch)
        known = newest.get(made.user)
        if known is None or known[0] != floor[0] or known[1:] < floor[1:]:
            newest[made.user] = floor
    return newest


def latest_users(records: Sequence[ConsumerRecord], limit: int) -> list[str]:
    """Users of these records of `events` by their keys, the latest first, at most ``limit``."""
    users: dict[str, None] = {}
    for record in reversed(records):
        if len(users) == limit:
            break
        try:
            users[(record.key or b"").decode()] = None
        except UnicodeDecodeError:
            continue  # a dead letter
    users.pop("", None)
    return list(users)


class Gaps:
    """Notices requests that the broker deleted before they were read."""

    def __init__(self) -> None:
        self.num_missing = 0
        self._expected: dict[int, int] = {}  # partition -> offset that its next record must have

    def begin(self, partition: int, offset: int) -> None:
        """Reading starts here."""
        self._expected[partition] = offset

    def lose(self, partitions: Iterable[int]) -> None:
        """Somebody else reads these now."""
        for partition in partitions:
            self._expected.pop(partition, None)

    def missing(self, partition: int, offset: int) -> int:
        """How many records are gone before this one; without a start the first one misses none."""
        expected = self._expected.get(partition, offset)
        self._expected[partition] = offset + 1
        num = max(0, offset - expected)
        if num:
            log.warning("requests %d to %d of partition %d are gone", expected, offset - 1, partition)
        self.num_missing += num
        return num
