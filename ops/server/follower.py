"""Follows the compacted topics in a thread of its own and hands their records to the event loop.

Knows: kafka-python, which topics are followed, when everything that lay there has been read.
Does not know: what becomes of a record (it is handed over), HTTP.

The loop takes one batch at a time, and the next is read when it has: a busy loop slows the reading, and
nothing piles up in between.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from ops.server.parts import Health
from stream import admin
from stream.clients import consumer, wait_for_port
from stream.errors import BrokerUnreachable, StreamError
from stream.topics import TopicNames

log = logging.getLogger("hopstream.server")

#: Records that the loop takes at once; some 5 ms of its time.
BATCH = 250
POLL_MS = 200
RETRY_S = 1.0
PROBE_S = 1.0
#: How often it is counted what is not read yet: the client takes half a millisecond to tell one position.
COUNT_S = 0.25
#: How often the broker is looked at, and the generation of the events topic.
WATCH_S = 2.0
GENERATION_EVERY = 8
#: Of the quality topic only the newest records per partition are read: a chart's worth.
QUALITY_RECORDS = 1000

#: (topic, key, value) of each record, in the order in which they were read.
Batch = list[tuple[str, bytes, bytes | None]]


class Follower:
    """Two threads: one reads, one looks whether the broker is there."""

    def __init__(
        self,
        bootstrap: str,
        names: TopicNames,
        partitions: int,
        health: Health,
        *,
        take: Callable[[Batch], None],
        generation: Callable[[str | None], None],
    ) -> None:
        """``take`` and ``generation`` are called on the loop's thread."""
        self._bootstrap = bootstrap
        self._names = names
        self._partitions = partitions
        self._health = health
        self._take = take
        self._generation = generation
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin; the broker need not be there."""
        self._loop = loop
        for work in (self._read, self._watch):
            thread = threading.Thread(target=work, name=f"server{work.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ask both to end; they do within a poll. Nobody waits: they may be waiting for the caller's loop."""
        self._stopping.set()

    def _read(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except (StreamError, KafkaError, OSError) as error:
                log.warning("the topics cannot be followed now: %s", error)
                self._health.problem = None if isinstance(error, BrokerUnreachable) else str(error)
                self._stopping.wait(RETRY_S)

    def _follow(self) -> None:
        admin.ensure_topics(self._bootstrap, self._names, self._partitions)
        self._say_generation()
        reader = consumer(self._bootstrap, max_poll_records=BATCH, fetch_max_wait_ms=POLL_MS)
        try:
            places = self._assign(reader)
            ends = reader.end_offsets(places)
            self._health.problem = None
            owed = set(places)
            count_at_s = time.monotonic()
            while not self._stopping.is_set():
                found = reader.poll(timeout_ms=POLL_MS)
                batch: Batch = [
                    (place.topic, record.key or b"", record.value)
                    for place, records in found.items()
                    for record in records
                ]
                if batch and not self._hand_over(batch):
                    return
                owed -= {place for place, records in found.items() if records[-1].offset + 1 >= ends[place]}
                if time.monotonic() >= count_at_s:
                    # by position too: compaction leaves holes before an end
                    owed = {place for place in owed if reader.position(place) < ends[place]}
                    self._health.behind = _behind(reader, places)
                    count_at_s = time.monotonic() + COUNT_S
                self._health.caught_up = not owed
        finally:
            reader.close()

    def _assign(self, reader: KafkaConsumer) -> Sequence[TopicPartition]:
        names = self._names
        topics = (names.items, names.models, names.changelog, names.recommendations, names.quality)
        places = [
            TopicPartition(topic, number)
            for topic in topics
            for number in sorted(reader.partitions_for_topic(topic) or ())
        ]
        reader.assign(places)
        reader.seek_to_beginning(*places)
        short = [place for place in places if place.topic == names.quality]
        begins, ends = reader.beginning_offsets(short), reader.end_offsets(short)
        for place in short:
            reader.seek(place, max(begins[place], ends[place] - QUALITY_RECORDS))
        return places

    def _hand_over(self, batch: Batch) -> bool:
        """Wait until the loop took the batch; False if the loop is gone."""
        assert self._loop is not None
        done = threading.Event()

        def take() -> None:
            try:
                self._take(batch)
            finally:
                done.set()

        try:
            self._loop.call_soon_threadsafe(take)
        except RuntimeError:  # closed
            return False
        while not done.wait(0.5):
            if self._stopping.is_set():
                return False
        return True

    def _watch(self) -> None:
        looks = missed = 0
        while not self._stopping.is_set():
            try:
                wait_for_port(self._bootstrap, PROBE_S)
                self._health.broker_away, missed = False, 0
                if looks % GENERATION_EVERY == GENERATION_EVERY - 1:
                    self._say_generation()
                looks += 1
            except (StreamError, KafkaError, OSError):
                missed += 1  # a busy machine may miss one
                self._health.broker_away = self._health.broker_away or missed > 1
            self._stopping.wait(WATCH_S)

    def _say_generation(self) -> None:
        found: dict[str, Any] = admin.topic_ids(self._bootstrap, [self._names.events])
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._generation, found.get(self._names.events))


def _behind(reader: KafkaConsumer, places: Sequence[TopicPartition]) -> int:
    """Records that the broker holds and we have not read, as of the last fetch."""
    behind = 0
    for place in places:
        high = reader.highwater(place)
        if high is not None:
            behind += max(0, high - reader.position(place))
    return behind
